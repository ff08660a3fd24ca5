"""A job whose files are not those that it left is said, set aside, and done again to the same bits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.events import Event, JobSetAside
from cliffkit.jobs.run_folder import CHECKED, is_published, publish
from cliffkit.store.files import link
from cliffkit.store.store import DamagedJobError, Store, damage_of
from cliffkit.study.board import Board
from cliffkit.study.reading import load_results
from cliffkit.study.run import set_damaged_aside

from ..conftest import Finished, Invoke
from ..engine_fixtures import bits
from ..store_fixtures import DAMAGES, flip, reseal, truncate
from ..study_fixtures import FinishedStudy, Inline, run_small

Damage = Callable[[Path], None]


def job(runs: Path, stage: str) -> Path:
    """The folder of the only finished job of a stage."""
    (folder,) = (folder for folder in (runs / "jobs").glob(f"{stage}-*") if folder.is_dir() and not folder.suffix)
    return folder


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_every_file_of_every_job_is_missed_when_it_is_damaged(own_run: Finished, damage: Damage) -> None:
    stages = ("pack", "images", "embedding", "depth", "evaluate")
    for folder in (job(own_run.runs, stage) for stage in stages):
        whole = folder.with_name("whole")
        shutil.copytree(folder, whole)
        files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
        assert damage_of(folder, skip=()) is None
        for name in files:
            damage(folder / name)
            said = damage_of(folder, skip=())
            assert said is not None, name
            assert said.startswith(str(name)), said
            shutil.copy2(whole / name, folder / name)
        assert damage_of(folder, skip=()) is None
        shutil.rmtree(whole)


@pytest.mark.parametrize(
    ("stage", "name", "damage"),
    [
        ("evaluate", "per_image.csv", "cut off"),
        ("evaluate", "metrics.json", "removed"),
        ("evaluate", "panel.png", "empty"),
        ("depth", "weights.safetensors", "a bit flipped"),
        ("depth", "weights.safetensors", "removed"),
        ("depth", "job.json", "a bit flipped"),
        ("embedding", "log.jsonl", "cut off"),
        ("pack", "train/meta.json", "removed"),
        ("pack", "val/depth.npy", "cut off"),  # a size is always compared
        ("images", "pixels.bin", "cut off"),
        ("images", "images.json", "a bit flipped"),
    ],
)
def test_a_run_does_a_damaged_job_again_and_keeps_it(
    own_run: Finished, invoke: Invoke, stage: str, name: str, damage: str
) -> None:
    before = bits(own_run.folder)
    folder = job(own_run.runs, stage)
    DAMAGES[damage](folder / name)
    ran = invoke("run", own_run.recipe, "--runs", own_run.runs, "--device", "cpu", "--json")
    assert ran.exit_code == 0, ran.stderr
    aside = folder.with_name(f"{folder.name}.damaged-1")
    assert f"{stage} {folder.name.removeprefix(f'{stage}-')[:8]} is damaged: {name}" in ran.stderr
    assert f"kept as {aside}, and is done again" in ran.stderr
    assert aside.is_dir()
    assert "Nothing to do" not in ran.stderr
    assert damage_of(folder, skip=()) is None
    assert json.loads(ran.stdout)["metrics"] == own_run.result["metrics"]
    assert bits(own_run.folder) == before


def test_arrays_of_a_pack_are_compared_before_a_fit_reads_them(own_run: Finished, invoke: Invoke) -> None:
    folder = job(own_run.runs, "pack")
    flip(folder / "train" / "image.npy")
    where = ("--runs", own_run.runs, "--device", "cpu", "--json")
    again = invoke("run", own_run.recipe, *where)
    assert "damaged" not in again.stderr, "nothing reads the arrays"
    other = invoke("run", own_run.recipe, *where, "--set", "seed=1")
    assert "is damaged: train/image.npy has other bytes than were written" in other.stderr
    clean = invoke("run", own_run.recipe, "--runs", own_run.runs.parent / "clean", *where[2:], "--set", "seed=1")
    assert json.loads(other.stdout)["metrics"] == json.loads(clean.stdout)["metrics"]


def test_the_test_images_are_compared_before_a_network_is_scored_on_them(own_run: Finished, invoke: Invoke) -> None:
    flip(job(own_run.runs, "images") / "pixels.bin")
    where = ("--runs", own_run.runs, "--device", "cpu", "--json")
    again = invoke("run", own_run.recipe, *where)
    assert "damaged" not in again.stderr, "nothing reads them"
    other = invoke("run", own_run.recipe, *where, "--set", "evaluate=[full, eigen]")
    assert "is damaged: pixels.bin has other bytes than were written" in other.stderr
    assert json.loads(other.stdout)["metrics"]["full"] == pytest.approx(own_run.result["metrics"]["full"], rel=1e-9)


def test_nothing_good_is_replaced_by_something_damaged(finished_study: FinishedStudy, tmp_path: Path) -> None:
    cell, store = finished_study.cells[0], Store(finished_study.copy(tmp_path / "runs"))
    folder = publish(cell.recipe, cell.jobs, store, tmp_path / "cells")
    good = (folder / "weights.safetensors").read_bytes()
    weights = store.folder(cell.jobs[-1].needs["depth"]) / "weights.safetensors"
    for spoil in (truncate, Path.unlink):
        spoil(weights)
        with pytest.raises(DamagedJobError, match=r"weights\.safetensors .*; run again: it is set aside"):
            publish(cell.recipe, cell.jobs, store, tmp_path / "cells")
        assert (folder / "weights.safetensors").read_bytes() == good
        with pytest.raises(UserError, match="cannot be written: No such file"):
            link(tmp_path / "nothing", folder / "weights.safetensors")
        assert (folder / "weights.safetensors").read_bytes() == good
    assert is_published(folder)
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("name", CHECKED)
def test_a_run_folder_whose_files_were_changed_is_refused(own_run: Finished, tmp_path: Path, name: str) -> None:
    run = cliffkit.load_run(own_run.folder, device="cpu")
    flip(own_run.folder / name)
    changed = rf"{name} is not the file that was written: .*; put it back as it was, or run its recipe again"
    read: Mapping[str, Callable[[], object]] = {
        "recipe.yaml": run.predictor,
        "weights.safetensors": run.predictor,
        "metrics.json": lambda: run.metrics,
        "per_image.csv": lambda: run.per_image,
    }
    with pytest.raises(UserError, match=changed):
        read[name]()
    if name != "recipe.yaml":  # its own faults come first
        with pytest.raises(UserError, match=changed):
            cliffkit.evaluate(own_run.folder, ["eigen"], device="cpu", progress=False)


def test_a_run_without_its_checksums_is_refused_until_it_is_laid_out_again(own_run: Finished, invoke: Invoke) -> None:
    (own_run.folder / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=r"SHA256SUMS cannot be read: .*run its recipe again"):
        cliffkit.load_run(own_run.folder, device="cpu").predictor()
    assert invoke("run", own_run.recipe, "--runs", own_run.runs, "--device", "cpu").exit_code == 0
    cliffkit.load_run(own_run.folder, device="cpu").predictor()


def test_a_file_that_is_not_listed_is_refused(own_run: Finished) -> None:
    sums = own_run.folder / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "weights" not in line))
    with pytest.raises(UserError, match=r"weights\.safetensors is not listed in SHA256SUMS"):
        cliffkit.load_run(own_run.folder, device="cpu").predictor()


def test_sums_are_those_of_sha256sum(own_run: Finished) -> None:
    lines = (own_run.folder / "SHA256SUMS").read_text().splitlines()
    names = {line.split("  ")[1] for line in lines}
    files = {path.name for path in own_run.folder.iterdir()}
    assert names == files - {"SHA256SUMS", "jobs.json"}
    assert all(len(line.split("  ")[0]) == 64 for line in lines)


class TestOfAStudy:
    def test_is_said_and_done_again(self, finished_study: FinishedStudy, tmp_path: Path) -> None:
        store = Store(finished_study.copy(tmp_path / "runs"))
        evaluate, depth = finished_study.cells[0].jobs[-1], finished_study.cells[1].jobs[-1].needs["depth"]
        scores = {job.key: (store.folder(job) / "metrics.json").read_bytes() for job in (evaluate,)}
        truncate(store.folder(evaluate) / "per_image.csv")
        flip(store.folder(depth) / "weights.safetensors")
        board, told = Board(finished_study.cells, store), list[Event]()
        assert board.count("done") == len(finished_study.cells)
        set_damaged_aside(board, told.append)
        assert {event.stage for event in told if isinstance(event, JobSetAside)} == {"evaluate", "depth"}
        assert {job.key for job in board.to_do()} == {evaluate.key, depth.key}

        executor = Inline()
        run_small(finished_study.cells, tmp_path / "runs", executor)
        assert sorted(executor.given) == ["depth", "evaluate"] or len(executor.given) == 2
        assert {key: (store.folder(evaluate) / "metrics.json").read_bytes() for key in scores} == scores
        assert all(damage_of(store.folder(job), skip=()) is None for cell in finished_study.cells for job in cell.jobs)

    def test_harms_its_own_cell_alone_in_a_report(self, finished_study: FinishedStudy, tmp_path: Path) -> None:
        store = Store(finished_study.copy(tmp_path / "runs"))
        truncate(store.folder(finished_study.cells[0].jobs[-1]) / "per_image.csv")
        results = load_results(finished_study.study, finished_study.cells, store)
        broken = [result for result in results.cells if result.state == "failed"]
        assert [result.cell.name for result in broken] == [finished_study.cells[0].name]
        assert "evaluate: damaged: per_image.csv has" in broken[0].reason
        assert broken[0].damaged
        assert results.done == len(finished_study.cells) - 1

    def test_that_has_lost_rows_under_a_sound_record_is_no_cell(
        self, finished_study: FinishedStudy, tmp_path: Path, registry: Registry
    ) -> None:
        store = Store(finished_study.copy(tmp_path / "runs"))
        folder = store.folder(finished_study.cells[2].jobs[-1])
        table = (folder / "per_image.csv").read_text().splitlines(keepends=True)
        (folder / "per_image.csv").unlink()
        (folder / "per_image.csv").write_text("".join(table[:-1]))
        reseal(folder)
        results = load_results(finished_study.study, finished_study.cells, store)
        broken = [result for result in results.cells if result.state == "failed"]
        assert [result.cell.name for result in broken] == [finished_study.cells[2].name]
        assert "test images are not those of the study's other cells; delete" in broken[0].reason
        assert broken[0].damaged
