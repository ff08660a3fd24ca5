"""Jobs of a study: each once, whoever needs it; what fails takes nothing else with it; what was broken off goes on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cliffkit.components.load import load_plugins
from cliffkit.components.registry import Registry
from cliffkit.errors import Stopped, UserError
from cliffkit.events import Event, Notice
from cliffkit.interfaces import Place
from cliffkit.jobs.worker import JobTask
from cliffkit.store.artifacts import FitFacts
from cliffkit.store.store import Store
from cliffkit.study.board import Board, JobState
from cliffkit.study.cells import jobs_of, plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.run import run_cells
from cliffkit.workers import stoppable
from cliffkit_executors.local import Local

from ..study_fixtures import BASE, STUDY, FinishedStudy, Inline, run_small, small_study


def test_every_job_is_done_once_whatever_shares_it(finished_study: FinishedStudy) -> None:
    cells, given = finished_study.cells, finished_study.given
    assert Board(cells, Store(finished_study.runs)).count("done") == len(cells) == 8
    assert len(given) == len(set(given)) == len(jobs_of(cells)) == 1 + 1 + 1 + 8 + 8
    stages = [name.split("-")[0] for name in given]
    assert stages[:3] == ["pack", "images", "embedding"], "what others wait for goes first"
    assert all(stages[i + 1] == "evaluate" for i, stage in enumerate(stages) if stage == "depth"), "cells end soon"


def test_states_that_are_kept_are_those_that_would_be_found_anew(finished_study: FinishedStudy, tmp_path: Path) -> None:
    board, dice = Board(finished_study.cells, Store(tmp_path / "runs")), random.Random(0)
    entries = list(board.jobs.values())
    seen: set[str] = set()
    for turn in range(300):
        state = dice.choice(("done", "done", "done", "running", "elsewhere", "waiting", "failed"))
        board.put(dice.choice(entries), state)
        if turn % 50 == 49:
            board.retry()
        states = {cell.name: board._find_state(cell) for cell in board.cells}
        assert {cell.name: board.cell_state(cell) for cell in board.cells} == states
        assert board.counts() == Counter(states.values())
        wanted = {job.key for cell in board.cells if states[cell.name] != "failed" for job in cell.jobs}
        left = [each for each in entries if each.state not in ("done", "failed") and each.job.key in wanted]
        assert board.left() == left
        seen |= set(states.values())
    assert seen == {"done", "running", "elsewhere", "waiting", "failed"}


def test_what_is_done_is_not_done_again_and_new_cells_run_alone(
    tmp_path: Path, registry: Registry, finished_study: FinishedStudy
) -> None:
    runs = finished_study.copy(tmp_path / "runs")
    again = Inline()
    assert run_small(finished_study.cells, runs, again).count("done") == 8
    assert again.given == []
    _, more = small_study(tmp_path, registry, STUDY.replace("[0, 1]", "[0, 1, 5]"))
    run_small(more, runs, again)
    assert sorted(name.split("-")[0] for name in again.given) == ["depth"] * 4 + ["evaluate"] * 4


FAILING = (
    STUDY.replace("model.fusion: {use: add}", "train.depth.lr: 1e30").replace("add:", "wild:").replace("[0, 1]", "[0]")
)


def test_a_job_that_fails_takes_no_other_cell_with_it(tmp_path: Path, registry: Registry) -> None:
    _, cells = small_study(tmp_path, registry, FAILING)
    board = run_small(cells, tmp_path / "runs")
    for cell in cells:
        assert board.cell_state(cell) == ("failed" if "wild" in cell.variant.name else "done")
        if "wild" in cell.variant.name:
            assert "depth: stage depth, step" in board.cell_reason(cell)
    again = Inline()
    board = run_small(cells, tmp_path / "runs", again)
    assert (again.given, board.count("failed")) == ([], 2), "what failed is left alone"
    board = Board(cells, Store(tmp_path / "runs"))
    board.retry()
    run_cells(board, again, {}, lambda board: None)
    assert [name.split("-")[0] for name in again.given] == ["depth"] * 2, "unless it is asked for"
    assert board.count("failed") == 2


def test_a_shared_job_that_fails_fails_the_cells_that_need_it(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cells = small_study(tmp_path, registry, STUDY.replace("[0, 1]", "[0]"))
    monkeypatch.setitem(sys.modules["cliffkit.jobs.execute"].STAGES, "embedding", lambda job, context: 1 / 0)
    board = run_small(cells, tmp_path / "runs")
    for cell in cells:
        assert board.cell_state(cell) == ("failed" if "heg_s" in cell.variant.name else "done")
    (job,) = [job for job in jobs_of(cells).values() if job.stage == "embedding"]
    failure = board.store.failure(job)
    assert failure is not None
    assert failure.reason == "ZeroDivisionError: division by zero"
    assert "Traceback" in failure.details


@pytest.mark.parametrize("ends", ["is done", "dies"])
def test_a_job_of_another_process_is_left_to_it_while_it_lives(
    tmp_path: Path, finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr("cliffkit.study.board.ELSEWHERE_SECONDS", 0.2)
    monkeypatch.setattr("cliffkit.study.run.LOOK_SECONDS", 0.05)
    cells = finished_study.cells
    held = next(job for job in cells[0].jobs if job.stage == "depth")
    store = Store(finished_study.copy(tmp_path / "runs", f"depth-{held.key}", f"evaluate-{cells[0].jobs[-1].key}"))
    board, executor = Board(cells, store), Inline()
    seen: list[str] = []
    claim = contextlib.ExitStack()
    claim.enter_context(store.claim(held))

    def show(board: Board) -> None:
        seen.append(board.jobs[held.key].state)
        if len(seen) == 10:
            assert "elsewhere" in seen
            assert "done" not in seen
            if ends == "is done":
                shutil.copytree(Store(finished_study.runs).folder(held), store.folder(held))
            claim.close()

    run_cells(board, executor, {}, show)
    assert board.count("done") == 8
    original = Store(finished_study.runs).record(held).finished
    assert (store.record(held).finished == original) == (ends == "is done")


def test_a_job_whose_process_was_stopped_is_done_the_next_time(
    tmp_path: Path, finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the work of an executor raises something strange."""
    cells = finished_study.cells
    runs = finished_study.copy(tmp_path / "runs", *(f"evaluate-{cell.jobs[-1].key}" for cell in cells[:2]))
    errors = [Stopped(signal.SIGTERM), SystemExit(3)]

    class Refusing(Inline):
        def submit(self, work: Callable, task: JobTask) -> Future:
            future: Future = Future()
            future.set_exception(errors.pop(0))
            return future

    board = run_small(cells, runs, Refusing())
    reasons = sorted(board.cell_reason(cell) for cell in cells[:2])
    assert "SystemExit: 3" in reasons[0]
    assert "its process was stopped by SIGTERM; the same command does it again" in reasons[1]
    again = Inline()
    assert run_small(cells, runs, again).count("failed") == 1
    assert len(again.given) == 1


