"""`cliffkit verify --retrain`: scores that were made up pass every check but this one."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import cliffkit
from cliffkit.bundles.checks import Check
from cliffkit.bundles.retrain import Again, chosen_cells, seed_spread
from cliffkit.bundles.retrain import check_again as train_again
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError

from ..bundle_fixtures import Forger
from ..conftest import Invoke
from ..study_fixtures import FinishedStudy, write_study


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, finished_study: FinishedStudy) -> cliffkit.Bundle:
    """The bundle of a study that is done."""
    root = tmp_path_factory.mktemp("bundles")
    study, runs = write_study(root), finished_study.copy(root / "runs")
    return cliffkit.bundle(study, root / "small.zip", runs=runs, device="cpu", progress=False)


@pytest.fixture
def forger(bundle: cliffkit.Bundle, tmp_path: Path) -> Forger:
    """The bundle to be changed."""
    return Forger(bundle.file, tmp_path / "forged")


def check(forger: Forger, registry: Registry) -> Check:
    """What comes of training one cell again."""
    return train_again(forger.opened(), 1, Again(registry, {}, "cpu", lambda event: None))


def job_of_the_chosen(forger: Forger, stage: str) -> Path:
    """The folder of a job of the cell that is trained again first."""
    cell = chosen_cells(forger.opened(), 1)[0]
    return forger.job(cell.variant, cell.seed, stage)


def test_a_cell_that_is_trained_again_has_the_very_scores(bundle: cliffkit.Bundle, invoke: Invoke) -> None:
    ran = invoke("verify", bundle.file, "--retrain", 1, "--device", "cpu")
    assert ran.exit_code == 0, ran.stdout
    line = r"holds  trained again: 1 of 8 cells: (.*)\n +\(\1: 45 scores of images are equal to the bit\)"
    assert re.search(line, ran.stdout)


def test_the_python_of_the_page_runs(forger: Forger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forger.edit_facts(lambda facts: facts.update(drawn_by="0"))  # figures take seconds
    made = SimpleNamespace(file=forger.pack(tmp_path / "b.zip"), missing=[])
    monkeypatch.setattr(cliffkit, "bundle", lambda study, out: made, raising=False)
    page = (Path(__file__).parents[2] / "docs" / "guides" / "bundles.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    said: dict[str, Any] = {}
    exec(code.replace("retrain=3", "retrain=1, device='cpu', progress=False"), said)
    assert said["verification"].holds


def test_a_score_that_was_made_up_is_found(forger: Forger, registry: Registry) -> None:
    forger.edit(job_of_the_chosen(forger, "evaluate") / "per_image.csv", r"(full,[^,]+,0\.\d\d\d)\d", r"\g<1>00")
    found = check(forger, registry)
    assert not found.holds
    assert "though the same kind of machine with the same versions should give equal bits" in found.faults[0]
    assert re.search(r"abs_rel under full is \S+ here and \S+ in the bundle", found.faults[0])


def test_on_another_machine_the_spread_between_seeds_is_let_pass_and_more_is_not(
    forger: Forger, registry: Registry
) -> None:
    forger.edit(job_of_the_chosen(forger, "depth") / "environment.json", r'"device": "[^"]*"', '"device": "another"')
    table = job_of_the_chosen(forger, "evaluate") / "per_image.csv"
    forger.edit(table, r"(full,[^,]+,0\.\d\d\d)\d", r"\g<1>00")
    near = check(forger, registry)
    assert near.holds
    assert "trained with another device" in near.remarks[0]
    assert "times the spread between seeds" in near.remarks[0]
    forger.edit(table, r"(full,[^,]+,)0\.", r"\g<1>9.")
    far = check(forger, registry)
    assert "and 4 are let pass" in far.faults[0]


def test_the_spread_between_seeds_is_that_of_the_means_within_variants(forger: Forger) -> None:
    opened = forger.opened()
    means = opened.results.table("full", "abs_rel").mean(axis=2)
    variances = means.var(axis=1, ddof=1)
    apart = next(cell for cell in opened.facts.cells if cell.variant == opened.study.variants[1].name)
    assert seed_spread(opened, apart) == pytest.approx(np.sqrt(variances[[0, 2, 3]].mean()))


def test_cells_are_chosen_one_of_each_variant_before_a_second_of_any(forger: Forger) -> None:
    cells = chosen_cells(forger.opened(), 99)
    assert len({cell.name for cell in cells}) == len(cells) == 8
    assert len({cell.variant for cell in cells[:4]}) == 4
    assert chosen_cells(forger.opened(), 3) == cells[:3]
    (forger.folder / "SHA256SUMS").write_text("another bundle\n")
    assert chosen_cells(forger.opened(), 99) != cells


def test_other_data_and_parts_that_are_not_installed_are_named(
    forger: Forger, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = chosen_cells(forger.opened(), 1)[0].folder
    forger.edit(forger.path(f"cells/{recipe}/recipe.yaml"), "test: 5", "test: 4")
    (fault,) = check(forger, registry).faults
    assert "images: data.test is 4 here and 5 in the bundle" in fault
    forger.edit(forger.path(f"cells/{recipe}/recipe.yaml"), "use: handbuilt", "use: elsewhere")
    (fault,) = check(forger, registry).faults
    assert "its recipe needs what is not here: no backbone is called 'elsewhere'" in fault

    def broken(*args: object) -> None:
        raise UserError("the disk is full")

    forger.edit(forger.path(f"cells/{recipe}/recipe.yaml"), "use: elsewhere", "use: handbuilt")
    forger.edit(forger.path(f"cells/{recipe}/recipe.yaml"), "test: 4", "test: 5")
    monkeypatch.setattr("cliffkit.bundles.retrain.run_jobs", broken)
    assert check(forger, registry).faults[0].endswith("was not trained again: the disk is full")
