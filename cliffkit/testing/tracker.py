"""Checks of trackers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cliffkit.events import RunFacts
from cliffkit.interfaces import Parameter, Point, Tracker
from cliffkit.testing.common import expect

PARAMETERS: Mapping[str, Parameter] = {
    "model.fusion.use": "cliff",
    "train.depth.steps": 40,
    "train.depth.lr": 1e-4,
    "train.deterministic": True,
    "train.depth.init": None,
    "data.size": "[228, 304]",
}


def check_tracker(factory: Callable[..., Tracker], folder: Path, /, **options: Any) -> None:
    """Check a tracker: `factory(**options)`, with runs in `folder`, which is empty, such as pytest's `tmp_path`.

    Building one writes nothing. An entry that is opened again, by another object, knows its last step of each stage,
    whatever ended the work before; entries of other runs know nothing of it. Values that are no numbers do no harm.
    """
    subject = getattr(factory, "__name__", repr(factory))
    runs = folder / "runs"
    runs.mkdir(parents=True)
    before = _files(folder)
    tracker = factory(**options)
    expect(isinstance(tracker, Tracker), f"{subject}: gives {type(tracker).__name__}, no cliffkit.interfaces.Tracker")
    expect(_files(folder) == before, f"{subject}: writes files when it is built; wait for `begin`")

    run, other = _run(runs, 0), _run(runs, 1)
    _expect_steps(subject, tracker, run, {}, "a run that nobody told it of")
    tracker.points("embedding", [_point(step) for step in (1, 2, 30)])
    tracker.end("open")
    _expect_steps(subject, factory(**options), other, {}, "the second of two runs that differ in the seed")
    tracker = factory(**options)
    _expect_steps(subject, tracker, run, {"embedding": 30}, "a run that another object was told of")
    tracker.points("depth", [_point(step) for step in range(1, 31)])
    tracker.picture("val", 30, np.zeros((12, 18, 3), np.uint8))
    tracker.points("depth", [Point(40, {"loss": math.nan, "val/abs_rel": math.inf})])
    tracker.end("stopped")

    _expect_steps(subject, tracker, run, {"embedding": 30, "depth": 40}, "a run that was stopped")
    tracker.points("test", [Point(30, {"full/abs_rel": 0.1, "eigen+flip+median/rmse": 0.5})])
    tracker.picture("test", 30, np.full((9, 9, 3), 255, np.uint8))
    tracker.end("done")
    tracker = factory(**options)
    _expect_steps(subject, tracker, run, {"embedding": 30, "depth": 40, "test": 30}, "a run that is done")
    tracker.end("done")
    tracker = factory(**options)
    _expect_steps(subject, tracker, other, {}, "a run that was opened and told nothing")
    tracker.end("failed", "stage depth, step 3: the term 'l1' is nan")


def _expect_steps(subject: str, tracker: Tracker, run: RunFacts, steps: Mapping[str, int], which: str) -> None:
    known = dict(tracker.begin(run, PARAMETERS))
    expect(
        known == steps,
        f"{subject}: `begin` gives {known} for {which}, expected {dict(steps)}: the last step that was told, by stage; "
        "find an entry by the run's key, and read its steps from where they were recorded",
    )


def _point(step: int) -> Point:
    return Point(step, {"loss": 1 / step, "l1": 1 / step, "lr": 1e-4} | ({"val/abs_rel": 0.2} if step == 30 else {}))


def _run(runs: Path, seed: int) -> RunFacts:
    name, key = f"study.add.s{seed}", f"{seed}0123456789abcdef012"
    return RunFacts(name, key, "none + add", seed, "study", runs / "studies/study/cells" / f"{name}-{key[:8]}", runs)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))
