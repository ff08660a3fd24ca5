"""Gradients of one effective batch: in one pass, in micro-batches, over processes; smaller ones where memory ends."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from cliffkit.data.batches import mix
from cliffkit.errors import UserError
from cliffkit.events import Emit, Notice
from cliffkit.interfaces import Batch
from cliffkit.recipe.schema import Fit
from cliffkit.training.checkpoint import FitState
from cliffkit.training.device import Device


def gradients(
    objective: nn.Module,
    batch: Batch,
    state: FitState,
    settings: Fit,
    seed: int,
    stage: str,
    device: Device,
    emit: Emit,
) -> dict[str, Tensor]:
    """`_backward`, its micro-batch halved until memory holds it; the effective batch stays what it is.

    The pass that failed has moved batch normalisation's running means by one update at most, in the first steps: what
    is kept is validated many steps later. Raises UserError where one image at a time is too much.
    """
    while True:
        torch.manual_seed(mix(seed, state.step, device.accelerator.process_index))
        try:
            return _backward(objective, batch, state.step, state.micro_batch or settings.micro_batch, device)
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
            held = min(state.micro_batch or settings.micro_batch or len(batch.image), len(batch.image))
            if held == 1 or device.accelerator.num_processes > 1:
                raise UserError(
                    f"stage {stage}: out of memory at {held} images per forward pass and process; lower "
                    f"train.{stage}.micro_batch (the batch stays what it is), data.size or the network"
                ) from error
            state.micro_batch = (held + 1) // 2
        objective.zero_grad(set_to_none=True)
        clear_device_cache(garbage_collection=True)  # outside the handler: its traceback holds the tensors
        emit(
            Notice(
                f"out of memory at {held} images per forward pass; going on with {state.micro_batch}, the batch stays "
                f"{settings.batch}: gradients are those of the whole batch, batch normalisation sees one micro-batch"
            )
        )


def _backward(objective: nn.Module, batch: Batch, step: int, micro: int | None, device: Device) -> dict[str, Tensor]:
    """Gradients of one effective batch, divided into micro-batches and processes.

    Each part weighs as many valid pixels as it has. That is exact for terms that are means over valid pixels; those
    that are not, as silog's root or a gradient's pairs of pixels, come out a little different for other divisions.
    """
    accelerator = device.accelerator
    count = len(batch.image)
    micro = micro or count
    parts = [batch.map(partial(_rows, start=i, stop=i + micro)) for i in range(0, count, micro)]
    if len(parts) == 1 and accelerator.num_processes == 1:
        terms: dict[str, Tensor] = objective(parts[0], step)
        sum(terms.values(), torch.zeros((), device=device.torch)).backward()  # type: ignore[no-untyped-call]
        return {name: term.detach() for name, term in terms.items()}
    valid = torch.stack([part.valid.sum().float() for part in parts])
    everywhere = accelerator.reduce(valid.sum(), "sum")
    total: dict[str, Tensor] = {}
    for i, part in enumerate(parts):
        synchronise = i == len(parts) - 1 or accelerator.num_processes == 1
        share = valid[i] / everywhere.clamp_min(1)
        with nullcontext() if synchronise else accelerator.no_sync(objective):
            terms = objective(part, step)
            weighted = sum(terms.values(), torch.zeros((), device=device.torch)) * share
            accelerator.backward(weighted * accelerator.num_processes)  # DDP divides by the processes
        for name, term in terms.items():
            total[name] = total.get(name, torch.zeros_like(term)) + term.detach() * share
    return {name: accelerator.reduce(term, "sum") for name, term in total.items()}


def _rows(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor[start:stop]
