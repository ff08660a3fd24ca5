"""A result is known by its code: an edit does anew what it concerns, and nothing is stored under a wrong key."""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cliffkit.errors import UserError
from cliffkit.events import Event, JobFinished
from cliffkit.jobs.execute import Means, run_jobs
from cliffkit.jobs.plan import plan
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell, jobs_of

from ..code_fixtures import OwnPlugin, own_plugin
from ..engine_fixtures import cpu, engine_recipe
from ..study_fixtures import BASE, Inline, run_small, small_study

__all__ = ["own_plugin"]

TWO = """\
name: two
base: base.yaml
seeds: [0, 1]
axes:
  fusion: {scaled: {model.fusion: {use: scaled}}, halved: {model.fusion: {use: halved}}}
compare: {reference: {fusion: halved}}
"""
WITHOUT_EMBEDDING = BASE.replace("embedding: {use: heg_s, weights: [2, 3], warmup_steps: 2}\n", "")
COMMENT = ("scale.py", "SCALE = 0.5\n", '"""How much."""\nSCALE = 0.50  # half\n')
CONSTANT = ("scale.py", "SCALE = 0.5", "SCALE = 0.25")
ARITHMETIC = ("scaled.py", "low + SCALE", "low - SCALE")


@pytest.fixture
def cells(own_plugin: OwnPlugin, tmp_path: Path) -> Callable[[], list[Cell]]:
    """The cells of a study of two fusions, as a new process plans them."""

    def plan_again() -> list[Cell]:
        return small_study(tmp_path, own_plugin.restart().registry, TWO, WITHOUT_EMBEDDING)[1]

    return plan_again


def named(cells: list[Cell], given: list[str]) -> set[str]:
    """What was done, for each job the cells that use it."""
    users = {f"{job.stage}-{key}": job for key, job in jobs_of(cells).items()}
    return {
        f"{users[name].stage} of {', '.join(cell.name for cell in cells if users[name] in cell.jobs)}" for name in given
    }


@pytest.mark.parametrize("edit", [CONSTANT, ARITHMETIC])
def test_an_edited_fusion_is_trained_again_in_exactly_the_cells_that_use_it_and_a_comment_in_none(
    own_plugin: OwnPlugin, cells: Callable[[], list[Cell]], tmp_path: Path, edit: tuple[str, str, str]
) -> None:
    before = cells()
    run_small(before, tmp_path / "runs")
    own_plugin.edit(*COMMENT)
    executor = Inline()
    run_small(cells(), tmp_path / "runs", executor)
    assert executor.given == []
    own_plugin.edit(*(edit if edit is ARITHMETIC else ("scale.py", "0.50", "0.25")))
    after = cells()
    board = run_small(after, tmp_path / "runs", executor)
    assert named(after, executor.given) == {
        f"{stage} of scaled, seed {seed}" for stage in ("depth", "evaluate") for seed in (0, 1)
    }
    assert board.count("done") == 4
    keys = [{cell.name: cell.jobs[-1].key for cell in planned} for planned in (before, after)]
    assert {name for name in keys[0] if keys[0][name] == keys[1][name]} == {"halved, seed 0", "halved, seed 1"}
    scores = [
        (Store(tmp_path / "runs").folder(cell.jobs[-1]) / "per_image.csv").read_text() for cell in (before[0], after[0])
    ]
    assert scores[0] != scores[1], "the edit is one that changes scores"


def test_code_that_is_put_back_finds_its_results_again(
    own_plugin: OwnPlugin, cells: Callable[[], list[Cell]], tmp_path: Path
) -> None:
    before = [job.key for job in jobs_of(cells()).values()]
    own_plugin.edit(*CONSTANT)
    assert [job.key for job in jobs_of(cells()).values()] != before
    own_plugin.edit("scale.py", "0.25", "0.5")
    assert [job.key for job in jobs_of(cells()).values()] == before


@pytest.mark.parametrize("process", ["the same process", "another process"])
def test_a_worker_refuses_a_job_whose_code_was_edited_after_it_was_planned(
    own_plugin: OwnPlugin, cells: Callable[[], list[Cell]], tmp_path: Path, process: str
) -> None:
    planned = cells()
    own_plugin.edit(*CONSTANT)
    if process == "another process":
        own_plugin.restart()
    board = run_small(planned, tmp_path / "runs")
    states = {cell.name: board.cell_state(cell) for cell in planned}
    assert states == {name: "failed" if name.startswith("scaled") else "done" for name in states}
    reason = board.cell_reason(planned[0])
    assert re.match(r"depth: fusion 'scaled' of plugin 'scaled': .*scale.*\.py.* edited after", reason)
    assert "put it back" in reason
    store = Store(tmp_path / "runs")
    left = [path.name for path in store.jobs.iterdir() if path.is_dir()]
    assert sorted(left) == sorted(f"{job.stage}-{job.key}" for job in jobs_of(planned).values() if store.done(job))
    assert not any(store.done(job) for cell in planned if cell.name.startswith("scaled") for job in cell.jobs[2:])


def test_a_worker_does_a_job_whose_comments_were_edited_after_it_was_planned(
    own_plugin: OwnPlugin, cells: Callable[[], list[Cell]], tmp_path: Path
) -> None:
    planned = cells()
    own_plugin.edit(*COMMENT)
    assert run_small(planned, tmp_path / "runs").count("done") == 4


def test_a_run_stops_before_the_stage_whose_code_was_edited_meanwhile(own_plugin: OwnPlugin, tmp_path: Path) -> None:
    recipe = engine_recipe(tmp_path, own_plugin.restart().registry, "model.fusion.use=scaled", "embedding.use=none")
    jobs, store = plan(recipe, {}), Store(tmp_path / "runs")

    def edit(event: Event) -> None:
        if isinstance(event, JobFinished) and event.stage == "pack":
            own_plugin.edit(*CONSTANT)

    with pytest.raises(UserError, match=r"fusion 'scaled' of plugin 'scaled': .*scale\.py was edited after"):
        run_jobs(jobs, Means(store, cpu(), {}, edit))
    assert done(jobs, store) == ["pack", "images"]


def done(jobs: list[Job], store: Store) -> list[str]:
    return [job.stage for job in jobs if store.done(job)]


def test_a_part_that_was_edited_before_cliffkit_looked_at_it_first_is_not_planned(
    own_plugin: OwnPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook that imports its own part, edits it, and only then runs a recipe."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    plugins = own_plugin.restart()
    importlib.import_module("fake_scaled.scaled")
    recipe = engine_recipe(tmp_path, plugins.registry, "model.fusion.use=halved", "embedding.use=none")
    assert plan(recipe, {}), "of the other part nothing was edited"
    own_plugin.edit(*CONSTANT)
    later = time.time() + 9
    os.utime(own_plugin.folder / "scale.py", (later, later))
    recipe = engine_recipe(tmp_path, plugins.registry, "model.fusion.use=scaled", "embedding.use=none")
    with pytest.raises(UserError, match=r"scale\.py was edited after this process had imported .* restart the ker"):
        plan(recipe, {})


def test_a_part_that_was_edited_since_it_was_imported_is_not_planned(own_plugin: OwnPlugin, tmp_path: Path) -> None:
    """As in a notebook: the process has the old code, whoever reads the file sees the new one."""
    recipe = engine_recipe(tmp_path, own_plugin.restart().registry, "model.fusion.use=scaled", "embedding.use=none")
    own_plugin.edit(*CONSTANT)
    with pytest.raises(UserError, match=r"scale\.py was edited after .* restart the kernel"):
        plan(recipe, {})
