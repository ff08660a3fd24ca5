"""What a study can see is known before it runs: from its own cells, from like studies, or by a stated assumption."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cliffkit.components.registry import Registry
from cliffkit.report.power import outlook, plan_lines, power_json
from cliffkit.statistics import Design, Variance, detectable, mean_noise
from cliffkit.store.artifacts import StudyNoise
from cliffkit.store.store import Store
from cliffkit.study.cells import plan_cells
from cliffkit.study.noise import differences, likeness, still_improving, study_noise, summarise_noise
from cliffkit.study.power import ASSUMED, ASSUMPTION, LIKE, OWN, UNKNOWN, Power, foresee
from cliffkit.study.study import Study

from ..report_fixtures import make_results, make_study
from ..study_fixtures import FinishedStudy

Plan = Callable[..., Power]


@pytest.fixture
def study(tmp_path: Path, registry: Registry, tiny: str) -> Study:
    return make_study(tmp_path / "study", registry, tiny)


@pytest.fixture
def plan(tmp_path: Path, study: Study) -> Plan:
    """What the study can see where nothing of it is done; `changes` are to its fields."""

    def call(**changes: Any) -> Power:
        return foresee(replace(study, **changes), plan_cells(study, {}), Store(tmp_path / "runs"), {})

    return call


def leave_noise(study: Study, runs: Path, name: str = "earlier") -> StudyNoise:
    """The noise of a made-up study of that name in the runs folder."""
    folder = runs / "studies" / name
    folder.mkdir(parents=True)
    left = replace(study_noise(make_results(study, runs), study), study=name)
    left.write(folder)
    return left


def test_without_cells_the_noise_of_abs_rel_is_assumed_and_that_of_other_metrics_unknown(plan: Plan) -> None:
    power = plan()
    assert (power.source, power.images) == (ASSUMED, 6)
    assert [(sight.seeds, sight.own) for sight in power.sights] == [(3, True), (5, False), (10, False)]
    assert power.sights[1].low == detectable(ASSUMPTION[0], 5, 6)
    assert power.sights[1].high == detectable(ASSUMPTION[1], 5, 6)
    unknown = plan(metric="rmse")
    assert (unknown.source, unknown.sights, unknown.own) == (UNKNOWN, (), None)
    assert "not known for rmse before seeds are in" in plan_lines(unknown)[0]
    assert power_json(unknown)["detectable"] == []


def test_the_studys_own_cells_say_what_more_seeds_would_see(finished_study: FinishedStudy, tmp_path: Path) -> None:
    power = foresee(finished_study.study, finished_study.cells, Store(finished_study.runs), {})
    assert (power.source, power.differences, power.images) == (OWN, 3, 5)
    assert [sight.seeds for sight in power.sights if sight.own] == [2]
    assert all(sight.low == sight.high for sight in power.sights)
    assert "by the noise of the cells that are done: 3 differences to the reference" in plan_lines(power)[-2]


def test_a_like_study_lends_its_noise_in_each_metric(plan: Plan, study: Study, tmp_path: Path) -> None:
    left = leave_noise(study, tmp_path / "runs")
    for metric in ("abs_rel", "delta1"):
        power = plan(metric=metric)
        table = next(t for t in left.tables if (t.protocol.name, t.metric) == (study.protocol, metric))
        assert (power.source, power.study, power.differences) == (LIKE, "earlier", 5)
        assert power.own is not None
        assert power.own.low == detectable(Variance(table.seeds, table.images, table.rest), 3, 6)


@pytest.mark.parametrize(
    ("field", "value"), [("data", "nyu"), ("size", (8, 8)), ("steps", 7), ("backbone", {"use": "a"})]
)
def test_a_study_is_like_another_only_where_data_size_backbone_and_steps_are_equal(
    plan: Plan, study: Study, tmp_path: Path, field: str, value: object
) -> None:
    left = leave_noise(study, tmp_path / "runs")
    unlike = replace(left, like=replace(left.like, **{field: value}))
    unlike.write(tmp_path / "runs" / "studies" / "earlier")
    assert plan().source == ASSUMED


def test_noise_under_a_protocol_of_the_same_name_and_other_rules_is_passed_over(
    plan: Plan, study: Study, tmp_path: Path
) -> None:
    left = leave_noise(study, tmp_path / "runs")
    tables = tuple(replace(table, protocol=replace(table.protocol, max_depth_m=8.0)) for table in left.tables)
    replace(left, tables=tables).write(tmp_path / "runs" / "studies" / "earlier")
    assert plan().source == ASSUMED


def test_of_like_studies_the_one_that_measured_most_is_taken_and_a_damaged_one_passed_over(
    plan: Plan, study: Study, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    small, large, torn = (leave_noise(study, runs, name) for name in ("a", "b", "c"))
    replace(small, tables=tuple(replace(t, replicates=2) for t in small.tables)).write(runs / "studies" / "a")
    (runs / "studies" / "c" / StudyNoise.FILE).write_text("{", encoding="utf-8")
    assert large.tables == torn.tables
    assert plan().study == "b"


def test_an_adaptive_study_sees_what_its_design_sees(plan: Plan) -> None:
    design = Design(3, 10)
    power = plan(adaptive=design, seeds=tuple(range(10)))
    assert [sight.seeds for sight in power.sights] == [3, 5, 10, design]
    assert power.own is not None
    assert power.own.low == detectable(ASSUMPTION[0], design, 6)
    assert any(line.startswith("  3 to 10 seeds") and line.endswith("this study") for line in plan_lines(power))
    assert power_json(power)["detectable"][-1]["seeds"] == [3, 10]


def test_the_outlook_warns_where_the_smallest_difference_of_interest_is_out_of_sight(plan: Plan) -> None:
    own = plan().own
    assert own is not None
    assert outlook(plan()).startswith(f"3 seeds will not see less than {own.low:.2g} in abs_rel")
    assert outlook(plan(smallest=own.low / 2)).startswith("warning: 3 seeds will not see less than")
    assert outlook(plan(smallest=(own.low + own.high) / 2)).startswith("warning: 3 seeds may not see")
    assert "warning" not in outlook(plan(smallest=own.high * 1.01))
    assert "will see no difference between recipes" in outlook(plan(seeds=(0,)))
    alone = power_json(plan(seeds=(0,)))
    assert alone["detectable"][0] == {"seeds": 1, "low": None, "high": None, "own": True}
    json.dumps(alone, allow_nan=False)


def test_the_noise_a_study_leaves_is_read_back_as_it_was(study: Study, tmp_path: Path) -> None:
    left = leave_noise(study, tmp_path)
    assert StudyNoise.read(tmp_path / "studies" / "earlier") == left
    assert left.like == likeness(study)
    assert len(left.tables) == 2 * 9
    assert {table.replicates for table in left.tables} == {3}


def test_the_noise_is_that_of_the_differences_to_the_reference_but_for_the_placebos(
    study: Study, registry: Registry, tiny: str, tmp_path: Path
) -> None:
    results = make_results(study, tmp_path)
    gaps = differences(results, "full", "abs_rel")
    assert len(gaps) == len(study.variants) - 1
    values = results.table("full", "abs_rel")
    with_placebo = make_study(tmp_path / "other", registry, tiny, placebo=True)
    assert len(differences(make_results(with_placebo, tmp_path), "full", "abs_rel")) == len(gaps)
    others = [i for i, variant in enumerate(study.variants) if variant.name != "heg_s + cliff"]
    assert all(np.array_equal(gap, values[i] - values[3]) for gap, i in zip(gaps, others, strict=True))
    summary = summarise_noise(results)
    assert summary is not None
    assert (summary.mean, len(gaps)) == mean_noise(gaps)
    assert (summary.curves, summary.improving) == (18, 18)
    waiting = [("heg_s + cliff", 0), ("heg_s + cliff", 1)]
    assert summarise_noise(make_results(study, tmp_path, waiting=waiting)) is None


def test_training_is_unfinished_where_the_score_still_improves_at_the_end(study: Study, tmp_path: Path) -> None:
    cell = make_results(study, tmp_path).cells[0]
    steep = [(step, 1 / step) for step in range(50, 501, 50)]
    flat = [(step, 0.2 + (step < 300)) for step in range(50, 501, 50)]
    assert still_improving(replace(cell, curve=steep)) is True
    assert still_improving(replace(cell, curve=flat)) is False
    assert still_improving(replace(cell, curve=[(500, 0.1)])) is None
    assert still_improving(replace(cell, curve=[(250, 0.2), (500, 0.1)])) is None, "too few validations"
    assert cell.scores is not None
    upward = replace(cell.scores, selection=replace(cell.scores.selection, score="delta1"))
    assert still_improving(replace(cell, curve=steep, scores=upward)) is False
    assert still_improving(replace(cell, curve=[(step, 1 - score) for step, score in steep], scores=upward)) is False
    assert still_improving(replace(cell, curve=[(step, step / 500) for step, _ in steep], scores=upward)) is True
