"""The course of a run as trackers are told it: read from the logs and scores in the store, whoever does the work."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cliffkit.errors import UserError
from cliffkit.events import RunFacts
from cliffkit.interfaces import Parameter, Point
from cliffkit.stages import is_fit
from cliffkit.store.artifacts import LOG, PANEL, Scores
from cliffkit.store.job import Job
from cliffkit.store.store import Store, working_folder
from cliffkit.training.checkpoint import saved_step

TEST = "test"
"""The name under which test scores are told, beside the stages that are fits."""

DENSE, EVERY = 100, 10
"""Of a fit the first DENSE steps are told, then every EVERY-th, and all that were validated."""


@dataclass(frozen=True)
class Course:
    """A run, and where its logs and scores lie."""

    run: RunFacts
    recipe: Mapping[str, Any]
    """As `Recipe.to_dict` writes it."""
    store: Store
    jobs: Sequence[Job]
    """Those of the run, in the order of their needs, the last one `evaluate`."""

    @property
    def fits(self) -> list[Job]:
        """The jobs that leave a log."""
        return [job for job in self.jobs if is_fit(job)]

    @property
    def is_scored(self) -> bool:
        """Whether the test scores are there."""
        return self.store.done(self.jobs[-1])

    def scores(self) -> Point:
        """Give the test scores of every protocol. Raises UserError where they are missing or damaged."""
        scores = Scores.read(self.store.folder(self.jobs[-1]))
        values = {f"{name}/{metric}": float(of[metric]) for name, of in scores.metrics.items() for metric in of}
        return Point(scores.selection.step if scores.selection else 0, values)

    def panel(self) -> NDArray[np.uint8]:
        """Read the picture of test images, (H, W, 3) RGB. Raises OSError where it is missing or damaged."""
        with Image.open(self.store.folder(self.jobs[-1]) / PANEL) as image:
            return np.asarray(image.convert("RGB"))

    def parameters(self) -> dict[str, Parameter]:
        """Give the recipe's values by their paths, as `model.fusion.use` or `loss.0.weight`."""
        return dict(_leaves(self.recipe, ""))


class FitLog:
    """The log of a fit, read on from where the last reading ended."""

    def __init__(self, job: Job, store: Store, told: int) -> None:
        """Begin after step `told`."""
        self.job, self.store = job, store
        self.told = told
        """The last step that was read."""
        self._offset = 0

    def read(self) -> Iterator[Point]:
        """Read the steps that came and that no resumed fit takes back: those up to the last checkpoint.

        One step at a time is held, so that a log of any length can be read.
        """
        told = self.told
        steps = groupby((record for record in self._records() if record["step"] > told), itemgetter("step"))
        for step, group in steps:
            records = list(group)
            self.told = step
            if step <= DENSE or step % EVERY == 0 or any("val" in record for record in records):
                yield Point(step, {name: value for record in records for name, value in _values(record).items()})

    def _records(self) -> Iterator[dict[str, Any]]:
        """Read the lines that came."""
        until = self._sure_step()
        path = self._path()
        if until <= self.told or not path.exists():
            return
        if path.stat().st_size < self._offset:
            self._offset = 0  # the fit began anew
        with path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                record: dict[str, Any] = json.loads(line)
                if record["step"] > until:
                    return
                self._offset += len(line)
                yield record

    def _path(self) -> Path:
        done = self.store.done(self.job)
        return (self.store.folder(self.job) if done else working_folder(self.store.root, self.job)) / LOG

    def _sure_step(self) -> float:
        if self.store.done(self.job):
            return math.inf
        try:
            return saved_step(working_folder(self.store.root, self.job)) or 0
        except (UserError, OSError):  # the fit replaces its checkpoint at this moment
            return 0


def _values(record: Mapping[str, Any]) -> dict[str, float]:
    """Give the values of a line of a log by name; what is null there was not finite."""
    named = {name: value for name, value in record.items() if name not in ("stage", "step", "best", "val")}
    named |= {f"val/{name}": value for name, value in record.get("val", {}).items()}
    return {name: math.nan if value is None else float(value) for name, value in named.items()}


def _leaves(value: Any, path: str) -> list[tuple[str, Parameter]]:
    """List the values of mappings in mappings by their paths; a list of plain values is one text."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        items = [(str(k), item) for k, item in enumerate(value)]
    else:
        return [(path, value if isinstance(value, Parameter) else json.dumps(value))]
    return [leaf for key, item in items for leaf in _leaves(item, f"{path}.{key}" if path else key)]
