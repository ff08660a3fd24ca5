"""A study's arrays are what its cells wrote; cells that no table may hold together are refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cliffkit.errors import UserError
from cliffkit.report.remarks import caveats
from cliffkit.report.sentences import row_sentence, sentence
from cliffkit.scoring.metrics import METRICS
from cliffkit.statistics import EQUIVALENT, NOISE, THESE_WEIGHTS, UNMEASURED, compare, estimate, holm
from cliffkit.store.artifacts import Environment, JobRecord
from cliffkit.store.store import Store
from cliffkit.study.analysis import Ground, analyse
from cliffkit.study.effects import effects_of
from cliffkit.study.reading import load_results
from cliffkit.study.results import CellResult, Results
from cliffkit_protocols.hu import hu as hu_protocol

from ..store_fixtures import reseal
from ..study_fixtures import FinishedStudy


@pytest.fixture(scope="module")
def results(finished_study: FinishedStudy) -> Results:
    return load_results(finished_study.study, finished_study.cells, Store(finished_study.runs))


def test_scores_lie_where_their_variant_seed_and_image_are(results: Results, finished_study: FinishedStudy) -> None:
    store, study = Store(finished_study.runs), finished_study.study
    assert results.scores["full"].shape == (4, 2, 5, len(METRICS))
    assert len(results.images) == 5
    for cell in finished_study.cells:
        with (store.folder(cell.jobs[-1]) / "per_image.csv").open(newline="") as file:
            rows = {row["image"]: row for row in csv.DictReader(file)}
        place = study.variants.index(cell.variant), study.seeds.index(cell.seed)
        for i, image in enumerate(results.images):
            for k, metric in enumerate(METRICS):
                assert results.scores["full"][place][i, k] == float(rows[image][metric])


def test_the_mean_of_a_table_is_the_score_of_the_run(results: Results) -> None:
    for each in results.cells:
        assert each.scores is not None
        place = results.study.variants.index(each.cell.variant), results.study.seeds.index(each.cell.seed)
        for metric in METRICS:
            own = results.table("full", metric)[place].mean()
            assert own == pytest.approx(each.scores.metrics["full"][metric], rel=1e-12)


def test_a_pooled_rmse_is_the_one_that_the_protocol_states(results: Results) -> None:
    """`hu` takes the root over the set: the table's mean must be that root, not the mean of roots."""
    hu = hu_protocol()
    values = results.scores["full"]
    as_hu = replace(results, protocols=(hu,), scores={"hu": values}, regions=None)
    rmse = values[..., METRICS.index("rmse")]
    np.testing.assert_allclose(as_hu.table("hu", "rmse").mean(axis=-1), np.sqrt((rmse**2).mean(axis=-1)), rtol=1e-12)
    np.testing.assert_array_equal(as_hu.table("hu", "log10"), values[..., METRICS.index("log10")])


def test_curves_are_the_validation_scores(results: Results) -> None:
    for each in results.cells:
        assert [step for step, _ in each.curve] == [2, 4]
        assert each.scores is not None
        best = each.scores.selection
        assert best.best_score == min(score for _, score in each.curve)


def test_what_is_not_done_is_absent_and_what_failed_says_why(finished_study: FinishedStudy, tmp_path: Path) -> None:
    cells = finished_study.cells
    gone, failed = cells[0], cells[5]
    store = Store(
        finished_study.copy(tmp_path / "runs", f"evaluate-{gone.jobs[-1].key}", f"evaluate-{failed.jobs[-1].key}")
    )
    store.fail(failed.jobs[-1], "test image 3: broken", "")
    found = load_results(finished_study.study, cells, store)
    states = {each.cell.name: (each.state, each.reason) for each in found.cells if each.state != "done"}
    assert states == {gone.name: ("waiting", ""), failed.name: ("failed", "evaluate: test image 3: broken")}
    absent = np.isnan(found.scores["full"]).all(axis=(-1, -2))
    assert absent.sum() == 2
    assert found.done == 6


