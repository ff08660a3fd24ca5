"""Events while jobs run, sent to the terminal, the log and every plugin that implements `cliffkit_event`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class JobStarted:
    """A job begins, or continues from a checkpoint."""

    stage: str
    key: str
    resumed_at: int | None = None
    """The step it goes on from, None where it begins."""


@dataclass(frozen=True)
class JobSkipped:
    """A job was found done in the store."""

    stage: str
    key: str


@dataclass(frozen=True)
class JobSetAside:
    """A job in the store was damaged. Its folder has another name now, and the job is done again."""

    stage: str
    key: str
    damage: str
    """How its files differ from what was written."""
    folder: str
    """Where it lies now."""

    def __str__(self) -> str:
        return f"{self.stage} {self.key[:8]} is damaged: {self.damage}; it is kept as {self.folder}, and is done again"


@dataclass(frozen=True)
class JobFinished:
    """A job is done and stored."""

    stage: str
    key: str
    seconds: float


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of a stage's work, with figures worth showing."""

    stage: str
    done: int
    total: int
    unit: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Validated:
    """Scores on the validation split after `step` steps."""

    stage: str
    step: int
    scores: Mapping[str, float]
    best: bool
    """Whether these are the best so far: the weights that are kept."""


@dataclass(frozen=True)
class Notice:
    """Something the user should know, such as an automatic choice and its reason."""

    text: str


@dataclass(frozen=True)
class CellFinished:
    """A cell of a study has ended. `cliffkit ablate` itself hears of it; workers hear of the cell's jobs."""

    variant: str
    seed: int
    state: str
    """`done` or `failed`."""
    reason: str = ""
    """Why it failed."""


Event = JobStarted | JobSkipped | JobSetAside | JobFinished | Progress | Validated | Notice | CellFinished
Emit = Callable[[Event], None]