def test_a_process_that_said_why_it_ends_is_told_by_its_own_words(
    tmp_path: Path, finished_study: FinishedStudy
) -> None:
    """As one that lost its GPU; the exit code would say nothing."""
    cells = finished_study.cells

    class Ending(Inline):
        def submit(self, work: Callable, task: JobTask) -> Future:
            if not self.given:
                Store(task.runs).fail(task.job, "an assertion failed on the GPU", "where it failed")
            self.given.append(task.job.key)
            future: Future = Future()
            future.set_exception(UserError("its process ended with exit code 3"))
            return future

    runs = finished_study.copy(tmp_path / "runs", *(f"evaluate-{cell.jobs[-1].key}" for cell in cells[:2]))
    executor = Ending()
    board = run_small(cells, runs, executor)
    reasons = [board.jobs[key].reason for key in executor.given]
    assert reasons == ["an assertion failed on the GPU", "its process ended with exit code 3"]
    failure = board.store.failure(board.jobs[executor.given[0]].job)
    assert failure is not None
    assert failure.details == "where it failed"


def test_what_only_failed_cells_need_is_not_done(tmp_path: Path, registry: Registry) -> None:
    _, cells = small_study(tmp_path, registry, STUDY.replace("[0, 1]", "[0]"))
    store, again = Store(tmp_path / "runs"), Inline()
    for cell in cells:
        store.fail(next(job for job in cell.jobs if job.stage == "depth"), "broken", "")
    board = run_small(cells, tmp_path / "runs", again)
    assert (again.given, board.to_do(), board.count("failed")) == ([], [], len(cells))


# ---- real processes


def work_until_stopped(path: Path, place: Place) -> None:
    """A job that saves what it has when it is stopped."""
    with stoppable():
        try:
            path.with_suffix(".begun").touch()
            time.sleep(60)
        finally:
            path.touch()


def test_workers_that_are_closed_save_their_work_first(tmp_path: Path) -> None:
    executor = Local(1, "cpu")
    future = executor.submit(work_until_stopped, tmp_path / "saved")
    give_up = time.monotonic() + 60
    while not (tmp_path / "saved.begun").exists() and time.monotonic() < give_up:
        time.sleep(0.02)
    executor.close()
    assert (tmp_path / "saved").exists()
    assert isinstance(future.exception(10), Stopped)


