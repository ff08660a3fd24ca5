"""Trackers hear of a run what its log says, once; whatever they do, the run stays as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.events import Event, Notice, Progress, TrackerFailed, Validated
from cliffkit.jobs.course import FitLog
from cliffkit.jobs.plan import plan
from cliffkit.store.store import Store
from cliffkit_trackers.event_files import EventFiles

from ..conftest import Finished, Invoke
from ..engine_fixtures import RECIPE, bits, do, engine_recipe
from ..tracker_fixtures import close, curves_in, curves_of, read_back


def run(recipe: Path, runs: Path, heard: list[Event] | None = None, **options: object) -> cliffkit.verbs.finished.Run:
    progress = False if heard is None else heard.append
    return cliffkit.run(recipe, runs=runs, device="cpu", progress=progress, **options)  # type: ignore[arg-type]


def folder_of(runs: Path) -> Path:
    (files,) = (runs / "tensorboard").rglob("events.out.*")
    return files.parent


def test_a_tracked_run_has_the_bits_of_an_untracked_one_and_its_curves_are_its_log(tmp_path: Path) -> None:
    recipe = tmp_path / "engine.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    plain = run(recipe, tmp_path / "plain")
    heard: list[Event] = []
    tracked = run(recipe, tmp_path / "tracked", heard, track="tensorboard")
    assert tracked.folder.name == plain.folder.name
    assert bits(tracked.folder) == bits(plain.folder)

    folder = folder_of(tmp_path / "tracked")
    assert folder.relative_to(tmp_path / "tracked/tensorboard") == Path(f"engine/s0-{tracked.key[:8]}")
    curves = curves_of(folder)
    assert close(curves, curves_in(tracked.folder / "log.jsonl"))
    assert [step for step, _ in curves["depth/loss"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in curves["depth/val/abs_rel"]] == [2, 4, 6]

    said = read_back(folder)
    assert [event.step for event in said.Images("pictures/val")] == [2, 4, 6]
    assert [event.step for event in said.Images("pictures/test")] == [tracked.record.selection.step]  # type: ignore[union-attr]
    for protocol, metrics in tracked.metrics.items():
        for metric, value in metrics.items():
            (event,) = said.Scalars(f"test/{protocol}/{metric}")
            assert event.value == pytest.approx(value)
    pictures = [event.picture for event in heard if isinstance(event, Validated) and event.stage == "depth"]
    assert all(picture is not None and picture.dtype == np.uint8 for picture in pictures)
    assert {event.run.key for event in heard if event.run} == {tracked.key}
    assert all(event.run for event in heard)
    told = [event.text for event in heard if isinstance(event, Notice) and "tracker" in event.text]
    folder = f"{tmp_path}/tracked/tensorboard"
    assert told == [f"tracker 'tensorboard' is told of this run; look with: tensorboard --logdir {folder}"]


def test_a_run_that_is_done_is_told_after_the_fact_and_once(own_run: Finished) -> None:
    def told() -> dict[Path, int]:
        return {path: path.stat().st_size for path in (own_run.runs / "tensorboard").rglob("events*")}

    for _ in range(2):
        finished = run(own_run.recipe, own_run.runs, track=["tensorboard"])
        first = told()
    assert set(finished.reused) == {"pack", "images", "embedding", "depth", "evaluate"}
    assert told() == first
    folder = folder_of(own_run.runs)
    assert close(curves_of(folder), curves_in(own_run.folder / "log.jsonl"))
    assert read_back(folder).Tags()["images"] == ["pictures/test"]


def test_a_run_that_was_killed_and_goes_on_has_no_point_twice(tmp_path: Path) -> None:
    """SIGKILL, when the tracker has heard of steps of the fit."""
    recipe, runs = tmp_path / "engine.yaml", tmp_path / "runs"
    recipe.write_text(RECIPE, encoding="utf-8")
    code = "import cliffkit.jobs.track as t; t.LOOK_SECONDS = 0.02; from cliffkit.cli.main import main; main()"
    sets = ["--set", "train.depth={steps: 110, batch: 4, validate_every: 6}", "--set", "embedding.use=heg_r"]
    where = ["--runs", str(runs), "--device", "cpu", "--checkpoint-every", "4", "--track", "tensorboard"]
    command = [sys.executable, "-c", code, "run", str(recipe), *where, *sets]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    give_up = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < give_up and last_step(runs) < 40:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    assert last_step(runs) >= 40
    ended = subprocess.run(command, capture_output=True, env=environment, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "going on from step" in ended.stderr

    (finished,) = runs.glob("engine-*")
    files = sorted((runs / "tensorboard").rglob("events*"))
    assert len(files) == 2
    assert close(curves_of(files[0].parent), curves_in(finished / "log.jsonl"))
    steps = [event.step for event in read_back(files[0].parent).Images("pictures/val")]
    assert steps == sorted(set(steps))


def last_step(runs: Path) -> int:
    """The last step of stage depth in event files that another process writes."""
    tracker = EventFiles()
    steps = [0]
    for path in (runs / "tensorboard").rglob("events*"):
        for record in tracker._loader(str(path)).Load():
            event = tracker._event.FromString(record)
            steps += [event.step for value in event.summary.value if value.tag == "depth/loss"]
    return max(steps)


def test_only_steps_that_a_checkpoint_has_are_told_of_a_fit_at_work(tmp_path: Path, registry: Registry) -> None:
    recipe = engine_recipe(tmp_path, registry, "train.depth={steps: 130, batch: 2, validate_every: 113}")
    store, job = Store(tmp_path / "runs"), plan(recipe, {})[-2]
    log = FitLog(job, store, told=3)
    assert list(log.read()) == []

    class KilledError(Exception):
        pass

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "depth" and event.done == 120:
            raise KilledError

    with pytest.raises(KilledError):
        do(recipe, store.root, emit, checkpoint_every=115)
    assert [point.step for point in log.read()] == [*range(4, 101), 110, 113]
    assert list(log.read()) == []
    do(recipe, store.root)
    rest = list(log.read())
    assert [point.step for point in rest] == [120, 130]
    assert set(rest[-1].values) > {"lr", "loss", "l1", "gradient", "embedding", "val/abs_rel"}


@pytest.mark.parametrize("method", ["begin", "points", "picture", "end"])
def test_a_tracker_that_fails_is_named_once_and_told_the_rest_later(
    own_run: Finished, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tracker: EventFiles, *arguments: object) -> None:
        raise OSError(28, "No space left on device")

    heard: list[Event] = []
    with monkeypatch.context() as patch:
        patch.setattr(EventFiles, method, fail)
        finished = run(own_run.recipe, own_run.runs, heard, track="tensorboard")
    (failed,) = (event for event in heard if isinstance(event, TrackerFailed))
    assert str(failed).startswith("tracker 'tensorboard' failed: OSError: [Errno 28] No space left on device; the work")
    assert finished.metrics == cliffkit.load_run(own_run.folder).metrics

    heard.clear()
    run(own_run.recipe, own_run.runs, heard, track="tensorboard")
    assert not [event for event in heard if isinstance(event, TrackerFailed)]
    files = sorted((own_run.runs / "tensorboard").rglob("events*"))
    assert close(curves_of(files[0].parent), curves_in(own_run.folder / "log.jsonl"))


def test_a_tracker_that_fails_while_a_run_trains_is_tried_again(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, tries = EventFiles.begin, iter([True])

    def fail_first(tracker: EventFiles, *arguments: object) -> object:
        if next(tries, False):
            raise SystemExit(3)
        return begin(tracker, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(EventFiles, "begin", fail_first)
    heard: list[Event] = []
    finished = run(tiny_recipe, tmp_path / "runs", heard, track="tensorboard")
    (failed,) = (event for event in heard if isinstance(event, TrackerFailed))
    assert failed.reason.startswith("SystemExit: 3")
    assert close(curves_of(folder_of(tmp_path / "runs")), curves_in(finished.folder / "log.jsonl"))


def test_a_run_waits_for_a_tracker_that_hangs_no_longer_than_it_may(
    own_run: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, points = threading.Event(), EventFiles.points

    def hang(tracker: EventFiles, *arguments: object) -> None:
        released.wait(60)
        points(tracker, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(EventFiles, "points", hang)
    monkeypatch.setattr("cliffkit.jobs.track.PATIENCE_SECONDS", 0.2)
    heard: list[Event] = []
    run(own_run.recipe, own_run.runs, heard, track="tensorboard")
    (failed,) = (event for event in heard if isinstance(event, TrackerFailed))
    assert failed.reason == "it is too slow, no end after 0 s"

    released.set()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "tracker tensorboard")
    thread.join(10)
    assert not thread.is_alive(), "the call that hung was the last"
    assert set(curves_of(folder_of(own_run.runs))) == {
        f"embedding/{name}" for name in ("lr", "loss", "objective", "val/objective", "val/right")
    }


def test_what_is_wrong_with_a_tracker_is_said_before_anything_runs(
    tiny_recipe: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*trackers: str) -> str:
        options = [word for tracker in trackers for word in ("--track", tracker)]
        ran = invoke("run", tiny_recipe, "--runs", tmp_path / "runs", *options)
        assert ran.exit_code == 2
        assert not (tmp_path / "runs").exists()
        return ran.stderr

    assert "no tracker is called 'tensorbord'; did you mean 'tensorboard'?" in refused("tensorbord")
    assert "did you mean 'folder'?" in refused("{use: tensorboard, foldr: x}")
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    said = refused("mlflow", "tensorboard")
    assert "tracker 'tensorboard' needs the package tensorboard (" in said
    assert "pip install 'cliffkit[tensorboard]'" in said
    with pytest.raises(UserError, match=r"cliffkit\[tensorboard\]"):
        cliffkit.ablate(runs=tmp_path / "runs", track="tensorboard", progress=False)
