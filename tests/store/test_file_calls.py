"""What a look into a store costs in calls of the file system: over a network, each takes about a millisecond.

docs/why/performance.md states the numbers; who changes them here changes them there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cliffkit.components.load import load_plugins
from cliffkit.interfaces import Place
from cliffkit.jobs.worker import JobTask, do_job
from cliffkit.store import checksums
from cliffkit.store.snapshot import Snapshot
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.cells import jobs_of, plan_cells
from cliffkit.study.reading import load_results
from cliffkit.study.run import find_damaged

from ..benchmarks.harness import file_calls
from ..store_fixtures import flip
from ..study_fixtures import FinishedStudy

Calls = list[tuple[str, str]]


def calls_of(work: Callable[[], object], store: Store) -> Calls:
    with file_calls(store.root) as calls:
        work()
    return calls


@pytest.fixture(params=[0, 300], ids=["alone", "among 300 others"])
def store(request: pytest.FixtureRequest, finished_study: FinishedStudy, tmp_path: Path) -> Store:
    """The finished study, alone or in a store that other studies and runs share."""
    store = Store(finished_study.copy(tmp_path / "runs"))
    for k in range(request.param):
        (store.jobs / f"depth-{k:020d}").mkdir()
        (store.root / f"run-{k:08d}").mkdir()
    return store


def claim(store: Store, finished_study: FinishedStudy) -> None:
    with store.claim(finished_study.cells[0].jobs[0]):
        pass


def test_a_look_at_a_job_costs_the_same_however_many_the_store_has(
    store: Store, finished_study: FinishedStudy, tmp_path: Path
) -> None:
    cell = finished_study.cells[-1]
    evaluate, place = cell.jobs[-1], Place("cpu", 1)
    assert store.damage(evaluate) is None  # its checksums are known
    claim(store, finished_study)
    looks: dict[str, tuple[int, Callable[[], object]]] = {
        "open the store": (5, lambda: Store(store.root)),
        "is it done": (1, lambda: store.done(evaluate)),
        "has it failed": (1, lambda: store.failure(evaluate)),
        "is it damaged": (5, lambda: store.damage(evaluate)),
        "claim it": (8, lambda: claim(store, finished_study)),
        "a worker that finds it done": (22, lambda: do_job(JobTask(evaluate, store.root, {}), place)),
    }
    for name, (most, look) in looks.items():
        calls = calls_of(look, store)
        assert 0 < len(calls) <= most, (name, calls)
        listings = [path for call, path in calls if call in ("listdir", "scandir")]
        assert listings == [], f"{name}: no folder is listed"


def test_a_study_looks_at_each_of_its_jobs_once(store: Store, finished_study: FinishedStudy) -> None:
    cells, jobs = finished_study.cells, jobs_of(finished_study.cells)
    assert calls_of(lambda: plan_cells(finished_study.study, {}), store) == [], "a plan needs no store"

    board = Board(cells, store)
    assert len(calls_of(lambda: Board(cells, store), store)) == len(jobs)
    assert all(entry.state == "done" for entry in board.jobs.values())

    files = sum(1 + len(store.record(job).files) for job in jobs.values())
    find_damaged(board)  # checksums are known from here on
    assert len(calls_of(lambda: find_damaged(board), store)) == files, "the record, and the size of every file"


def test_a_report_compares_each_file_of_a_cell_once_and_reads_it_once(
    store: Store, finished_study: FinishedStudy
) -> None:
    """A job that cells share, such as the pack, is looked at once: ten thousand cells would ask for it again."""

    def loading(number: int) -> int:
        checksums._known.clear()
        return len(calls_of(lambda: load_results(finished_study.study, cells[:number], store), store))

    cells = [cell for cell in finished_study.cells if "embedding" not in cell.keys]
    assert len(cells) == 4
    one, two, four = map(loading, (1, 2, 4))
    assert two - one == 24
    assert four - two == 2 * 24


def test_what_is_to_do_is_asked_twice_a_job(finished_study: FinishedStudy, tmp_path: Path) -> None:
    store, cells = Store(tmp_path / "runs"), finished_study.cells
    jobs = jobs_of(cells)
    assert len(calls_of(lambda: Board(cells, store), store)) == 2 * len(jobs), "is it done, has it failed"
    assert len(calls_of(lambda: load_results(finished_study.study, cells, store), store)) == 2 * len(jobs)


def test_a_snapshot_says_what_its_store_says_and_asks_it_once(store: Store, finished_study: FinishedStudy) -> None:
    job = finished_study.cells[0].jobs[-1]
    store.fail(job, "no memory", "")
    flip(store.folder(job) / "panel.png")
    snapshot = Snapshot(store)
    for _ in range(2):
        assert snapshot.done(job)
        assert snapshot.failure(job) == store.failure(job)
        assert snapshot.damage(job) == store.damage(job) != snapshot.damage(job, skip=(".png",))
        assert snapshot.record(job) == store.record(job)
    assert calls_of(lambda: (snapshot.done(job), snapshot.failure(job), snapshot.damage(job)), store) == []


def test_the_counter_sees_every_kind_of_call(tmp_path: Path) -> None:
    with file_calls(tmp_path / "seen") as calls:
        (tmp_path / "seen").mkdir()
        (tmp_path / "seen" / "a").write_text("a")
        (tmp_path / "seen" / "a").rename(tmp_path / "seen" / "b")
        list((tmp_path / "seen").iterdir())
        (tmp_path / "seen" / "b").stat()
        (tmp_path / "unseen").mkdir()
    assert [call for call, _ in calls] == ["mkdir", "open", "rename", "listdir", "stat"]


def test_plugins_are_loaded_without_a_look_into_the_store(store: Store) -> None:
    assert calls_of(load_plugins, store) == []