def test_a_worker_that_is_stopped_alone_is_no_failure(tmp_path: Path) -> None:
    executor = Local(1, "cpu")
    try:
        process = executor.submit(where_am_i, None).result()
        future = executor.submit(sleep_long, None)
        os.kill(process, signal.SIGTERM)
        error = future.exception(30)
    finally:
        executor.close()
    assert isinstance(error, Stopped)
    assert error.number == signal.SIGTERM


def where_am_i(nothing: None, place: Place) -> int:
    return os.getpid()


def sleep_long(nothing: None, place: Place) -> None:
    time.sleep(60)


def test_workers_that_are_not_needed_any_more_end() -> None:
    """On a GPU each of them holds memory."""
    executor = Local(None, "cpu")
    executor.choices = [1, 3]
    try:
        executor.resize(3)
        futures = [executor.submit(where_am_i, None) for _ in range(3)]
        first, *others = [psutil.Process(future.result()) for future in futures]
        executor.resize(1)
        assert not any(process.is_running() for process in others)
        assert executor.submit(where_am_i, None).result() == first.pid
        executor.resize(3)
        again = {executor.submit(where_am_i, None).result() for _ in range(3)}
        assert first.pid in again
    finally:
        executor.close()


@pytest.fixture
def murderous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry with a fusion that kills its process on first use."""
    module = tmp_path / "plugins"
    module.mkdir()
    (module / "murderous.py").write_text(
        "import os, signal\nfrom cliffkit_fusions.add import Add\n"
        "class Murderous(Add):\n"
        "    def forward(self, low, high):\n"
        "        if self.training: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().forward(low, high)\n"
    )
    monkeypatch.syspath_prepend(module)
    registry = load_plugins().registry
    registry.from_plugin("murderous", "1")
    registry.add("fusion", "murderous", "murderous:Murderous")
    yield registry
    sys.modules.pop("murderous", None)


def test_a_worker_that_is_killed_fails_its_cell_alone_and_says_why(tmp_path: Path, murderous: Registry) -> None:
    text = STUDY.replace("[0, 1]", "[0]").replace("{use: add}", "{use: murderous}")
    _, cells = small_study(tmp_path, murderous, text)
    executor = Local(2, "cpu")
    try:
        board = run_small(cells, tmp_path / "runs", executor)
    finally:
        executor.close()
    states = {cell.variant.name: board.cell_state(cell) for cell in cells}
    assert states == {
        "none + cliff": "done", "none + add": "failed", "heg_s + cliff": "done", "heg_s + add": "failed",
    }  # fmt: skip
    assert "SIGKILL" in board.cell_reason(cells[1])
    assert "memory" in board.cell_reason(cells[1])


def scores(runs: Path, cells: list) -> dict[str, str]:
    """Every cell's scores, bit for bit."""
    store = Store(runs)
    return {cell.name: (store.folder(cell.jobs[-1]) / "per_image.csv").read_text() for cell in cells}


LONGER = BASE.replace("steps: 4, batch: 4", "steps: 30, batch: 4")


def command(study: Path, runs: Path) -> list[str]:
    """`cliffkit ablate` with checkpoints as often as can be."""
    code = "from cliffkit.cli.main import main; main()"
    workers = str(len(os.sched_getaffinity(0)))  # a thread each, as in the unbroken study: threads change the last bits
    where = ["--runs", str(runs), "--device", "cpu", "--workers", workers, "--checkpoint-every", "2"]
    return [sys.executable, "-c", code, "ablate", str(study), *where]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> tuple[Path, dict[str, str]]:
    """The longer study's file, and its scores from a run that nothing broke off."""
    root = tmp_path_factory.mktemp("unbroken")
    text = STUDY.replace("[0, 1]", "[0]")
    _, cells = small_study(root, registry, text, LONGER)
    run_small(cells, root / "runs")
    return root / "study.yaml", scores(root / "runs", cells)


def test_a_study_that_was_killed_goes_on_and_ends_with_the_same_bits(
    tmp_path: Path, registry: Registry, unbroken: tuple[Path, dict[str, str]]
) -> None:
    """SIGKILL of the coordinator, twice, at moments nobody chose; its workers must not live on."""
    study, expected = unbroken
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    moments = random.Random()
    jobs = tmp_path / "runs" / "jobs"
    for sign in ("embedding-*/checkpoint", "depth-*.partial/checkpoint"):
        with subprocess.Popen(
            command(study, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        ) as process:
            give_up = time.monotonic() + 60
            while not list(jobs.glob(sign)) and process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.02)
            time.sleep(moments.uniform(0, 0.5))
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive, "workers end with the process that started them"
    last = subprocess.run(
        command(study, tmp_path / "runs"), capture_output=True, text=True, env=environment, check=False
    )
    assert last.returncode == 0, last.stderr
    cells = plan_cells(load_study(study, registry), {})
    assert scores(tmp_path / "runs", cells) == expected
    assert not list(jobs.glob("*.partial"))


