"""Events while jobs run, sent to the terminal, the log and every plugin that implements `cliffkit_event`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class RunFacts:
    """The run, or the cell of a study, that an event is of. Runs that differ in the seed alone have one variant."""

    name: str
    """The recipe's name."""
    key: str
    """Key of its scores, a hash of all that they depend on: the same whenever the run is done again or goes on."""
    variant: str
    """The cell's variant; of a run outside of studies the recipe's name."""
    seed: int
    study: str
    """The study's name; empty outside of studies."""
    folder: Path
    """The run's folder, which is whole once the run is done."""
    runs: Path
    """The folder of runs that it lies in."""


@dataclass(frozen=True, kw_only=True)
class RunEvent:
    """What every event has."""

    run: RunFacts | None = None
    """The run that the event is of; None for a job that several cells of a study share."""


@dataclass(frozen=True)
class JobStarted(RunEvent):
    """A job begins, or continues from a checkpoint."""

    stage: str
    key: str
    resumed_at: int | None = None
    """The step it goes on from, None where it begins."""


@dataclass(frozen=True)
class JobSkipped(RunEvent):
    """A job was found done in the store."""

    stage: str
    key: str


@dataclass(frozen=True)
class JobSetAside(RunEvent):
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
class JobFinished(RunEvent):
    """A job is done and stored."""

    stage: str
    key: str
    seconds: float


@dataclass(frozen=True)
class Progress(RunEvent):
    """`done` of `total` units of a stage's work, with figures worth showing."""

    stage: str
    done: int
    total: int
    unit: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Validated(RunEvent):
    """Scores on the validation split after `step` steps."""

    stage: str
    step: int
    scores: Mapping[str, float]
    best: bool
    """Whether these are the best so far: the weights that are kept."""
    picture: NDArray[np.uint8] | None = field(default=None, compare=False)
    """(H, W, 3) RGB, some validation images beside truth and prediction; None where no tracker asked for it."""


@dataclass(frozen=True)
class Notice(RunEvent):
    """Something the user should know, such as an automatic choice and its reason."""

    text: str


@dataclass(frozen=True)
class TrackerFailed(RunEvent):
    """A tracker failed. Work goes on, and the tracker is tried again later."""

    tracker: str
    """The name that `--track` gave."""
    reason: str

    def __str__(self) -> str:
        return (
            f"tracker '{self.tracker}' failed: {self.reason}; the work goes on, and once the cause is mended the same "
            "command tells the tracker the rest"
        )


@dataclass(frozen=True)
class CellFinished(RunEvent):
    """A cell of a study has ended. `cliffkit ablate` itself hears of it; workers hear of the cell's jobs."""

    variant: str
    seed: int
    state: str
    """`done` or `failed`."""
    reason: str = ""
    """Why it failed."""


Event = (
    JobStarted | JobSkipped | JobSetAside | JobFinished | Progress | Validated | Notice | TrackerFailed | CellFinished
)
Emit = Callable[[Event], None]
