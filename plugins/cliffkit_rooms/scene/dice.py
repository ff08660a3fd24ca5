"""The random draws that rooms are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Cheap scalar draws: a room needs about a thousand, and `Generator.choice` alone costs more than a part."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def uniform(self, low: float, high: float) -> float:
        """Draw a float in [low, high)."""
        return low + (high - low) * float(self.rng.random())

    def integer(self, low: int, high: int) -> int:
        """Draw an integer from low to high, both included."""
        return low + int(float(self.rng.random()) * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Draw True with this probability."""
        return float(self.rng.random()) < probability

    def pick(self, values: Sequence[T]) -> T:
        """Pick one of the values."""
        return values[int(float(self.rng.random()) * len(values))]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """Put the values in random order."""
        return [values[int(i)] for i in self.rng.permutation(len(values))]
