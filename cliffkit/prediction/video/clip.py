"""Which frames of a video are predicted, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from cliffkit.errors import UserError
from cliffkit.pictures.colours import check_range


@dataclass(frozen=True)
class Clip:
    """Frames first, first + every, ... up to last. Raises UserError where there are no such frames."""

    every: int = 1
    first: int = 0
    last: int | None = None
    """None: to the end."""
    range_m: tuple[float, float] | None = None
    """Metres of the first and of the last colour; None: from the 1st to the 99th percentile of some frames' depths."""
    flip: bool = False
    """Whether depth is averaged with the prediction for the mirrored frame."""

    def __post_init__(self) -> None:
        if self.every < 1 or self.first < 0 or (self.last is not None and self.last < self.first):
            end = "the end" if self.last is None else str(self.last)
            raise UserError(
                f"frames {self.first} to {end}, every {self.every}: there are no such frames; frames count from 0, "
                "every is 1 or more, and last is not before first"
            )
        if self.range_m is not None:
            check_range(*self.range_m)

    def wants(self, number: int) -> bool:
        """Tell whether a frame is predicted."""
        return number in range(self.first, number + 1 if self.last is None else self.last + 1, self.every)

    def numbers(self, count: int) -> range:
        """List the frames that are predicted of a video of `count` frames."""
        return range(self.first, count if self.last is None else min(count, self.last + 1), self.every)
