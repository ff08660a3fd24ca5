"""Where a variant helps: differences in regions of the images, judged family by family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cliffkit.components.registry import Registry
from cliffkit.report.where import where_rows, where_sentences, where_table
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import DEPTH, EDGES, REGIONS
from cliffkit.statistics import (
    BETTER,
    FEW_IMAGES,
    THESE_WEIGHTS,
    UNMEASURED,
    WORSE,
    Design,
    Estimate,
    compare,
    estimate,
    holm,
    pooled,
)
from cliffkit.store.store import Store
from cliffkit.study.analysis import analyse
from cliffkit.study.reading import load_results
from cliffkit.study.results import Results
from cliffkit.study.where import SCENES, Family, Local, where

from ..report_fixtures import make_results, make_study
from ..study_fixtures import FinishedStudy

NAMES = [region.name for region in REGIONS]


@pytest.fixture
def results(tmp_path: Path, registry: Registry, tiny: str) -> Results:
    return make_results(make_study(tmp_path / "study", registry, tiny), tmp_path)


def by_name(results: Results) -> dict[str, Family]:
    return {family.name: family for family in where(results)}


def same(one: Estimate | None, other: Estimate | None) -> bool:
    """Equal but for the rounding of sums in another order."""
    assert one is not None
    assert other is not None
    numbers = [(each.value, each.low, each.high, each.p, each.seeds, each.images) for each in (one, other)]
    return numbers[0] == pytest.approx(numbers[1], rel=1e-9)


def local(family: Family, variant: str, region: str) -> Local:
    """The judged difference of one variant in one region."""
    row = next(row for own, row in family.rows if own.name == variant)
    return row[family.regions.index(region)]


def test_each_family_has_the_regions_that_images_have(results: Results) -> None:
    families = by_name(results)
    assert families[DEPTH].regions == ("1 to 2 m", "2 to 4 m", "4 to 8 m")
    assert families[DEPTH].images == (24, 24, 12)
    assert families[EDGES].regions == ("boundary", "inside")
    assert (families[SCENES].regions, families[SCENES].images) == (("kitchen", "office"), (8, 8))
    assert {variant.name for variant, _ in families[DEPTH].rows} == {
        variant.name for variant in results.study.variants if variant.levels != results.study.reference.levels
    }


def test_a_difference_is_that_of_the_images_that_have_the_region(results: Results) -> None:
    assert results.regions is not None
    reference = results.study.variants.index(results.study.reference)
    for k, name in ((3, "4 to 8 m"), (1, "1 to 2 m")):
        wanted = compare(results.regions[0, ..., k], results.regions[reference, ..., k])
        found = local(by_name(results)[DEPTH], "none + cliff", name).difference
        assert same(found, wanted)
    assert wanted is not None
    assert wanted.images == 24
    kitchens = results.table("full", "abs_rel")[..., ::3]
    difference = compare(kitchens[0], kitchens[reference])
    assert same(local(by_name(results)[SCENES], "none + cliff", "kitchen").difference, difference)


def test_holm_counts_all_variants_and_regions_of_a_family_and_no_other(results: Results) -> None:
    for family in where(results):
        judged = [one for _, row in family.rows for one in row]
        p = [one.difference.p for one in judged if one.difference is not None]
        assert len(p) == family.compared == len(family.rows) * len(family.regions)
        assert [one.p_adjusted for one in judged] == pytest.approx(holm(p))
        assert {one.word for one in judged} >= {BETTER} or family.name == SCENES
        assert all(
            (one.word in (BETTER, WORSE)) == (one.p_adjusted < 0.05 and one.difference.p < 0.05)
            for one in judged
            if one.difference is not None and one.p_adjusted is not None
        )


@pytest.mark.parametrize("seeds", [[0, 1, 2], {"from": 3, "to": 3}])
@pytest.mark.parametrize("few", [1, FEW_IMAGES - 1])
def test_a_region_of_few_images_is_not_measured_and_counts_for_nothing(
    registry: Registry, tiny: str, tmp_path: Path, seeds: list[int] | dict[str, int], few: int
) -> None:
    results = make_results(make_study(tmp_path / "study", registry, tiny, seeds=seeds), tmp_path)
    alone = replace(results, scenes=(*["attic"] * few, *results.scenes[few:]))
    absent = replace(results, scenes=(*[""] * few, *results.scenes[few:]))
    with_attic, without = by_name(alone)[SCENES], by_name(absent)[SCENES]
    assert (with_attic.regions[0], with_attic.images[0]) == ("attic", few)
    assert {row[0] for _, row in with_attic.rows} == {Local(None, UNMEASURED, None)}
    assert [row[1:] for _, row in with_attic.rows] == [row for _, row in without.rows]
    assert with_attic.compared == without.compared == 10
    assert {cells[0][0] for _, cells in where_table(with_attic)["rows"]} == {"×"}
    attic = [row for row in where_rows((with_attic,)) if row["region"] == "attic"]
    assert {(row["value"], row["low"], row["high"], row["p"], row["verdict"]) for row in attic} == {
        (None, None, None, None, UNMEASURED)
    }


def test_the_placebo_is_left_out_and_costs_no_comparison_power(registry: Registry, tiny: str, tmp_path: Path) -> None:
    with_placebo = make_results(make_study(tmp_path / "study", registry, tiny, placebo=True), tmp_path)
    names = {variant.name for family in where(with_placebo) for variant, _ in family.rows}
    assert "placebo" not in names
    assert len(names) == 5


def test_adaptive_seeds_are_judged_by_their_design_on_the_seeds_that_the_study_looks_at(results: Results) -> None:
    """A cell in the store that no round has asked for has scores of regions, but none of the whole image here."""
    design = Design(2, 3)
    scores = {name: values.copy() for name, values in results.scores.items()}
    for values in scores.values():
        values[0, 2] = np.nan
    results = replace(results, study=replace(results.study, adaptive=design), scores=scores)
    assert results.regions is not None
    reference = results.study.variants.index(results.study.reference)
    gap = results.regions[0, ..., 1] - results.regions[reference, ..., 1]
    found = local(by_name(results)[DEPTH], "none + cliff", "1 to 2 m")
    assert same(found.difference, design.interval(gap[:2]))
    assert found.difference is not None
    assert found.difference.seeds == 2
    family = by_name(results)[DEPTH]
    p = [
        design.p(np.where(np.isnan(scores["full"][i, :, :1, 0]), np.nan, results.regions[i, ..., k])
                 - results.regions[reference, ..., k])
        for i in range(6) if i != reference for k in (1, 2, 3)
    ]  # fmt: skip
    assert [one.p_adjusted for _, row in family.rows for one in row] == pytest.approx(holm(p))


def test_rmse_over_a_set_is_pooled_in_regions_too(registry: Registry, tiny: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", registry, tiny, compare={"metric": "rmse", "protocol": "eigen"})
    results = make_results(study, tmp_path)
    eigen = next(protocol for protocol in results.protocols if protocol.name == "eigen")
    results = replace(results, protocols=(replace(eigen, rmse_pooled=True),))
    assert results.regions is not None
    reference = study.variants.index(study.reference)
    table = [pooled(results.regions[i, ..., 3]) for i in (0, reference)]
    found = local(by_name(results)[DEPTH], "none + cliff", "4 to 8 m").difference
    assert same(found, compare(*table))
    mean = estimate(table[0])
    assert mean is not None
    assert mean.value == pytest.approx(np.sqrt(np.nanmean(results.regions[0, ..., 3] ** 2, axis=1)).mean())


def test_one_seed_gives_no_verdict_in_any_region(registry: Registry, tiny: str, tmp_path: Path) -> None:
    results = make_results(make_study(tmp_path / "study", registry, tiny, seeds=[0]), tmp_path)
    families = where(results)
    assert {one.word for family in families for _, row in family.rows for one in row} == {THESE_WEIGHTS}
    assert {family.compared for family in families} == {0}
    assert where_sentences(families) == []


def test_without_scores_of_regions_or_with_one_region_there_is_no_family(results: Results) -> None:
    assert where(replace(results, regions=None)) == ()
    assert results.regions is not None
    regions = results.regions.copy()
    regions[..., [2, 3, *range(7, 9)]] = np.nan
    assert [family.name for family in where(replace(results, regions=regions, scenes=("a",) * 24))] == []


def test_sentences_name_the_regions_in_which_a_variant_is_better_or_worse(results: Results) -> None:
    families = where(results)
    sentences = where_sentences(families)
    for family in families:
        for variant, row in family.rows:
            for region, one in zip(family.regions, row, strict=True):
                sentence = next((text for text in sentences if text.startswith(f"{variant.name}: ")), "")
                parts = {part.strip(" .").split(" in ")[0]: part for part in sentence.partition(": ")[2].split(";")}
                assert (region in parts.get(one.word, "")) == (one.word in (BETTER, WORSE))
    assert sentences


def test_where_nothing_is_found_only_what_is_measured_is_counted(registry: Registry, tiny: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", registry, tiny)
    silent = study.variants[1].name
    failed = {(silent, seed): "a reason" for seed in study.seeds}
    for how, wanted in (({}, "No variant differs"), ({"failed": failed}, "No variant that is measured differs")):
        results = make_results(study, tmp_path, **how)
        assert results.regions is not None
        noise = np.random.default_rng(0).normal(0, 1, (len(study.variants), len(study.seeds), 1, 1))
        regions = np.where(np.isnan(results.regions), np.nan, 1 + noise + 0 * results.regions)
        families = where(replace(results, regions=regions, scenes=("a",) * 24))
        judged = [one for family in families for _, row in family.rows for one in row]
        count = sum(one.difference is not None for one in judged)
        assert (count, len(judged)) == ((5 - len(how)) * 5, 25)
        assert where_sentences(families) == [
            f"{wanted} from the reference by more than noise in any region: {count} comparisons."
        ]
        assert sum(family.compared for family in families) == 25, "Holm's p counts what was planned"


def test_tables_have_a_line_for_each_variant_and_rows_for_programs_one_for_each_region(results: Results) -> None:
    families = where(results)
    table = where_table(families[0])
    assert table["heads"] == ["1 to 2 m (24 images)", "2 to 4 m (24 images)", "4 to 8 m (12 images)"]
    assert len(table["rows"]) == 5
    rows = list(where_rows(families))
    assert len(rows) == 5 * (3 + 2 + 2)
    found = local(families[0], "none + add", "2 to 4 m")
    row = next(row for row in rows if (row["variant"], row["region"]) == ("none + add", "2 to 4 m"))
    assert found.difference is not None
    assert (row["value"], row["p"], row["verdict"]) == (found.difference.value, found.p_adjusted, found.word)


def test_regions_are_read_from_the_store_in_the_studys_metric_and_protocol(finished_study: FinishedStudy) -> None:
    results = load_results(finished_study.study, finished_study.cells, Store(finished_study.runs))
    assert results.regions is not None
    assert results.regions.shape == (4, 2, 5, len(REGIONS))
    assert len(results.scenes) == 5
    assert all(results.scenes)
    whole = results.scores["full"][..., METRICS.index("abs_rel")]
    edges = results.regions[..., [NAMES.index("boundary"), NAMES.index("inside")]]
    both = ~np.isnan(edges).any(axis=-1)
    assert both.any()
    assert (np.nanmin(edges, axis=-1)[both] <= whole[both] + 1e-6).all()
    assert (np.nanmax(edges, axis=-1)[both] >= whole[both] - 1e-6).all()
    assert analyse(results).where == where(results)