Spoil = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda m: m["protocols"]["full"]["protocol"].update(min_depth_m=0.5), "different protocols"),
        (lambda m: m["data"].update(test_fingerprint="other"), "different test images"),
        (lambda m: m["selection"].update(split="test"), "different rules of selection"),
    ],
    ids=["protocol", "data", "selection"],
)
def test_cells_that_differ_in_what_makes_scores_comparable_share_no_table(
    finished_study: FinishedStudy, tmp_path: Path, spoil: Spoil, what: str
) -> None:
    store = Store(finished_study.copy(tmp_path / "runs"))
    path = store.folder(finished_study.cells[3].jobs[-1]) / "metrics.json"
    metrics = json.loads(path.read_text())
    spoil(metrics)
    path.unlink()
    path.write_text(json.dumps(metrics))
    reseal(path.parent)
    with pytest.raises(UserError, match=f"heg_s \\+ add, seed 0 have {what}"):
        load_results(finished_study.study, finished_study.cells, store)


def with_scores(results: Results, values: np.ndarray) -> Results:
    """The same study with other scores, alike in every metric: (variants, seeds, images)."""
    images = tuple(f"image {i}" for i in range(values.shape[-1]))
    scores = np.repeat(values[..., None], len(METRICS), axis=-1)
    study = replace(results.study, seeds=tuple(range(values.shape[1])))
    return replace(results, study=study, images=images, scores={"full": scores}, regions=None)


@pytest.fixture
def noise() -> np.ndarray:
    """Four variants that differ by nothing but noise, six seeds, forty images."""
    random = np.random.default_rng(5)
    return 0.3 + 0.05 * random.standard_normal((1, 1, 40)) + 0.01 * random.standard_normal((4, 6, 40))


def test_verdicts_are_those_of_the_paired_differences(results: Results, noise: np.ndarray) -> None:
    effect = np.array([0, -0.02, 0, 0.02])[:, None, None]
    found = with_scores(results, noise + effect)
    table = analyse(found).first(found)
    assert [row.variant.name for row in table.rows] == ["none + cliff", "none + add", "heg_s + cliff", "heg_s + add"]
    words = [row.word or "reference" for row in table.rows]
    assert words == ["reference", "better", NOISE, "worse"]
    for i, row in enumerate(table.rows):
        assert row.mean == estimate(noise[i] + effect[i])
        if i:
            assert row.difference == compare(noise[i] + effect[i], noise[0])
    assert [row.best for row in table.rows] == [False, True, False, False]
    assert [row.tied for row in table.rows] == [False, True, False, False]


def test_for_some_metrics_more_is_better(results: Results, noise: np.ndarray) -> None:
    found = with_scores(results, noise + np.array([0, -0.02, 0, 0.02])[:, None, None])
    words = [row.word for row in analyse(found).tables["full", "delta1"].rows if row.word]
    assert words == ["worse", NOISE, "better"]


def test_ties_of_the_best_are_marked(results: Results, noise: np.ndarray) -> None:
    found = with_scores(results, noise)
    table = analyse(found).first(found)
    assert sum(row.best for row in table.rows) == 1
    assert all(row.tied for row in table.rows)


def test_best_and_weakest_are_chosen_on_images_and_seeds_that_all_have(results: Results, noise: np.ndarray) -> None:
    values = noise + np.array([0, 0.02, 0.04, 0.06])[:, None, None]
    values[:, :, 30:] += 1
    values[:, 5] += 0.5
    values[2, :, 30:] = np.nan
    values[3, 5] = np.nan
    found = with_scores(results, values)
    analysis = analyse(found)
    table = analysis.first(found)
    means = [row.mean.value for row in table.rows if row.mean is not None]
    assert min(means) == means[2]
    assert [row.best for row in table.rows] == [True, False, False, False]
    assert table.ground == Ground(5, 30, ("images", "seeds"))
    assert table.rows[0].ranked is not None
    assert table.rows[0].ranked.value == pytest.approx(values[0, :5, :30].mean())
    assert analysis.weakest is not None
    assert analysis.weakest.name == "heg_s + add"
    assert analyse(with_scores(results, noise)).first(found).ground is None


def test_effects_of_a_grid_are_those_that_were_put_in(results: Results, noise: np.ndarray) -> None:
    """The embedding gains 0.02, add costs 0.03, and both together cost 0.01 more."""
    effect = np.array([0, 0.03, -0.02, -0.02 + 0.03 + 0.01])[:, None, None]
    found = with_scores(results, noise + effect)
    analysis = analyse(found)
    main = {effect.axes: effect.estimate for effect in analysis.main}
    assert main["embedding",].value == pytest.approx(-0.015, abs=0.003)
    assert main["fusion",].value == pytest.approx(0.035, abs=0.003)
    (both,) = analysis.interactions
    assert both.estimate.value == pytest.approx(0.01, abs=0.004)
    assert both.word == "worse"
    assert analysis.weakest is not None
    assert analysis.weakest.name == "none + add"
    shares = {share.axes: share.estimate.value for share in analysis.shares}
    assert shares["embedding",] == pytest.approx((-0.02 - 0.01) / 2, abs=0.004)
    values = found.table("full", "abs_rel")
    assert sum(shares.values()) == pytest.approx(float((values[2] - values[1]).mean()))


