"""A verdict's sentence says the amount, what the study could have seen, and what it would take to see more."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cliffkit.report.sentences import between, sentence
from cliffkit.statistics import Estimate, Floats, Variance, estimate

CLEAR = Estimate(-0.0123, -0.0195, -0.0051, 0.004, 0.002, 4, 0.95, 3, 50, 0, Variance(0, 0, 0))
"""A difference that is no noise."""


def _table(seeds: int, images: int, seed: int, sds: tuple[float, float, float]) -> Floats:
    """Noise of seeds, images and rest."""
    random = np.random.default_rng(seed)
    parts = (
        random.normal(0, sd, shape) for sd, shape in zip(sds, ((seeds, 1), (1, images), (seeds, images)), strict=True)
    )
    return np.asarray(sum(parts))


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("rmse", "better by 0.0123 m (0.0051 to 0.0195), p = 0.004"),
        ("abs_rel", "better by 0.0123 (0.0051 to 0.0195), p = 0.004"),
        ("delta1", "worse by 0.0123 (0.0051 to 0.0195), p = 0.004"),
    ],
)
def test_the_amount_is_told_whichever_way_the_metric_points(metric: str, words: str) -> None:
    assert sentence(CLEAR, metric) == words


def test_what_many_comparisons_find_by_chance_is_told_with_what_it_would_be_alone() -> None:
    assert sentence(CLEAR, "abs_rel", 0.06) == (
        "not distinguishable from noise: alone it would be better by 0.0123 (0.0051 to 0.0195), p = 0.004, but so many "
        "comparisons find as much by chance (Holm's p = 0.060)"
    )
    assert sentence(CLEAR, "abs_rel", 0.04) == sentence(CLEAR, "abs_rel")


def test_no_difference_seen_tells_what_could_have_been() -> None:
    table = _table(3, 60, 7, (0.01, 0.0, 0.01))
    found = estimate(table - table.mean() + 0.004)
    assert found is not None
    needed = found.seeds_needed()
    assert needed is not None
    told = sentence(found, "rmse")
    assert told.startswith("not distinguishable from noise: +0.00400 m (")
    assert f"would have seen {found.detectable():.5f} m four times in five" in told
    assert f"would take about {needed - 3} more seeds" in told
    hopeless = estimate(_table(3, 60, 8, (0.0, 1.0, 0.01)))
    assert hopeless is not None
    assert hopeless.seeds_needed() is None
    assert "no number of seeds would show the one observed" in sentence(hopeless, "rmse")
    assert "no difference was observed" in sentence(replace(hopeless, value=0.0), "rmse")


def test_equal_scores_are_told_as_equal() -> None:
    assert sentence(estimate(np.zeros((3, 5))), "rmse") == (
        "not distinguishable from noise: the two are equal on every image under every seed"
    )


@pytest.mark.parametrize(
    ("shift", "lean"), [(0.0, "worse by "), (-20.0, "better by "), (-9.99, "which the noise of the images explains")]
)
def test_one_seed_is_told_to_hold_for_these_weights_only(shift: float, lean: str) -> None:
    row = np.linspace(9, 11, 11)[None] + shift
    told = sentence(estimate(row), "abs_rel")
    assert told.startswith("on these weights only: ")
    assert lean in told
    assert told.endswith("; seed noise was not measured, train more seeds")


def test_one_image_or_none_is_told_to_be_no_measurement() -> None:
    assert sentence(None, "rmse") == "not measured: no image is scored in both"
    one = estimate(np.array([[1.0], [2.0], [4.0]]))
    assert sentence(one, "rmse") == "not measured: one image says nothing of others; worse by 2.33 m on it"
    alone = estimate(np.array([[0.0]]))
    assert sentence(alone, "rmse").endswith("says nothing of others; no difference on it")
    assert math.isinf(alone.low if alone else 0)


def test_a_range_whose_ends_are_written_alike_is_one_number() -> None:
    narrow = replace(CLEAR, value=-0.45, low=-0.4501, high=-0.4499)
    assert sentence(narrow, "abs_rel") == "better by 0.450 (0.450), p = 0.004"
    assert between("0.45", "0.46") == "0.45 to 0.46"