def test_two_at_once_share_the_work(tmp_path: Path, registry: Registry, unbroken: tuple[Path, dict[str, str]]) -> None:
    study, expected = unbroken
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [*command(study, tmp_path / "runs"), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    cells = plan_cells(load_study(study, registry), {})
    assert scores(tmp_path / "runs", cells) == expected
    said = [json.loads(out) for out, _ in outputs]
    assert said[0]["variants"] == said[1]["variants"]


@pytest.mark.parametrize(("choices", "left"), [([1, 2, 4], 2), ([4], 4)])
def test_where_memory_ends_in_a_fit_half_as_many_run_at_once(
    finished_study: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choices: list[int], left: int
) -> None:
    store = Store(finished_study.copy(tmp_path / "runs", "depth-", "evaluate-"))
    halved = iter([True])
    read = FitFacts.read.__func__  # type: ignore[attr-defined]

    def crowded(cls: type[FitFacts], folder: Path) -> FitFacts:
        facts = read(cls, folder)
        return replace(facts, micro_batch=2) if folder.name.startswith("depth") and next(halved, False) else facts

    monkeypatch.setattr(FitFacts, "read", classmethod(crowded))
    executor = Inline(4)
    executor.choices = choices
    board, told = Board(finished_study.cells, store), list[Event]()
    slots: list[int] = []
    run_cells(board, executor, {}, lambda board: slots.append(board.slots), told.append)
    assert (slots[0], slots[-1]) == (4, left)
    said = [
        event.text for event in told if isinstance(event, Notice) and "ran out of memory beside others" in event.text
    ]
    assert len(said) == (left < 4)
    assert board.count("done") == len(finished_study.cells)


class Late(Inline):
    """Does what it was given when it is told to."""

    def __init__(self, choices: list[int]) -> None:
        super().__init__(max(choices))
        self.choices, self.fits = choices, list[str]()
        self.begun: list[tuple[Future, Callable[[], object]]] = []

    def submit(self, work: Callable, task: JobTask) -> Future:
        future: Future = Future()
        self.begun.append((future, lambda: work(task, self.place)))
        if task.job.stage == "depth":
            self.fits.append(task.job.key)
        return future

    def end_all(self) -> None:
        for future, work in self.begun:
            future.set_result(work())
        self.begun = []


@pytest.mark.parametrize(("short", "left"), [(0, 4), (4, 2), (5, 1)])
def test_one_shortage_of_memory_halves_once_whatever_ran_in_it(
    finished_study: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: int, left: int
) -> None:
    """Four fits run beside each other, so the fifth begins after them. Paces of fewer jobs at once are not kept."""
    store = Store(finished_study.copy(tmp_path / "runs", "depth-", "evaluate-"))
    executor, learnt = Late([1, 2, 4]), list[int]()

    def ran_out(board: Board, entry: JobState) -> bool:
        return entry.job.key in executor.fits[:short]

    monkeypatch.setattr("cliffkit.study.run._ran_out_of_memory", ran_out)
    monkeypatch.setattr("cliffkit.study.run.learn_from", lambda *of: learnt.append(board.slots))
    board, told = Board(finished_study.cells, store), list[Event]()
    run_cells(board, executor, {}, lambda board: executor.end_all(), told.append)
    assert board.slots == left
    assert [type(event) for event in told] == [Notice] * {4: 0, 2: 1, 1: 2}[left]
    assert board.count("done") == len(finished_study.cells)
    assert learnt == ([] if short else [4] * 16)


def test_an_executor_without_processes_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_semaphore(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as with a full /dev/shm

    monkeypatch.setattr("cliffkit_executors.local.ProcessPoolExecutor", no_semaphore)
    with pytest.raises(UserError, match="no process for a worker: No space left on device; make room in /dev/shm"):
        Local(1, "cpu").submit(lambda task, place: task, None)


def test_paces_that_cannot_be_kept_end_no_study(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(path: Path, value: object) -> None:
        raise UserError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr("cliffkit.study.pace.write_json", no_room)
    _, cells = small_study(tmp_path, registry, STUDY.replace("[0, 1]", "[0]"))
    board = run_small(cells, tmp_path / "runs")
    assert board.count("done") == len(cells)
    assert not (tmp_path / "runs" / "paces.json").exists()