def test_levels_that_no_variant_has_together_have_no_interaction(results: Results, noise: np.ndarray) -> None:
    variants = results.study.variants
    scores = {variant.levels: noise[i] for i, variant in enumerate(variants)}
    assert len(effects_of(results.study, scores)[1]) == 1
    some = replace(results.study, variants=variants[:3])
    assert effects_of(some, {levels: scores[levels] for levels in list(scores)[:3]})[1] == ()


def test_one_seed_gives_no_verdict(results: Results, noise: np.ndarray) -> None:
    found = with_scores(results, noise[:, :1] + np.array([0, -0.2, 0, 0])[:, None, None])
    table = analyse(found).first(found)
    assert {row.word for row in table.rows if row.word} == {THESE_WEIGHTS}
    assert [row.p_adjusted for row in table.rows] == [None] * 4


def test_a_variant_of_which_nothing_is_done_is_not_measured_and_the_rest_stands(
    results: Results, noise: np.ndarray
) -> None:
    noise[3] = np.nan
    found = with_scores(results, noise)
    analysis = analyse(found)
    rows = analysis.first(found).rows
    assert (rows[3].mean, rows[3].word) == (None, UNMEASURED)
    assert rows[2].difference == compare(noise[2], noise[0])
    main = {effect.axes: effect.estimate for effect in analysis.main}
    assert main["fusion",].value == pytest.approx(float((noise[1] - noise[0]).mean()))


def test_the_same_results_under_two_names_differ_by_nothing(results: Results, noise: np.ndarray) -> None:
    noise[1] = noise[0]
    row = analyse(with_scores(results, noise)).tables["full", "abs_rel"].rows[1]
    assert row.difference is not None
    assert (row.difference.value, row.difference.low, row.difference.high, row.difference.p) == (0, 0, 0, 1)
    assert row.word == NOISE


def test_a_difference_that_surely_is_small_is_equivalent_in_the_study_s_metric_alone(
    results: Results, noise: np.ndarray
) -> None:
    found = with_scores(results, noise + np.array([0, 0, 0.02, 0])[:, None, None])
    words = [row.word for row in analyse(found).first(found).rows]
    assert words == [None, NOISE, "worse", NOISE]
    gaps = [row.difference for row in analyse(found).first(found).rows[1:]]
    wide, narrow = max(gap.high - gap.low for gap in gaps), min(gap.high - gap.low for gap in gaps)
    for smallest, small in ((wide, EQUIVALENT), (narrow / 100, NOISE)):
        study = replace(found.study, smallest=smallest)
        analysis = analyse(replace(found, study=study))
        first = analysis.first(found)
        assert [row.word for row in first.rows] == [None, small, "worse", small]
        assert {row.word for row in analysis.tables["full", "rmse"].rows[1:]} == {NOISE, "worse"}, "another unit"
        assert row_sentence(first.rows[1], "abs_rel").startswith(
            f"equivalent within ±{smallest:g}, by two one-sided tests: " if small == EQUIVALENT else NOISE
        )


def test_an_adjusted_p_is_holm_s_over_the_table(results: Results, noise: np.ndarray) -> None:
    found = with_scores(results, noise + np.array([0, -0.004, 0.004, 0.02])[:, None, None])
    rows = [row for row in analyse(found).first(found).rows if row.difference is not None]
    raw = sorted((row.difference.p, row.p_adjusted) for row in rows)
    expected, high = [], 0.0
    for i, (p, _) in enumerate(raw):
        high = max(high, min(1.0, (len(raw) - i) * p))
        expected.append(high)
    assert [adjusted for _, adjusted in raw] == pytest.approx(expected)


