"""How a training step is computed: operation by operation, compiled, or replayed from CUDA graphs.

The forms give other roundings, compiled batch normalisation among them, so the form is part of a result's key.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cliffkit.components.imports import without_collector
from cliffkit.errors import UserError
from cliffkit.interfaces import Batch
from cliffkit.recipe.schema import Speed

COMPILER = "inductor"
"""The backend of torch.compile."""

MOST_FORMS = 64
"""Compiled forms of a method that torch keeps. Each level of a network that shares it has one, for each micro-batch."""

WHERE = "train.depth.speed"


def check_speed(speed: Speed, device: torch.device, world: int) -> None:
    """Raise UserError where a device, or a number of processes, does not allow a form."""
    if "graphs" in speed and device.type != "cuda":
        raise UserError(f"{WHERE}: '{speed}' needs a CUDA GPU, and this run computes on {device.type}; use eager")
    if "graphs" in speed and world > 1:
        raise UserError(f"{WHERE}: '{speed}' is for one process, and these are {world}; use eager")
    if "compile" in speed and device.type == "cuda" and world > 1:
        raise UserError(
            f"{WHERE}: '{speed}' is for one process on a GPU, and these are {world}: torch cannot compile batch "
            "normalisation over several; use eager"
        )


def compile_parts(regions: Sequence[tuple[str, nn.Module]]) -> None:
    """Compile each part for itself, when it is called first. Names of parameters stay what they are.

    What was compiled before in this process is dropped: torch counts it against the same limit, and refuses more.
    """
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = max(MOST_FORMS, torch._dynamo.config.recompile_limit)
    for _, part in regions:
        part.compile(fullgraph=True, dynamic=False, backend=COMPILER)


def as_written(speed: Speed) -> AbstractContextManager[Any]:
    """Give a context in which compiled parts compute operation by operation, as validation does."""
    return torch.compiler.set_stance("force_eager") if "compile" in speed else nullcontext()


@contextmanager
def replayed_gradients() -> Iterator[None]:
    """Give a context in which gradients come from a replay: torch adds them on the stream that recorded.

    It waits there for the right streams, and warns of the difference.
    """
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    try:
        yield
    finally:
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(True)


@contextmanager
def compiling(speed: Speed, stage: str) -> Iterator[None]:
    """Give a context in which a part that cannot be compiled, or a machine that cannot compile, is the user's to mend.

    Raises UserError in place of the compiler's own exceptions.
    """
    try:
        yield
    except Exception as error:
        origin = type(error).__module__
        if "compile" not in speed or not origin.startswith(("torch._dynamo", "torch._inductor")):
            raise
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"stage {stage}: {WHERE}: '{speed}' cannot compile the network here: {why}; use eager, or mend the part "
            "or the compiler that torch names"
        ) from error


class Graphed(nn.Module):
    """An objective whose forward and backward pass are recorded for one shape of batch, and then replayed.

    Replays launch nothing from the host. Random numbers follow the seed of each step, as without graphs. Batches of
    other shapes, such as a last micro-batch, are computed operation by operation.
    """

    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.objective = objective
        self._recorded: tuple[_Recorded] | tuple[()] = ()  # in a tuple, where nn.Module does not look
        self._shapes: object = None

    def record(self, batch: Batch) -> None:
        """Record the passes for batches of this shape, from the objective as it stands: its modes, frozen parts.

        No other thread may use the device meanwhile, which would break the recording.
        """
        recorded = _Recorded(self.objective, tuple(batch.tensors()))
        with _kept(self.objective), _nothing_collected():  # the passes before recording move running statistics
            torch.cuda.make_graphed_callables(recorded, _inputs(batch, 0), allow_unused_input=True)
        self._recorded, self._shapes = (recorded,), _shapes(batch)

    def release(self) -> None:
        """Free what was recorded: the replay is a class and a module's method, which hold themselves and each other."""
        for recorded in self._recorded:
            vars(recorded).pop("forward", None)
        self._recorded, self._shapes = (), None
        gc.collect()

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Give the terms of the objective; of a recorded shape in memory that the next call overwrites."""
        if not self._recorded or _shapes(batch) != self._shapes:
            terms: dict[str, Tensor] = self.objective(batch, step)
            return terms
        (recorded,) = self._recorded
        self._own_gradients()
        values = recorded(*_inputs(batch, step))
        return dict(zip(recorded.terms, values, strict=True))

    def _own_gradients(self) -> None:
        """Copy the gradients of the micro-batches before: the next backward pass overwrites the memory they lie in.

        Torch adds into that memory in place, so without the copy the sum is wrong, and nothing says so
        (pytorch/pytorch#181723).
        """
        for parameter in self.objective.parameters():
            if parameter.grad is not None:
                parameter.grad = parameter.grad.clone()


def _inputs(batch: Batch, step: int) -> tuple[Tensor, ...]:
    return torch.full((), step, device=batch.image.device), *batch.tensors().values()


def _shapes(batch: Batch) -> object:
    return [(name, tensor.shape, tensor.dtype) for name, tensor in batch.tensors().items()]


class _Recorded(nn.Module):
    """An objective from tensors to tensors, as recording wants it."""

    def __init__(self, objective: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.objective = objective
        self.names = names
        self.terms: tuple[str, ...] = ()

    def forward(self, step: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        fields = dict(zip(self.names, tensors, strict=True))
        own = {name: fields.pop(name) for name in Batch._fields if name != "extras"}
        terms: dict[str, Tensor] = self.objective(Batch(**own, extras=fields), step)
        self.terms = tuple(terms)
        return tuple(terms.values())


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Collect garbage first, and none meanwhile: freeing an earlier recording while one is made breaks it."""
    gc.collect()
    with without_collector():
        yield


@contextmanager
def _kept(module: nn.Module) -> Iterator[None]:
    """Put every buffer back as it was."""
    before = [buffer.clone() for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(module.buffers(), before, strict=True):
                buffer.copy_(value)
