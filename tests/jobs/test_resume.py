from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.events import Event, JobStarted, Notice, Progress, Validated
from cliffkit.jobs.plan import plan
from cliffkit.store.artifacts import Environment
from cliffkit.store.store import Store
from cliffkit.training.checkpoint import checkpoint_step

from ..engine_fixtures import RECIPE, bits, do, engine_recipe
from ..store_fixtures import flip

ALL_AT_ONCE = "steps: 24, schedule: step, milestones: [8, 16], reload_best: true, ema: 0.9, validate_every: 4, batch: 4"
WITH_OPTIMISER = ALL_AT_ONCE.replace("reload_best: true", "reload_best: all")
CHANGES = (f"train.embedding={{{ALL_AT_ONCE}}}", f"train.depth={{{WITH_OPTIMISER}, micro_batch: 2, clip_norm: 1}}")


class Killed(BaseException):
    pass


def die(when: Callable[[Event], bool], heard: list[Event]) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        heard.append(event)
        if when(event):
            raise Killed

    return emit


def validated(stage: str, step: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Validated) and (event.stage, event.step) == (stage, step)


def looked(stage: str, step: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Progress) and (event.stage, event.done) == (stage, step)


def test_a_run_that_was_killed_ends_with_the_bits_of_an_unbroken_one(tmp_path: Path, registry: Registry) -> None:
    """In bf16, with averaged weights, milestones that go back to the best, micro-batches, a loss that draws."""
    losses = "loss=[{use: l1}, {use: ssi, gradient: 0.5}, {use: virtual_normals, triangles: 64}]"
    recipe = engine_recipe(tmp_path, registry, *CHANGES, "train.precision=bf16", losses)
    unbroken = do(recipe, tmp_path / "unbroken", precision="bf16")
    broken = tmp_path / "broken"
    # the step of the kill, and of the checkpoint that it leaves
    deaths = [
        ("embedding", validated("embedding", 8), None),  # before the first checkpoint
        ("embedding", validated("embedding", 12), 10),
        ("embedding", looked("embedding", 20), 10),  # logged already, not yet saved
        ("depth", validated("depth", 16), 10),
        ("depth", validated("depth", 24), 20),  # all but finished
    ]
    at: dict[str, int | None] = {}
    for stage, death, left in deaths:
        heard: list[Event] = []
        with pytest.raises(Killed):
            do(recipe, broken, die(death, heard), "bf16", checkpoint_every=10)
        started = [event for event in heard if isinstance(event, JobStarted) and event.stage == stage]
        assert [event.resumed_at for event in started] == [at.get(stage)]
        (folder,) = (broken / "jobs").glob(f"{stage}-*.partial")
        state = folder / "checkpoint" / "state.json"
        at[stage] = json.loads(state.read_text())["state"]["step"] if state.exists() else None
        assert at[stage] == left
    finished = do(recipe, broken, precision="bf16")
    assert set(finished.reused) == {"pack", "images", "embedding"}
    assert bits(finished.folder) == bits(unbroken.folder)
    log = map(json.loads, (finished.folder / "log.jsonl").read_text().splitlines())
    steps = [(line["stage"], line["step"]) for line in log if "lr" in line]
    assert steps == [(stage, step) for stage in ("embedding", "depth") for step in range(1, 25)]
    assert not [path for path in (broken / "jobs").iterdir() if path.suffix == ".partial"]


