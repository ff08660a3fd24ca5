"""What is ahead of a study, as Python has it."""

from __future__ import annotations

from dataclasses import dataclass

from cliffkit.study.board import Board, JobCounts, count_jobs
from cliffkit.study.forecast import Forecast
from cliffkit.study.power import Power
from cliffkit.study.study import Study


@dataclass(frozen=True)
class Outlook:
    """What is left to do of a study, and what it will take on this machine."""

    study: Study
    board: Board
    """How far every job and cell is."""
    expected: Forecast
    most: Forecast
    """The same if every cell runs that may follow; with a list of seeds it is `expected`."""
    power: Power
    """What the study can see: its smallest differences, by number of seeds."""
    trials: Board | None = None
    """How far the trials of the study's search are; None where it has none. Cells wait for what they choose."""

    @property
    def jobs(self) -> JobCounts:
        """Numbers of jobs of trials and cells."""
        return count_jobs([self.board] if self.trials is None else [self.trials, self.board])
