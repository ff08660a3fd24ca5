"""Where people watch runs: TensorBoard, MLflow and the like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.events import RunFacts

Parameter = str | int | float | bool | None
"""A value of a recipe."""

State = Literal["done", "failed", "stopped", "open"]
"""How the work on a run ended. `open`: another process goes on with it, such as the next worker of a study."""


class Point(NamedTuple):
    """What a run's log says of one step."""

    step: int
    """Finished steps of the stage; of the test scores the step of the weights that were scored."""
    values: Mapping[str, float]
    """By name: `loss`, the weighted terms of the loss, `lr`, `val/abs_rel` and the other validation scores; of the
    test scores `full/abs_rel` and so on. May be NaN or infinite."""


class Tracker(ABC):
    """A place where people watch runs, and compare them. Factory: `(*, options)`.

    The engine builds a tracker before anything runs, so that a missing library is an error at once. The factory itself
    must reach no server and write nothing. Then one run follows another: `begin`, `points` and `picture` in any order,
    `end`. All these calls come from one thread, which is not the one that trains. A tracker may be slow, or raise:
    training neither waits nor fails.

    The engine reads what it tells from the run's log, and no step that a resumed fit might take back is told. What
    `begin` returns is all that it knows of earlier processes, so an entry is completed by whoever opens it next.
    """

    look: str = ""
    """How people look at the runs, a command or an address, where `begin` has set it: `cliffkit run` says it once."""

    @abstractmethod
    def begin(self, run: RunFacts, parameters: Mapping[str, Parameter]) -> Mapping[str, int]:
        """Open the entry of a run: the one with the run's key where there is one, else a new one.

        `parameters` is the recipe, values by their paths, such as `model.fusion.use`. Returns the last step in the
        entry by stage (`embedding`, `depth`, `test`), without the stages of which it has none. The engine tells later
        steps alone, so no point stands twice.
        """

    @abstractmethod
    def points(self, stage: str, points: Sequence[Point]) -> None:
        """Record points of a stage in the order of their steps. Each is recorded whole, or not at all."""

    @abstractmethod
    def picture(self, name: str, step: int, pixels: NDArray[np.uint8]) -> None:
        """Record a picture, (H, W, 3) RGB: `val`, some validation images after `step` steps, or `test`, at the end."""

    @abstractmethod
    def end(self, state: State, reason: str = "") -> None:
        """Close the entry, with everything written. `reason` says why a run failed."""
