"""A power of the share of steps that are left."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cliffkit.interfaces import Schedule


class Poly(Schedule):
    """Let the learning rate fall as a power of the share of steps that are left, as DeepLab and BTS do.

    Options:
        power: Exponent; 1 is a straight line to 0.
    """

    def __init__(self, steps: int, /, *, power: Annotated[float, Field(gt=0)] = 0.9) -> None:
        self.steps, self.power = steps, power

    def __call__(self, step: int) -> float:
        """Fall from 1 at the first step to 0 after the last."""
        return float((1 - step / self.steps) ** self.power)
