"""Gradients of one effective batch: in one pass, in micro-batches, over processes; smaller ones where memory ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from numpy.typing import NDArray
from torch import Tensor, nn

from cliffkit.data.batches import mix
from cliffkit.errors import UserError
from cliffkit.events import Notice
from cliffkit.interfaces import Batch
from cliffkit.training.device import Device
from cliffkit.training.job import FitJob

Floats = NDArray[np.float32]

OUT_OF_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What libraries of a GPU say that allocate by themselves; accelerate knows what torch's own allocators say."""


def gradients(
    job: FitJob, objective: nn.Module, batch: Batch, step: int, limit: int | None
) -> tuple[dict[str, Tensor], int | None]:
    """Leave the gradients of a batch in the objective's parameters; give the terms and the micro-batch that fitted.

    `limit` is the micro-batch to which lack of memory forced earlier steps, None where all fitted. Where memory ends,
    the micro-batch is halved until it fits. The effective batch stays the same. Raises UserError where a single image
    is too much.
    """
    device = job.device
    while True:
        # Anew in every attempt: what is drawn in a step is a function of seed and step alone.
        device.seed(mix(job.seed, step, device.accelerator.process_index))
        micro_batch = limit or job.training.settings.micro_batch
        try:
            return _backward(objective, batch, step, micro_batch, device), limit
        except (RuntimeError, MemoryError) as error:
            limit = halved(job, error, min(micro_batch or len(batch.image), len(batch.image)))

        # The failed pass has moved batch normalisation's running means by one update at most, in the first steps; the
        # weights that are kept are validated many steps later. Outside the handler, whose traceback holds tensors.
        objective.zero_grad(set_to_none=True)
        clear_device_cache(garbage_collection=True)


def halved(job: FitJob, error: Exception, tried: int) -> int:
    """Tell that memory ended at so many images per forward pass; give half of them.

    Raises UserError where a single image is too much, and the error itself where it is another one.
    """
    if not is_out_of_memory(error):
        raise error
    if tried == 1 or job.device.accelerator.num_processes > 1:
        raise UserError(
            f"stage {job.stage}: out of memory at {tried} images per forward pass and process; lower "
            f"train.{job.stage}.micro_batch (the batch stays what it is), data.size or the network"
        ) from error
    limit = (tried + 1) // 2
    job.emit(
        Notice(
            f"out of memory at {tried} images per forward pass; going on with {limit}, the batch stays "
            f"{job.training.settings.batch}: gradients are those of the whole batch, batch normalisation sees one "
            "micro-batch"
        )
    )
    return limit


def in_parts(compute: Callable[[Tensor], Floats], images: Tensor) -> Floats:
    """Compute an array for a batch of images, or for its halves where memory ends. Raises the error for one image."""
    try:
        return compute(images)
    except (RuntimeError, MemoryError) as error:
        if len(images) == 1 or not is_out_of_memory(error):
            raise
    clear_device_cache(garbage_collection=True)  # outside of the handler, whose traceback holds tensors
    middle = len(images) // 2
    return np.concatenate([in_parts(compute, half) for half in (images[:middle], images[middle:])])


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception says that memory, of the processor or a GPU, holds no more.

    So does one that came of such an exception: a recording that memory ended fails a second time when it is closed.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY):
        return True
    if isinstance(error, Exception) and should_reduce_batch_size(error):
        return True
    return error.__context__ is not None and is_out_of_memory(error.__context__)


def _backward(objective: nn.Module, batch: Batch, step: int, micro: int | None, device: Device) -> dict[str, Tensor]:
    """Compute the gradients of one effective batch, divided into micro-batches and processes.

    Each part has the weight of its valid pixels. Terms that are means over valid pixels are exact. Other terms, such as
    silog's root or a gradient's pairs of pixels, depend a little on the division.
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
