"""A rise and a longer fall."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from cliffkit.interfaces import Schedule


class OneCycle(Schedule):
    """Let the learning rate rise to its full value and fall far below its start. Source: Smith and Topin, 2018.

    `train.depth.lr` is the highest rate. The numbers are those of torch's OneCycleLR under the same settings.

    Options:
        rise: Share of the steps over which the rate rises.
        start: Factor of the rate at the first step.
        end: Factor of the rate at the last step.
        shape: Shape of both parts.
    """

    def __init__(
        self,
        steps: int,
        /,
        *,
        rise: Annotated[float, Field(ge=0, le=1)] = 0.3,
        start: Annotated[float, Field(gt=0, le=1)] = 0.04,
        end: Annotated[float, Field(ge=0, le=1)] = 4e-6,
        shape: Literal["cosine", "linear"] = "cosine",
    ) -> None:
        self.start, self.end, self.shape = start, end, shape
        self.last = steps - 1
        self.peak = rise * steps - 1

    def __call__(self, step: int) -> float:
        """Rise from `start` to 1, then fall to `end`."""
        if step <= self.peak:
            return self._between(self.start, 1.0, step / self.peak if self.peak > 0 else 1.0)
        begin = max(self.peak, 0.0)
        return self._between(1.0, self.end, (step - begin) / (self.last - begin) if self.last > begin else 0.0)

    def _between(self, first: float, second: float, share: float) -> float:
        share = 0.5 * (1 - math.cos(math.pi * share)) if self.shape == "cosine" else share
        return first + (second - first) * share
