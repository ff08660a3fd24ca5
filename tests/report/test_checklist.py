"""The checklist for reviewers is read from a study's facts: each line is met with its fact and not met without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cliffkit.components.registry import Registry
from cliffkit.report.checklist import Item, checklist
from cliffkit.statistics import Design
from cliffkit.statistics.sequential import FUTILE
from cliffkit.store.artifacts import Selection
from cliffkit.study.analysis import analyse
from cliffkit.study.results import Results
from cliffkit.study.rounds import Course, Stop

from ..report_fixtures import AXES, ENVIRONMENT, make_results, make_study

SEEDS, PLACEBO, SELECTION, PROTOCOL = "Seeds", "Placebo", "Selection on validation images", "Protocol"
CONSTANT = "Better than a constant"
RECIPE, CODE, POWER = "Same recipe in main table and ablation", "Same code and machine", "Power"


@pytest.fixture
def results(registry: Registry, tiny: str, tmp_path: Path) -> Results:
    """Six variants, three seeds, everything done, no smallest difference of interest."""
    return make_results(make_study(tmp_path, registry, tiny), tmp_path / "runs")


def items(results: Results) -> dict[str, Item]:
    return {item.name: item for item in checklist(results, analyse(results))}


def made(folder: Path, registry: Registry, tiny: str, cells: Mapping[str, Any] | None = None, **more: Any) -> Results:
    return make_results(make_study(folder, registry, tiny, **more), folder / "runs", **(cells or {}))


def test_a_study_as_it_should_be_meets_its_lines(registry: Registry, tiny: str, tmp_path: Path) -> None:
    base = {"train": {"embedding": {"steps": 6, "seed": "replicate"}, "depth": {"steps": 6, "validate_every": 3}}}
    found = items(made(tmp_path, registry, tiny, placebo=True, compare={"smallest": 0.02}, base=base))
    for name in (SEEDS, CONSTANT, PLACEBO, SELECTION, PROTOCOL, RECIPE, CODE, POWER):
        assert found[name].is_met, found[name]
    assert "pairs 3 trainings of both variants" in found[SEEDS].words
    assert "generator" not in found[SEEDS].words
    assert found[PLACEBO].words.startswith("The reference under seeds 10000 to ")
    assert "best abs_rel on the val split" in found[SELECTION].words
    assert "fingerprint 0123456789abcdef" in found[PROTOCOL].words
    assert "torch 2.9.0, python 3.11.7 on made-up processor" in found[CODE].words


def test_nothing_done_meets_nothing_that_needs_cells(registry: Registry, tiny: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, registry, tiny)
    waiting = [(variant.name, seed) for variant in study.variants for seed in study.seeds]
    found = items(make_results(study, tmp_path / "runs", waiting=waiting))
    assert not any(item.is_met for item in found.values())


def test_few_seeds_and_a_generator_that_seeds_share_are_told(results: Results) -> None:
    assert "All seeds share one embedding generator" in items(results)[SEEDS].words
    study = replace(results.study, seeds=results.study.seeds[:2])
    scores = {name: values[:, :2] for name, values in results.scores.items()}
    cells = tuple(cell for cell in results.cells if cell.cell.seed < 2)
    found = items(replace(results, study=study, scores=scores, cells=cells, regions=None))[SEEDS]
    assert not found.is_met
    assert found.words.startswith("Fewer than 3 seeds: every comparison has 2. Train more seeds;")
    stops = tuple(None if one is study.reference else Stop(FUTILE, 2, 6) for one in study.variants)
    twos = (2,) * len(stops)
    course, adaptive = Course(twos, twos, stops, twos), replace(study, adaptive=Design(2, 6))
    found = items(replace(results, study=adaptive, scores=scores, cells=cells, regions=None, course=course))[SEEDS]
    assert "has 2. What stopped is trained no more: set a larger `from`, 3 or more" in found.words
    scores["full"][1, 1] = float("nan")
    found = items(replace(results, study=study, scores=scores, cells=cells, regions=None))[SEEDS]
    assert "every comparison has 1 to 2." in found.words


def test_a_single_variant_with_few_seeds_is_named(registry: Registry, tiny: str, tmp_path: Path) -> None:
    found = items(made(tmp_path, registry, tiny, {"failed": {("none + add", 0): "why"}}))[SEEDS]
    assert not found.is_met
    assert "none + add has 2." in found.words


def test_a_placebo_that_differs_is_no_tick(registry: Registry, tiny: str, tmp_path: Path) -> None:
    results = made(tmp_path, registry, tiny, placebo=True)
    assert items(results)[PLACEBO].is_met
    results.scores["full"][-1] += 0.1
    found = items(results)[PLACEBO]
    assert not found.is_met
    assert "it is worse, and should not be" in found.words
    assert "`placebo: true`" in items(made(tmp_path / "without", registry, tiny))[PLACEBO].words


def test_a_placebo_that_is_equal_everywhere_is_no_tick(registry: Registry, tiny: str, tmp_path: Path) -> None:
    results = made(tmp_path, registry, tiny, placebo=True)
    results.scores["full"][-1] = results.scores["full"][results.study.variants.index(results.study.reference)]
    assert not items(results)[PLACEBO].is_met


def test_variants_that_are_no_better_than_a_constant_are_told(results: Results) -> None:
    assert items(results)[CONSTANT].is_met
    first = results.cells[0]
    assert first.scores is not None
    scored = first.scores.protocols["full"]
    worst = {**scored.baseline, "abs_rel": float(results.scores["full"][1, :, :, 0].mean())}
    scores = replace(first.scores, protocols={**first.scores.protocols, "full": replace(scored, baseline=worst)})
    found = items(replace(results, cells=(replace(first, scores=scores), *results.cells[1:])))[CONSTANT]
    assert not found.is_met
    assert results.study.variants[1].name in found.words
    assert "no better mean: train longer before you compare" in found.words


def test_a_mean_that_is_better_than_a_constant_within_its_noise_is_met_and_told(results: Results) -> None:
    table = analyse(results).first(results)
    worst = max((row for row in table.rows if row.mean is not None), key=lambda row: row.mean.value)
    assert worst.mean is not None
    constant = (worst.mean.value + worst.mean.high) / 2
    near = [row.variant.name for row in table.rows if row.mean is not None and row.mean.high >= constant]
    assert items(results)[CONSTANT].words.endswith(" Every mean is better.")
    first = results.cells[0]
    assert first.scores is not None
    scored = first.scores.protocols["full"]
    baseline = {**scored.baseline, "abs_rel": constant}
    scores = replace(first.scores, protocols={**first.scores.protocols, "full": replace(scored, baseline=baseline)})
    found = items(replace(results, cells=(replace(first, scores=scores), *results.cells[1:])))[CONSTANT]
    assert found.is_met
    assert worst.variant.name in near
    verb = "interval of {} holds" if len(near) == 1 else "intervals of {} hold"
    assert found.words.endswith(f"Every mean is better, though the 95 % {verb.format(', '.join(near))} the constant's.")


def test_weights_chosen_on_test_images_are_told(results: Results) -> None:
    first, *others = results.cells
    assert first.scores is not None
    chosen = replace(first.scores, selection=Selection("test", "abs_rel", 0.1, 400))
    found = items(replace(results, cells=(replace(first, scores=chosen), *others)))[SELECTION]
    assert not found.is_met
    assert "chosen on test, val" in found.words


def test_cells_that_the_protocol_cannot_score_are_told(results: Results) -> None:
    first, *others = results.cells
    assert first.scores is not None
    failed = replace(first.scores, failures={"full": "the median is 0 m"})
    found = items(replace(results, cells=(replace(first, scores=failed), *others)))[PROTOCOL]
    assert not found.is_met
    assert first.cell.name in found.words


def test_a_base_recipe_that_is_excluded_or_has_no_score_is_told(registry: Registry, tiny: str, tmp_path: Path) -> None:
    how = {"exclude": [{"embedding": "heg_s", "fusion": "cliff"}], "compare": {"reference": {"embedding": "none"}}}
    assert "`exclude`" in items(made(tmp_path, registry, tiny, **how))[RECIPE].words
    failed = {("heg_s + cliff", seed): "why" for seed in (0, 1, 2)}
    found = items(made(tmp_path / "failed", registry, tiny, {"failed": failed}, axes=AXES))[RECIPE]
    assert not found.is_met
    assert "heg_s + cliff, has no score yet" in found.words


def test_cells_of_two_machines_are_told(registry: Registry, tiny: str, tmp_path: Path) -> None:
    other = {"environments": {2: replace(ENVIRONMENT, device="another processor")}}
    found = items(made(tmp_path, registry, tiny, other))[CODE]
    assert not found.is_met
    assert "Cells differ in device; see Reproduce." in found.words


def test_power_needs_a_smallest_difference_that_would_have_been_seen(
    registry: Registry, tiny: str, tmp_path: Path, results: Results
) -> None:
    found = items(results)[POWER]
    assert not found.is_met
    assert "give `compare.smallest`" in found.words
    blind = items(made(tmp_path / "blind", registry, tiny, compare={"smallest": 0.001}))[POWER]
    assert not blind.is_met
    assert "3 of 5 comparisons are undecided and would not have seen 0.001, " in blind.words
    decided = items(made(tmp_path / "decided", registry, tiny, compare={"smallest": 0.03}))[POWER]
    assert decided.is_met
    assert decided.words.startswith("Every comparison is decided, ")
    one = items(made(tmp_path / "one", registry, tiny, seeds=[1], compare={"smallest": 0.03}))[POWER]
    assert not one.is_met
