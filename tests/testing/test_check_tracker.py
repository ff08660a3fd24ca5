"""The check of trackers fails for a tracker that breaks its contract, and says how."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from cliffkit.events import RunFacts
from cliffkit.interfaces import Parameter, Point, State, Tracker
from cliffkit.testing import check_tracker


class Good(Tracker):
    """Its last steps in a file for each run."""

    def begin(self, run: RunFacts, parameters: Mapping[str, Parameter]) -> Mapping[str, int]:
        self.path = run.runs / f"{run.key}.json"
        steps: dict[str, int] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return steps

    def points(self, stage: str, points: Sequence[Point]) -> None:
        steps = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.path.write_text(json.dumps({**steps, stage: points[-1].step}))

    def picture(self, name: str, step: int, pixels: NDArray[np.uint8]) -> None:
        assert pixels.dtype == np.uint8

    def end(self, state: State, reason: str = "") -> None:
        pass


class Forgetful(Good):
    def begin(self, run: RunFacts, parameters: Mapping[str, Parameter]) -> Mapping[str, int]:
        super().begin(run, parameters)
        return {}


class Mixed(Good):
    def begin(self, run: RunFacts, parameters: Mapping[str, Parameter]) -> Mapping[str, int]:
        self.path = run.runs / f"{run.variant}.json"
        steps: dict[str, int] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return steps


class InMemory(Good):
    steps: ClassVar[dict[str, dict[str, int]]] = {}

    def __init__(self) -> None:
        self.own: dict[str, dict[str, int]] = {}

    def begin(self, run: RunFacts, parameters: Mapping[str, Parameter]) -> Mapping[str, int]:
        self.entry = self.own.setdefault(run.key, {})
        return dict(self.entry)

    def points(self, stage: str, points: Sequence[Point]) -> None:
        self.entry[stage] = points[-1].step


class Hasty(Good):
    def __init__(self, *, folder: str) -> None:
        (Path(folder) / "log").write_text("")


class Ended(Good):
    def end(self, state: State, reason: str = "") -> None:
        if state == "stopped":
            self.path.unlink()


def test_passes_a_tracker_that_keeps_the_contract(tmp_path: Path) -> None:
    check_tracker(Good, tmp_path)


@pytest.mark.parametrize(
    ("tracker", "message"),
    [
        (dict, "dict: gives dict, no cliffkit.interfaces.Tracker"),
        (Forgetful, r"Forgetful: `begin` gives \{\} for a run that another object was told of, expected \{'embedding'"),
        (InMemory, r"InMemory: `begin` gives \{\} for a run that another object was told of"),
        (Mixed, r"Mixed: `begin` gives \{'embedding': 30\} for the second of two runs that differ in the seed"),
        (Ended, r"Ended: `begin` gives \{\} for a run that was stopped, expected \{'embedding': 30, 'depth': 40\}"),
    ],
)
def test_names_what_is_wrong(tmp_path: Path, tracker: Callable[..., Tracker], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_tracker(tracker, tmp_path)


def test_a_tracker_that_writes_when_it_is_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Hasty: writes files when it is built; wait for `begin`"):
        check_tracker(Hasty, tmp_path, folder=str(tmp_path))
