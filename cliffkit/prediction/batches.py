"""Neighbouring images of one size, to be predicted at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


def of_one_size(items: Iterable[T], image_of: Callable[[T], Tensor], most: int) -> Iterator[list[T]]:
    """Gather neighbouring items whose images are of one size, `most` at most."""
    batch: list[T] = []
    for item in items:
        if batch and (len(batch) == most or image_of(item).shape != image_of(batch[0]).shape):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
