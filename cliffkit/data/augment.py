"""Augmentation of a whole batch on the device."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from cliffkit.errors import UserError
from cliffkit.interfaces import Augment, Batch, Sample


def draws_of(steps: Iterable[Augment]) -> int:
    """Count the random numbers that one image takes in all steps."""
    return sum(step.draws for step in steps)


def augment(sample: Sample, steps: Iterable[Augment], draws: Tensor) -> Batch:
    """Apply steps one after another to a collated sample.

    `draws` are (`draws_of(steps)`, B) numbers in [0, 1); each step takes as many rows as it wants, in their order.
    Raises UserError for a step that changes names, shapes or types.
    """
    batch = Batch.of(sample)
    first = 0
    for step in steps:
        before = _described(batch)
        batch = step(batch, draws[first : first + step.draws])
        first += step.draws
        after = _described(batch)
        if after != before:
            changed = {name for name, _ in before.items() ^ after.items()}
            change = ", ".join(f"{name} is {after.get(name, 'gone')}" for name in sorted(changed))
            was = ", ".join(f"{name} was {before.get(name, 'not there')}" for name in sorted(changed))
            raise UserError(
                f"augment {type(step).__name__} of {type(step).__module__}: {change}, and {was}; keep names, shapes "
                "and types, as cliffkit.testing.check_augment asks"
            )
    return batch


def _described(batch: Batch) -> dict[str, str]:
    """Give the shape and type of each tensor."""
    return {
        name: f"{'x'.join(map(str, tensor.shape))} {str(tensor.dtype).removeprefix('torch.')}"
        for name, tensor in batch.tensors().items()
    }