@pytest.mark.parametrize("seeds", [3, 1, 0])
def test_what_is_not_measured_counts_for_holm_as_well(results: Results, noise: np.ndarray, seeds: int) -> None:
    """So no p grows when its cells end later, and no cell that fails makes another comparison surer."""
    scores = noise + np.array([0, -0.006, 0.002, 0])[:, None, None]
    scores[3, seeds:] = np.nan
    found = with_scores(results, scores)
    analysis = analyse(found)
    table = analysis.first(found)
    assert table.compared == 3
    p = [row.difference.p for row in table.rows[1:3] if row.difference is not None]
    wanted = holm([*p, table.rows[3].difference.p if seeds > 1 and table.rows[3].difference is not None else 1.0])
    assert [row.p_adjusted for row in table.rows[1:3]] == wanted[:2]
    assert table.rows[3].p_adjusted == (wanted[2] if seeds > 1 else None)
    words = f"3 comparisons{', 1 of them not measured' * (not seeds)}: "
    assert any(text.startswith(words) for text in caveats(found, analysis))


def test_what_many_comparisons_find_by_chance_is_no_verdict(results: Results) -> None:
    """A main effect whose own interval excludes 0, and whose Holm's p among three differences is above 0.05."""
    random = np.random.default_rng(11)
    for _ in range(400):
        noise = 0.3 + 0.01 * random.standard_normal((4, 3, 20))
        found = with_scores(results, noise)
        for row in analyse(found).first(found).rows:
            if row.difference is not None and row.difference.p < 0.05 <= (row.p_adjusted or 0):
                assert row.word == NOISE
                assert "alone it would be" in sentence(row.difference, row.metric, row.p_adjusted)
                return
    raise AssertionError("400 studies of noise, and not one small p")


def test_a_result_s_cell_is_found_by_its_variant(results: Results) -> None:
    for variant in results.study.variants:
        found: list[CellResult] = results.of(variant)
        assert [each.cell.seed for each in found] == [0, 1]
        assert {each.cell.variant.name for each in found} == {variant.name}


def test_a_cell_knows_the_versions_of_what_its_jobs_computed_with(
    finished_study: FinishedStudy, tmp_path: Path
) -> None:
    runs = finished_study.copy(tmp_path / "runs")
    results = load_results(finished_study.study, finished_study.cells, Store(runs))
    assert {each.environment["torch"] for each in results.cells if each.environment} == {version("torch")}
    pack = Store(runs).folder(finished_study.cells[0].jobs[0])
    record = JobRecord.read(pack)
    assert record.versions["numpy"] == version("numpy")
    replace(record, versions={**record.versions, "numpy": "1.0"}).write(pack)
    results = load_results(finished_study.study, finished_study.cells, Store(runs))
    found = [each.environment for each in results.cells if each.environment]
    assert len(found) == len(results.cells)
    assert {each["numpy"] for each in found} == {f"{version('numpy')}, 1.0"}

    depth = Store(runs).folder(finished_study.cells[0].jobs[-1].needs["depth"])
    environment = Environment.read(depth)
    threads = environment.threads
    attempts = ("threads 64",)
    replace(environment, earlier_attempts=attempts).write(depth)
    generator = next(
        Store(runs).folder(job) for cell in finished_study.cells for job in cell.jobs if job.stage == "embedding"
    )
    replace(Environment.read(generator), threads=threads + 1).write(generator)
    for folder in (depth, generator):
        reseal(folder)
    found = [
        each.environment or {} for each in load_results(finished_study.study, finished_study.cells, Store(runs)).cells
    ]
    assert [each["earlier_attempts"] for each in found] == ["threads 64", *["none"] * (len(found) - 1)]
    assert {each["threads"] for each in found} == {f"{threads}", f"{threads}, {threads + 1}"}


def test_the_interval_of_a_mean_holds_what_the_metric_can_be(results: Results) -> None:
    random = np.random.default_rng(0)
    values = np.minimum(random.exponential(0.5, (4, 2, 6)), 1)
    analysis = analyse(with_scores(results, values))
    for metric, table in ((metric, analysis.tables["full", metric]) for metric in ("abs_rel", "delta1")):
        means = [row.mean for row in table.rows if row.mean is not None]
        assert all(0 <= mean.low <= mean.value <= mean.high for mean in means)
        assert min(mean.low for mean in means) == 0, "else this test shows nothing"
        assert (max(mean.high for mean in means) > 1) == (metric == "abs_rel")
    differences = [row.difference for row in analysis.first(results).rows if row.difference is not None]
    assert min(difference.low for difference in differences) < 0, "a difference has no such bound"
