"""Half a cosine."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from cliffkit.interfaces import Schedule


class Cosine(Schedule):
    """Let the learning rate fall along half a cosine. Source: Loshchilov and Hutter, "SGDR", ICLR 2017, one cycle.

    Options:
        lowest: Factor at which the rate ends.
    """

    def __init__(self, steps: int, /, *, lowest: Annotated[float, Field(ge=0, le=1)] = 0.0) -> None:
        self.steps, self.lowest = steps, lowest

    def __call__(self, step: int) -> float:
        """Fall from 1 at the first step to `lowest` after the last."""
        return self.lowest + (1 - self.lowest) * 0.5 * (1 + math.cos(math.pi * step / self.steps))
