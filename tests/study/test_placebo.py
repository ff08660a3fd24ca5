"""The placebo of a study is its reference under other seeds: no comparison should tell the two apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cliffkit.components.registry import Registry
from cliffkit.errors import RecipeError, UserError
from cliffkit.recipe.schema import MAX_SEED
from cliffkit.report.sentences import placebo_sentence, row_sentence
from cliffkit.scoring.metrics import METRICS
from cliffkit.statistics import NOISE, THESE_WEIGHTS, UNMEASURED, holm
from cliffkit.store.store import Store
from cliffkit.study.analysis import Table, analyse
from cliffkit.study.cells import plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.reading import load_results
from cliffkit.study.results import Results
from cliffkit.study.study import Study
from cliffkit.verbs.findings import Findings

from ..study_fixtures import BASE, STUDY, run_small, write_study

PLACEBO = STUDY + "placebo: true\n"


def study_of(folder: Path, registry: Registry, study: str = PLACEBO, base: str = BASE) -> Study:
    return load_study(write_study(folder, study, base), registry)


def with_scores(study: Study, values: np.ndarray) -> Results:
    """Results of a study with scores of (variants, seeds, images), alike in every metric; no cell."""
    images = tuple(f"image {i}" for i in range(values.shape[-1]))
    scores = np.repeat(values[..., None], len(METRICS), axis=-1)
    return Results(replace(study, seeds=tuple(range(values.shape[1]))), (), study.base.protocols, images,
                   {"full": scores}, Path())  # fmt: skip


def table_of(study: Study, shift: float, seeds: int = 6) -> Table:
    """The first table of a study whose placebo lies `shift` from the reference, beside noise of 0.01."""
    random = np.random.default_rng(5)
    values = 0.3 + 0.01 * random.standard_normal((len(study.variants), seeds, 40))
    values[-1] += shift
    results = with_scores(study, values)
    return analyse(results).first(results)


def test_the_placebo_has_seeds_that_no_other_cell_has(tmp_path: Path, registry: Registry) -> None:
    study = study_of(tmp_path, registry)
    assert study.placebo is study.variants[-1]
    assert study.placebo.name == "placebo"
    cells = plan_cells(study, {})
    ours = [cell for cell in cells if cell.variant.is_placebo]
    assert [(cell.seed, cell.recipe.seed) for cell in ours] == [(0, 10_000), (1, 10_001)]
    assert [cell.own_seed for cell in ours] == [10_000, 10_001]
    assert [cell.name for cell in ours] == ["placebo, seed 10000", "placebo, seed 10001"]
    assert [cell.recipe.name for cell in ours] == ["small.placebo.s10000", "small.placebo.s10001"]
    theirs = [cell for cell in cells if cell.variant == study.reference]
    for one, other in zip(ours, theirs, strict=True):
        assert replace(one.recipe, name="", seed=0) == replace(other.recipe, name="", seed=0)
        assert one.jobs[-1].key != other.jobs[-1].key
        assert one.jobs[0].key == other.jobs[0].key  # the pack


@pytest.mark.parametrize(("seeds", "offset"), [("[0, 3]", 10_000), ("[0, 10000]", 20_000), ("[7, 9, 10008]", 10_000)])
def test_seeds_of_the_study_move_those_of_its_placebo(
    tmp_path: Path, registry: Registry, seeds: str, offset: int
) -> None:
    study = study_of(tmp_path, registry, PLACEBO.replace("[0, 1]", seeds))
    assert study.placebo is not None
    own = {study.reference.recipe.seed + seed for seed in study.seeds}
    other = {study.placebo.recipe.seed + seed for seed in study.seeds}
    assert (study.placebo.recipe.seed, own & other) == (offset, set())


def test_with_the_replicate_s_seed_the_placebo_has_other_generators(tmp_path: Path, registry: Registry) -> None:
    base = BASE.replace("embedding: {steps: 4,", "embedding: {seed: replicate, steps: 4,")
    study = study_of(tmp_path, registry, PLACEBO.replace("embedding: none", "embedding: heg_s"), base)
    keys = {cell.variant.name: set[str]() for cell in plan_cells(study, {})}
    for cell in plan_cells(study, {}):
        keys[cell.variant.name].update(job.key for job in cell.jobs if job.stage == "embedding")
    assert len(keys["placebo"]) == 2
    assert not keys["placebo"] & keys["heg_s + cliff"]
    assert keys["heg_s + add"] == keys["heg_s + cliff"]


@pytest.mark.parametrize("design", ["grid", "one_at_a_time", "leave_one_out"])
def test_a_placebo_is_no_point_of_any_design(tmp_path: Path, registry: Registry, design: str) -> None:
    text = f"name: small\nbase: base.yaml\ndesign: {design}\n"
    axes = "" if design == "leave_one_out" else STUDY[STUDY.index("axes:") :]
    with_placebo, without = (study_of(tmp_path, registry, text + axes + extra) for extra in ("placebo: true\n", ""))
    assert with_placebo.variants[:-1] == without.variants
    assert (with_placebo.axes, with_placebo.full) == (without.axes, without.full)
    assert without.placebo is None


def test_a_placebo_that_cannot_be_told_apart_is_said_to_be_as_it_should(tmp_path: Path, registry: Registry) -> None:
    row = table_of(study_of(tmp_path, registry), 0.0).placebo
    assert row is not None
    assert row.word == NOISE
    assert row_sentence(row, row.metric) == placebo_sentence(row)
    assert placebo_sentence(row).startswith("Placebo: the reference under seeds 10000 to 10001 differs by ")
    assert placebo_sentence(row).endswith("not distinguishable from noise, as it should be.")


def test_a_placebo_that_is_told_apart_is_a_warning_and_counts_for_no_other(tmp_path: Path, registry: Registry) -> None:
    study = study_of(tmp_path, registry)
    table, quiet = table_of(study, 0.1), table_of(study, 0.0)
    row = table.placebo
    assert row is not None
    assert row.difference is not None
    assert (row.word, row.p_adjusted) == ("worse", row.difference.p)
    assert "should not be" in placebo_sentence(row)
    assert table.rows[:-1] == quiet.rows[:-1]
    raw = [other.difference.p for other in table.rows[:-1] if other.difference is not None]
    assert [other.p_adjusted for other in table.rows[:-1] if other.word] == pytest.approx(holm(raw))
    assert table.compared == 3


def test_a_placebo_of_one_seed_or_of_none_is_no_check(tmp_path: Path, registry: Registry) -> None:
    study = study_of(tmp_path, registry)
    row = table_of(study, 0.1, seeds=1).placebo
    assert row is not None
    assert row.word == THESE_WEIGHTS
    assert "luck of the training" in placebo_sentence(row)
    assert placebo_sentence(replace(row, difference=None, word=UNMEASURED)).endswith("is not measured.")


@pytest.mark.parametrize(
    ("seeds", "counted", "words"),
    [
        ((0, 1, 2), 3, "seeds 10000 to 10002 differs"),
        ((0, 1, 2), 2, "2 of the seeds 10000 to 10002 differs"),
        ((0, 3), 2, "seeds 10000, 10003 differs"),
        ((0,), 1, "seed 10000 differs"),
    ],
)
def test_the_placebo_s_sentence_has_its_seeds(
    tmp_path: Path, registry: Registry, seeds: tuple[int, ...], counted: int, words: str
) -> None:
    study = study_of(tmp_path, registry, PLACEBO.replace("[0, 1]", str(list(seeds))))
    row = table_of(study, 0.0, seeds=counted).placebo
    assert row is not None
    assert placebo_sentence(row).startswith(f"Placebo: the reference under {words} by ")


def test_a_placebo_is_neither_best_nor_weakest_nor_part_of_an_effect(tmp_path: Path, registry: Registry) -> None:
    study = study_of(tmp_path, registry)
    values = 0.3 + 0.01 * np.random.default_rng(5).standard_normal((5, 6, 40))
    results = with_scores(study, values)
    plain = analyse(with_scores(replace(study, variants=study.variants[:-1]), values[:-1]))
    for shift in (-0.2, 0.2):
        values[-1] = 0.3 + shift
        analysis = analyse(with_scores(study, values))
        assert (analysis.main, analysis.interactions, analysis.shares) == (plain.main, plain.interactions, plain.shares)
        assert analysis.weakest == plain.weakest
        row = analysis.first(results).placebo
        assert row is not None
        assert (row.best, row.tied) == (False, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("placebo: true", "placebo: 2"), "placebo: 2 is neither true nor false"),
        (("cliff: {}", "placebo: {}"), "axes.fusion.placebo: 'placebo' names the reference under other seeds"),
        (("[0, 1]", f"[0, {MAX_SEED}]"), f"seeds.1: {MAX_SEED} and the recipe's own seed, 10000, are more than"),
    ],
)
def test_what_is_wrong_with_a_placebo_is_a_fault(
    tmp_path: Path, registry: Registry, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message.replace(".", r"\.")):
        study_of(tmp_path, registry, PLACEBO.replace(*change))


def test_a_placebo_that_was_run_stands_in_the_findings_with_a_difference(tmp_path: Path, registry: Registry) -> None:
    study = study_of(
        tmp_path, registry, PLACEBO.replace("  fusion: {cliff: {}, add: {model.fusion: {use: add}}}\n", "")
    )
    cells = plan_cells(study, {})
    run_small(cells, tmp_path / "runs")
    results = load_results(study, cells, Store(tmp_path / "runs"))
    findings = Findings(results, analyse(results), tmp_path, {})
    row = findings.table()[-1]
    assert (row["variant"], row["embedding"], row["seeds"], row["images"]) == ("placebo", "placebo", 2, 5)
    assert row["difference"] != 0
    assert set(findings.verdicts) == {"none", "heg_s", "placebo"}
    assert findings.sentences["placebo"].startswith("Placebo: ")
    seeds = {row["variant"]: set[object]() for row in findings.cells}
    for row in findings.cells:
        seeds[str(row["variant"])].add(row["seed"])
    assert (seeds["none"], seeds["placebo"]) == ({0, 1}, {10_000, 10_001})
    assert findings.run("placebo", 10_001).recipe.seed == 10_001
    with pytest.raises(UserError, match="its seeds 0, 1, 10000, 10001"):
        findings.run("placebo", 0)
