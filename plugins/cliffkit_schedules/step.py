"""A lower rate after each milestone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cliffkit.interfaces import Schedule


class Step(Schedule):
    """Multiply the learning rate by a factor at each milestone.

    Options:
        milestones: Finished steps after which the rate falls.
        decay: Factor of the rate at each milestone.
    """

    def __init__(
        self,
        steps: int,
        /,
        *,
        milestones: tuple[Annotated[int, Field(gt=0)], ...] = (),
        decay: Annotated[float, Field(gt=0, le=1)] = 0.1,
    ) -> None:
        self.milestones, self.decay = milestones, decay

    def __call__(self, step: int) -> float:
        """Give `decay` to the power of how many milestones lie behind."""
        return self.decay ** sum(step >= milestone for milestone in self.milestones)
