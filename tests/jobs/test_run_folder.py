"""A run's folder is laid out whole, and again where it was not."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

from cliffkit.jobs.run_folder import is_published, publish, run_folder
from cliffkit.store.artifacts import PerImage, RunMetrics
from cliffkit.store.store import Store

from ..study_fixtures import FinishedStudy


def test_a_folder_that_was_broken_off_is_not_published(finished_study: FinishedStudy, tmp_path: Path) -> None:
    cell, store = finished_study.cells[0], Store(finished_study.runs)
    folder = run_folder(cell.recipe, cell.jobs, tmp_path)
    assert not is_published(folder)
    assert publish(cell.recipe, cell.jobs, store, tmp_path) == folder
    assert is_published(folder)

    record = RunMetrics.read(folder)
    assert (record.name, record.key) == (cell.recipe.name, cell.jobs[-1].key)
    assert record.jobs == {job.stage: job.key for job in cell.jobs}
    assert record.seconds == {job.stage: store.record(job).seconds for job in cell.jobs}
    assert PerImage.read(folder).images == PerImage.read(store.folder(cell.jobs[-1])).images

    (folder / RunMetrics.FILE).unlink()  # the last that is written
    assert not is_published(folder)
    publish(cell.recipe, cell.jobs, store, tmp_path)
    assert RunMetrics.read(folder) == record


def test_one_process_at_a_time_lays_a_folder_out(finished_study: FinishedStudy, tmp_path: Path) -> None:
    cell, store = finished_study.cells[0], Store(finished_study.copy(tmp_path / "runs"))
    other = Thread(target=publish, args=(cell.recipe, cell.jobs, store, tmp_path))
    with store.claim(cell.jobs[-1]):
        other.start()
        other.join(0.2)
        assert other.is_alive()
        assert not is_published(run_folder(cell.recipe, cell.jobs, tmp_path))
    other.join()
    assert is_published(run_folder(cell.recipe, cell.jobs, tmp_path))
