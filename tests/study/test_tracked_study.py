"""A study is told to a tracker by its workers, and after the fact."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tensorboard.plugins.hparams import metadata

import cliffkit
from cliffkit.events import CellFinished, Event, TrackerFailed
from cliffkit.store.store import Store
from cliffkit.verbs.findings import Findings

from ..study_fixtures import FinishedStudy, write_study
from ..tracker_fixtures import close, curves_in, curves_of, read_back

STUDY = """\
name: small
base: base.yaml
seeds: [0, 1]
axes: {fusion: {cliff: {}, add: {model.fusion: {use: add}}}}
compare: {reference: {fusion: add}}
"""


def told(root: Path) -> dict[str, Path]:
    """The folders of event files, by the beginnings of runs' keys."""
    return {path.parent.name.partition("-")[2]: path.parent for path in root.rglob("events*")}


def check_cells(findings: Findings, root: Path) -> None:
    """Every cell that is done was told as its log and its scores say."""
    folders = told(root)
    for cell in (result.cell for result in findings.results.cells if result.state == "done"):
        run, folder = findings.run(cell.variant.name, cell.seed), folders[cell.key[:8]]
        assert close(curves_of(folder), curves_in(run.folder / "log.jsonl"))
        (score,) = read_back(folder).Scalars("test/full/abs_rel")
        assert score.value == pytest.approx(run.metrics["full"]["abs_rel"])


def test_two_workers_tell_of_every_cell_what_its_log_says(tmp_path: Path) -> None:
    study, runs, heard = write_study(tmp_path, STUDY), tmp_path / "runs", list[Event]()
    findings = cliffkit.ablate(study, runs=runs, device="cpu", workers=2, track="tensorboard", progress=heard.append)
    assert not [event for event in heard if isinstance(event, TrackerFailed)]
    cells = [result.cell for result in findings.results.cells]
    assert sorted(str(folder.relative_to(runs / "tensorboard")) for folder in told(runs / "tensorboard").values()) == (
        sorted(f"small/{cell.variant.name}/s{cell.seed}-{cell.key[:8]}" for cell in cells)
    )
    check_cells(findings, runs / "tensorboard")
    for folder in told(runs / "tensorboard").values():
        assert [event.step for event in read_back(folder).Images("pictures/val")] == [2, 4]
        assert len(list(folder.iterdir())) >= 2, "a file by each of the workers that trained and evaluated the cell"
    named = {event.run.key for event in heard if isinstance(event, CellFinished) and event.run}
    assert named == {cell.key for cell in cells}


def test_a_study_is_told_after_the_fact_and_so_is_the_cell_that_failed(
    finished_study: FinishedStudy, tmp_path: Path
) -> None:
    runs, files, failed = finished_study.copy(tmp_path / "runs"), tmp_path / "files", finished_study.cells[0]
    store = Store(runs)
    for job in failed.jobs[-2:]:
        shutil.rmtree(store.folder(job))
    store.fail(failed.jobs[-2], "stage depth, step 3: the term 'l1' is nan", "")

    track = {"use": "tensorboard", "folder": str(files)}
    findings = cliffkit.ablate(write_study(tmp_path), runs=runs, device="cpu", track=track, progress=False)
    check_cells(findings, files)
    assert len(told(files)) == len(finished_study.cells)
    said = read_back(told(files)[failed.key[:8]])
    data = said.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    cliffkit.ablate(write_study(tmp_path), runs=runs, device="cpu", track=track, progress=False)
    assert len(list(files.rglob("events*"))) == len(finished_study.cells), "nothing is said twice"
    assert metadata.parse_session_end_info_plugin_data(data).status == 2, "STATUS_FAILURE"
