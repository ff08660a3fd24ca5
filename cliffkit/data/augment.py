"""Augmentation of a whole batch on the device."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from cliffkit.interfaces import Augment, Batch, Sample


def draws_of(steps: Iterable[Augment]) -> int:
    """Count the random numbers that one image takes in all steps."""
    return sum(step.draws for step in steps)


def augment(sample: Sample, steps: Iterable[Augment], draws: Tensor) -> Batch:
    """Apply steps one after another to a collated sample.

    `draws` are (`draws_of(steps)`, B) numbers in [0, 1); each step takes as many rows as it wants, in their order.
    """
    batch = Batch.of(sample)
    first = 0
    for step in steps:
        batch = step(batch, draws[first : first + step.draws])
        first += step.draws
    return batch