def test_a_run_killed_by_the_system_ends_with_the_bits_of_an_unbroken_one(tmp_path: Path, registry: Registry) -> None:
    """SIGKILL, once in each stage that takes long, at a moment nobody chose."""
    longer = [
        f"train.{stage}={{steps: 40, batch: 4, validate_every: 15, ema: 0.9}}" for stage in ("embedding", "depth")
    ]
    recipe = engine_recipe(tmp_path, registry, *longer)
    unbroken = do(recipe, tmp_path / "unbroken")
    jobs, store = plan(recipe, {}), Store(tmp_path / "broken")
    partial = {job.stage: store.folder(job).with_name(f"{job.stage}-{job.key}.partial") for job in jobs}
    (tmp_path / "engine.yaml").write_text(RECIPE, encoding="utf-8")
    code = "from cliffkit.cli.main import main; main()"
    sets = [argument for change in longer for argument in ("--set", change)]
    where = ["--runs", str(store.root), "--device", "cpu", "--checkpoint-every", "3"]
    command = [sys.executable, "-c", code, "run", str(tmp_path / "engine.yaml"), *where, *sets]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    moments = random.Random()
    for sign in (
        partial["pack"] / "train" / "image.npy",
        partial["embedding"] / "checkpoint",
        partial["depth"] / "checkpoint",
    ):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
        give_up = time.monotonic() + 60
        while not sign.exists() and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors.decode()
    last = subprocess.run(command, capture_output=True, env=environment, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert "going on from step" in last.stderr or store.done(jobs[-2]), last.stderr
    (finished,) = store.root.glob("engine-*")
    assert bits(finished) == bits(unbroken.folder)


STEPS_24 = "train.depth={steps: 24, batch: 4, validate_every: 6}"


@dataclass(frozen=True)
class BrokenOff:
    """A finished run, and the store of one that is not, with its last two checkpoints."""

    unbroken: Path
    store: Path
    checkpoints: list[Path]
    """After steps 10 and 20."""

    def copy(self, to: Path) -> Path:
        """Copy the store; gives the folder that stage `depth` was killed in."""
        shutil.copytree(self.store / "jobs", to / "jobs")
        (folder,) = (to / "jobs").glob("depth-*.partial")
        return folder


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> BrokenOff:
    root = tmp_path_factory.mktemp("broken_off")
    recipe = engine_recipe(root, registry, STEPS_24)
    unbroken = do(recipe, root / "unbroken").folder
    store = root / "broken"
    shutil.copytree(unbroken.parent / "jobs", store / "jobs", ignore=shutil.ignore_patterns("depth-*", "evaluate-*"))
    checkpoints = []
    for step in (18, 24):
        with pytest.raises(Killed):
            do(recipe, store, die(validated("depth", step), []), checkpoint_every=10)
        (checkpoint,) = (store / "jobs").glob("depth-*.partial/checkpoint")
        checkpoints.append(shutil.copytree(checkpoint, root / f"killed at {step}"))
    states = [json.loads((checkpoint / "state.json").read_text())["state"] for checkpoint in checkpoints]
    assert [state["step"] for state in states] == [10, 20]
    return BrokenOff(unbroken, store, checkpoints)


@pytest.mark.parametrize("old", [".checkpoint.123.old", "checkpoint"], ids=["between the renames", "before them"])
def test_a_kill_while_a_checkpoint_takes_the_place_of_another_changes_no_bit(
    tmp_path: Path, registry: Registry, broken_off: BrokenOff, old: str
) -> None:
    folder = broken_off.copy(tmp_path)
    shutil.rmtree(folder / "checkpoint")
    shutil.copytree(broken_off.checkpoints[0], folder / old)
    shutil.copytree(broken_off.checkpoints[1], folder / "checkpoint.new")
    finished = do(engine_recipe(tmp_path, registry, STEPS_24), tmp_path)
    assert bits(finished.folder) == bits(broken_off.unbroken)
    assert not list((tmp_path / "jobs").glob("depth-*/*checkpoint*"))


def test_a_fault_that_the_user_can_mend_costs_no_checkpoint(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, broken_off: BrokenOff
) -> None:
    """As when a run is resumed by a number of processes that cannot share its batch."""
    folder = broken_off.copy(tmp_path)

    def refuse(*arguments: object, **named: object) -> None:
        raise UserError("train.depth.batch: 4 images cannot be shared evenly by 3 processes")

    monkeypatch.setattr("cliffkit.stages.depth.fit", refuse)
    with pytest.raises(UserError, match="cannot be shared"):
        do(engine_recipe(tmp_path, registry, STEPS_24), tmp_path)
    assert (folder / "checkpoint" / "state.json").exists()


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (["checkpoint/optimizer.safetensors"], "it goes on from step 10"),
        (["checkpoint/state.json"], "it goes on from step 10"),
        (["checkpoint/weights.safetensors", "checkpoint.old/best.safetensors"], "it begins anew"),
        (["log.jsonl"], "it begins anew"),
    ],
    ids=["the last", "its state", "both", "the log"],
)
def test_a_damaged_checkpoint_changes_no_bit(
    tmp_path: Path, registry: Registry, broken_off: BrokenOff, spoilt: list[str], said: str
) -> None:
    folder = broken_off.copy(tmp_path)
    assert {path.name for path in folder.glob("checkpoint*")} == {"checkpoint", "checkpoint.old"}
    for name in spoilt:
        flip(folder / name) if name != "log.jsonl" else (folder / name).write_text("")
    heard: list[Event] = []
    finished = do(engine_recipe(tmp_path, registry, STEPS_24), tmp_path, heard.append)
    assert bits(finished.folder) == bits(broken_off.unbroken)
    texts = [event.text for event in heard if isinstance(event, Notice)]
    assert texts
    assert all(f"depth: the checkpoint {folder}" in text and text.endswith(said) for text in texts)


@pytest.mark.parametrize("goes_on", [True, False], ids=["goes on", "begins anew"])
def test_what_attempts_before_were_trained_with_is_kept_where_a_fit_goes_on(
    tmp_path: Path, registry: Registry, broken_off: BrokenOff, goes_on: bool
) -> None:
    folder = broken_off.copy(tmp_path)
    first = Environment.read(folder)
    assert first.earlier_attempts == ()
    other = {"device": "another processor", "earlier_attempts": ["threads 64"], "nondeterministic": ["scatter"]}
    replace(first, versions={**first.versions, "torch": "2.10"}, **other).write(folder)
    for checkpoint in () if goes_on else folder.glob("checkpoint*"):
        shutil.rmtree(checkpoint)
    finished = do(engine_recipe(tmp_path, registry, STEPS_24), tmp_path)
    kept = Environment.read(finished.folder)
    assert kept.earlier_attempts == (("threads 64", "device another processor, torch 2.10") if goes_on else ())
    assert kept.nondeterministic == (("scatter",) if goes_on else ())
    assert (kept.device, kept.versions) == (first.device, first.versions)
    (embedding,) = (tmp_path / "jobs").glob("embedding-*/")
    assert Environment.read(embedding) == first


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_saves_its_last_step_and_goes_on_from_it(
    tmp_path: Path, registry: Registry, number: signal.Signals, code: int
) -> None:
    longer = "train.depth={steps: 2000, batch: 4, validate_every: 1000}"
    recipe = engine_recipe(tmp_path, registry, longer)
    depth = plan(recipe, {})[-1].needs["depth"]
    folder = tmp_path / "runs" / "jobs" / f"depth-{depth.key}.partial"
    (tmp_path / "engine.yaml").write_text(RECIPE, encoding="utf-8")
    where = ["--runs", str(tmp_path / "runs"), "--device", "cpu", "--set", longer]
    command = [sys.executable, "-m", "cliffkit", "run", str(tmp_path / "engine.yaml"), *where]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where the tests run in a shell's background
    )  # fmt: skip
    give_up = time.monotonic() + 90
    while time.monotonic() < give_up and process.poll() is None:
        if (folder / "log.jsonl").exists() and (folder / "log.jsonl").stat().st_size:
            break
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == f"stopped by {number.name}; the same command goes on where this one was"
    saved = checkpoint_step(folder)
    assert saved is not None
    assert saved > 0
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, saved + 1)), "the log ends with the step that was saved"
