from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliffkit.errors import UserError
from cliffkit.protocols import Protocol
from cliffkit.recipe.schema import Metric
from cliffkit.scoring.metrics import (
    DEFINITIONS,
    HIGHER_IS_BETTER,
    METRICS,
    UNITS,
    Definition,
    delta1,
    delta2,
    delta3,
)
from cliffkit.scoring.scores import Unscored, score_image, score_protocols, summarise
from cliffkit.scoring.views import as_scored, scored_pixels, truth_in_view

from ..protocol_fixtures import PROTOCOLS, protocol

PLAIN = Protocol("plain", "a test", min_depth_m=1e-3)


def _score(prediction: object, depth: object, ours: Protocol = PLAIN, valid: object = None) -> dict[str, float]:
    p, d = (np.atleast_2d(np.asarray(values, np.float32)) for values in (prediction, depth))
    v = np.isfinite(d) if valid is None else np.atleast_2d(np.asarray(valid, np.bool_))
    row = score_image(p, d, v, ours)
    assert row is not None
    assert tuple(row) == METRICS
    return row


def _formula(p: np.ndarray, d: np.ndarray, valid: np.ndarray, ours: Protocol) -> dict[str, float] | None:
    """The plain way, in float64: a mask, then one formula after the other."""
    p, d = p.astype(np.float64), d.astype(np.float64)
    mask = valid & np.isfinite(d) & (d > ours.min_depth_m)
    if ours.max_depth_m is not None:
        mask &= d < ours.max_depth_m
    if ours.crop is not None:
        inside = np.zeros_like(mask)
        inside[ours.crop.slices(*d.shape)] = True
        mask &= inside
    if not mask.any():
        return None
    p, d = p[mask], d[mask]
    if ours.align == "median":
        p = p * (np.median(d) / np.median(p))
    if ours.clamp_low_m is not None:
        p[np.isnan(p)] = ours.clamp_low_m
        p[p < ours.clamp_low_m] = ours.clamp_low_m
    if ours.clamp_high_m is not None:
        p[p > ours.clamp_high_m] = ours.clamp_high_m
    return {name: _defined(metric, p, d, ours) for name, metric in DEFINITIONS.items()}


def _defined(metric: Definition, p: np.ndarray, d: np.ndarray, ours: Protocol) -> float:
    if metric.of_ratios:
        p = np.where(p < ours.floor_m, ours.floor_m, p)
    inclusive = {"inclusive": ours.delta_inclusive} if metric.formula in (delta1, delta2, delta3) else {}
    return metric.formula(p, d, **inclusive)


def _scene(seed: int, shape: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, truth with every sort of hole and out-of-range depth, validity."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.0005, 12, shape).astype(np.float32)
    prediction = (depth * rng.lognormal(0.05, 0.3, shape)).astype(np.float32)
    prediction[rng.random(shape) < 0.02] = -0.5
    valid = rng.random(shape) > 0.3
    depth[rng.random(shape) < 0.1] = np.nan
    depth[rng.random(shape) < 0.02] = np.inf
    depth[rng.random(shape) < 0.02] = 0
    prediction[~valid & (rng.random(shape) < 0.5)] = np.nan  # never seen
    return prediction, depth, valid


def test_every_metric_by_hand() -> None:
    row = _score([[1, 2], [6, 2]], [[1, 4], [4, 2]])
    assert row["abs_rel"] == pytest.approx((0 + 2 / 4 + 2 / 4 + 0) / 4)
    assert row["sq_rel"] == pytest.approx((4 / 4 + 4 / 4) / 4)
    assert row["rmse"] == pytest.approx(math.sqrt(8 / 4))
    e = [0, math.log(0.5), math.log(1.5), 0]
    mean, mean_square = sum(e) / 4, sum(x * x for x in e) / 4
    assert row["rmse_log"] == pytest.approx(math.sqrt(mean_square))
    assert row["log10"] == pytest.approx((math.log10(2) + math.log10(1.5)) / 4)
    assert row["silog"] == pytest.approx(100 * math.sqrt(mean_square - mean**2))
    assert (row["delta1"], row["delta2"], row["delta3"]) == (0.5, 0.75, 0.75)  # ratios 1, 2, 1.5, 1


def test_a_perfect_prediction_scores_perfectly() -> None:
    row = _score([[0.5, 3, 9]], [[0.5, 3, 9]])
    assert row == {name: float(name in HIGHER_IS_BETTER) for name in METRICS}


def test_delta_is_strict_and_inclusive_for_hu() -> None:
    truth = [[1, 2, 4, 5, 1.25, 2.5]]
    at_bound = [[1.25, 2.5, 5, 4, 1, 2]]
    hu = replace(PROTOCOLS["hu"], view=PLAIN.view)
    assert _score(at_bound, truth)["delta1"] == 0
    assert _score(at_bound, truth, hu)["delta1"] == 1
    assert _score([[1.5625, 1.953125]], [[1, 1]])["delta2"] == 0
    assert _score([[1.5625, 1.953125]], [[1, 1]], hu)["delta2"] == 0.5
    assert _score([[1.5625, 1.953125]], [[1, 1]])["delta3"] == 0.5
    assert _score([[1.5625, 1.953125]], [[1, 1]], hu)["delta3"] == 1
    both = score_protocols(
        np.float32(at_bound), np.float32(truth), np.ones((1, 6), np.bool_), [hu, replace(hu, delta_inclusive=False)]
    )
    assert [row and row["delta1"] for row in both] == [1, 0]


@pytest.mark.parametrize(
    ("name", "below", "inside", "above"),
    [
        ("eigen", [1e-3], [1.01e-3, 5, 9.999], [10, 11]),
        ("garg", [1e-3], [1.01e-3, 79.9], [80, 90]),
        ("cliffnet", [0, -1], [1e-6, 50], [np.inf, np.nan]),
        ("hu", [0, -1], [1e-6, 50], [np.inf, np.nan]),
        ("full", [0, 1e-3], [1.01e-3, 500], [np.inf, np.nan]),
    ],
)
def test_the_valid_range_is_strict(name: str, below: list[float], inside: list[float], above: list[float]) -> None:
    ours = replace(PROTOCOLS[name], crop=None)
    for d in inside:
        assert score_image(np.ones((1, 1)), np.array([[d]]), np.ones((1, 1), np.bool_), ours) is not None
    for d in below + above:
        assert score_image(np.ones((1, 1)), np.array([[d]]), np.ones((1, 1), np.bool_), ours) is None


@pytest.mark.parametrize(("name", "shape"), [("eigen", (480, 640)), ("garg", (375, 1242))])
def test_only_the_crop_is_scored(name: str, shape: tuple[int, int]) -> None:
    crop = PROTOCOLS[name].crop
    assert crop is not None
    rows, columns = crop.slices(*shape)
    depth = np.full(shape, 2.0, np.float32)
    prediction = np.full(shape, np.nan, np.float32)
    prediction[rows, columns] = 3.0
    assert _score(prediction, depth, replace(PROTOCOLS[name], replace_nonfinite=False))["abs_rel"] == 0.5
    for row, column in ((rows.start, columns.start), (rows.stop - 1, columns.stop - 1)):
        alone = np.zeros(shape, np.bool_)
        alone[row, column] = True
        assert _score(prediction, depth, PROTOCOLS[name], alone)["abs_rel"] == 0.5
    for row, column in ((rows.start - 1, 300), (rows.stop, 300), (200, columns.start - 1), (200, columns.stop)):
        alone = np.zeros(shape, np.bool_)
        alone[row, column] = True
        assert score_image(prediction, depth, alone, PROTOCOLS[name]) is None


@pytest.mark.parametrize(("name", "low", "high"), [("eigen", 1e-3, 10), ("garg", 1e-3, 80)])
def test_nan_and_infinities_are_replaced(name: str, low: float, high: float) -> None:
    ours = replace(PROTOCOLS[name], crop=None)
    wrong = _score([[np.nan, np.inf, -np.inf, -3, 1e9, 2]], [[2, 4, 5, 3, 6, 2]], ours)
    assert wrong == pytest.approx(_score([[low, high, low, low, high, 2]], [[2, 4, 5, 3, 6, 2]], ours))
    assert all(math.isfinite(value) for value in wrong.values())


@pytest.mark.parametrize("name", ["full", "hu", "cliffnet"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_nonfinite_prediction_without_a_rule_is_an_error(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"1 predicted depths are NaN or infinite; protocol '{name}'"):
        _score([[1, bad]], [[1, 1]], PROTOCOLS[name])
    assert _score([[1, bad]], [[1, 1]], PROTOCOLS[name], [[True, False]])["rmse"] == 0


def test_clamps() -> None:
    eigen = replace(PROTOCOLS["eigen"], crop=None)
    assert _score([[50]], [[5]], eigen)["abs_rel"] == 1
    assert _score([[50]], [[5]], PROTOCOLS["full"])["abs_rel"] == 9
    assert _score([[-1]], [[5]], PROTOCOLS["full"])["rmse"] == pytest.approx(5 - 1e-3)
    assert _score([[-1]], [[5]], PROTOCOLS["cliffnet"])["rmse"] == 5
    assert _score([[-1]], [[5]], PROTOCOLS["hu"])["rmse"] == 6


@pytest.mark.parametrize("name", ["hu", "cliffnet"])
@pytest.mark.parametrize("p", [0.0, -2.0])
def test_a_depth_of_nothing_is_wrong_and_finite(name: str, p: float) -> None:
    row = _score([[p]], [[2]], PROTOCOLS[name])
    assert (row["delta1"], row["delta2"], row["delta3"]) == (0, 0, 0)
    assert row["log10"] == pytest.approx(math.log10(2) + 6)


def test_a_constant_prediction_is_scored_like_any_other() -> None:
    row = _score(np.full((3, 4), 2.0), np.linspace(1, 3, 12).reshape(3, 4))
    assert row["rmse"] == pytest.approx(np.std(np.linspace(1, 3, 12)), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 0.5, 1.0, 37.0])
@pytest.mark.parametrize("name", ["full", "hu", "eigen"])
def test_median_alignment_forgets_scale(name: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 9, (24, 32))
    prediction = depth * rng.uniform(0.8, 1.2, depth.shape)
    ours = protocol(name + "+median")
    assert _score(prediction * scale, depth, ours) == pytest.approx(_score(prediction, depth, ours), rel=1e-5, abs=1e-5)
    assert _score(depth * scale, depth, ours)["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_alignment_comes_before_the_clamp_and_sees_scored_pixels_only() -> None:
    ours = replace(protocol("eigen+median"), crop=None)
    assert _score([[100, 200, 300, 7]], [[1, 2, 3, 20]], ours)["rmse"] == pytest.approx(0)  # 20 m is out of range
    row = _score([[100, 200, 900, np.nan]], [[1, 2, 3, 4]], ours)  # scale 2 / 200; NaN counts as 1e-3
    errors = [0, 0, 6, 4 - 1e-3]
    assert row["rmse"] == pytest.approx(math.sqrt(sum(x * x for x in errors) / 4))
    row = _score([[100, 200, 900]], [[4, 2, 3]], ours)  # scale 3 / 200; 13.5 m clamped to 10
    assert row["rmse"] == pytest.approx(math.sqrt((2.5**2 + 1 + 7**2) / 3))


def test_a_prediction_that_cannot_be_aligned_is_an_error() -> None:
    with pytest.raises(ValueError, match="median of the prediction is 0 m"):
        _score([[0, 0, 1]], [[1, 2, 3]], protocol("full+median"))
    with pytest.raises(ValueError, match="no scored pixel has a finite prediction"):
        _score([[np.nan]], [[1]], replace(protocol("eigen+median"), crop=None))


def test_silog_of_a_scaled_truth_is_nothing() -> None:
    depth = np.random.default_rng(0).uniform(0.5, 9, (200, 200))
    assert _score(np.float32(depth) * np.float32(2), depth)["silog"] == pytest.approx(0, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 70),
    width=st.integers(1, 90),
    names=st.lists(st.sampled_from(["eigen", "garg", "full"]), min_size=1, unique=True),
    median=st.booleans(),
)
def test_scores_are_those_of_the_plain_formula(
    seed: int, height: int, width: int, names: list[str], median: bool
) -> None:
    prediction, depth, valid = _scene(seed, (height, width))
    prediction = np.where(np.isnan(prediction), np.float32(1), np.abs(prediction) if median else prediction)
    protocols = [protocol(name + "+median" * (median and k % 2)) for k, name in enumerate(names)]
    rows = score_protocols(prediction, depth, valid, protocols)
    for row, ours in zip(rows, protocols, strict=True):
        expected = _formula(prediction, depth, valid, ours)
        assert (row is None) == (expected is None)
        if row is not None:
            assert row == pytest.approx(expected, rel=1e-9, abs=1e-5)
            assert row == pytest.approx(score_image(prediction, depth, valid, ours), rel=1e-9, abs=1e-5)


@pytest.mark.parametrize("name", list(PROTOCOLS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_plain_formula_at_full_size(name: str, dtype: type) -> None:
    ours = PROTOCOLS[name]
    prediction, depth, valid = _scene(1, (480, 640))
    depth, valid = truth_in_view(depth, valid, ours.view)
    prediction, _ = truth_in_view(prediction, np.ones((480, 640), np.bool_), ours.view)
    prediction, depth = prediction.astype(dtype), depth.astype(dtype)
    row = score_image(prediction, depth, valid, ours)
    assert row == pytest.approx(_formula(prediction, depth, valid, ours), rel=1e-9)


@pytest.mark.parametrize("spec", ["full", "eigen", "eigen+median", "hu+median", "cliffnet", "garg"])
def test_a_prediction_is_shown_as_it_is_scored(spec: str) -> None:
    ours = protocol(spec)
    prediction, depth, valid = _scene(2, (480, 640))
    depth, valid = truth_in_view(depth, valid, ours.view)
    prediction = truth_in_view(prediction, np.ones((480, 640), np.bool_), ours.view)[0].copy()
    if ours.replace_nonfinite:
        prediction[::9] = np.nan
        prediction[1::9] = np.inf
    else:
        prediction = np.where(np.isfinite(prediction), prediction, np.float32(1))
    shown, scored = as_scored(prediction, depth, valid, ours), scored_pixels(depth, valid, ours)
    assert shown.shape == prediction.shape
    assert np.isfinite(shown).all()
    p, d = shown[scored].astype(np.float64), depth[scored].astype(np.float64)
    row = score_image(prediction, depth, valid, ours)
    by_formula = {name: _defined(metric, p, d, ours) for name, metric in DEFINITIONS.items()}
    assert row == pytest.approx(by_formula, rel=1e-5)


def test_an_image_without_a_scored_pixel_is_shown_without_alignment() -> None:
    nothing = np.zeros((3, 4), np.bool_)
    shown = as_scored(np.full((3, 4), 20.0), np.ones((3, 4)), nothing, protocol("eigen+median"))
    assert (shown == 10).all()


def test_what_stands_in_unscored_pixels_changes_nothing() -> None:
    prediction, depth, valid = _scene(3)
    ours = PROTOCOLS["full"]
    clean = np.where(valid, depth, np.float32(1))
    assert score_image(prediction, depth, valid, ours) == score_image(prediction, clean, valid, ours)
    loud = np.where(valid, prediction, np.float32(np.inf))
    assert score_image(prediction, depth, valid, ours) == score_image(loud, depth, valid, ours)


def test_inputs_are_left_alone() -> None:
    prediction, depth, valid = _scene(4)
    copies = [values.copy() for values in (prediction, depth, valid)]
    score_protocols(prediction, depth, valid, [protocol("eigen+median"), PROTOCOLS["eigen"]])
    for before, after in zip(copies, (prediction, depth, valid), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("count", [7, 8, 12])
def test_more_protocols_than_bits_in_a_byte(count: int) -> None:
    prediction, depth, valid = _scene(5)
    protocols = [replace(PROTOCOLS["full"], name=f"cap{k}", max_depth_m=k) for k in range(1, count + 1)]
    for row, ours in zip(score_protocols(prediction, depth, valid, protocols), protocols, strict=True):
        assert row == pytest.approx(_formula(prediction, depth, valid, ours), rel=1e-9)


def test_a_protocol_that_cannot_score_an_image_costs_only_itself() -> None:
    prediction, depth, valid = np.zeros((4, 5)), np.ones((4, 5)), np.ones((4, 5), np.bool_)
    first, failed, last = score_protocols(prediction, depth, valid, [protocol(f"full{m}") for m in ("", "+median", "")])
    assert isinstance(failed, Unscored)
    assert failed.reason == "protocol 'full+median' cannot align: the median of the prediction is 0 m"
    assert first == last == score_image(prediction, depth, valid, PROTOCOLS["full"])


def test_shapes_and_views_that_do_not_fit_are_refused() -> None:
    ones = np.ones((4, 5))
    with pytest.raises(ValueError, match=r"prediction \(4, 5\), depth \(4, 5\), valid \(5, 4\)"):
        score_image(ones, ones, np.ones((5, 4), np.bool_), PLAIN)
    with pytest.raises(ValueError, match="one view and one flip"):
        score_protocols(ones, ones, ones > 0, [PROTOCOLS["hu"], PROTOCOLS["full"]])
    with pytest.raises(ValueError, match="one view and one flip"):
        score_protocols(ones, ones, ones > 0, [protocol("full+flip"), PROTOCOLS["full"]])


def test_depths_too_large_to_square_are_an_error_not_an_infinity() -> None:
    with pytest.raises(ValueError, match="too large"):
        score_image(np.full((1, 1), 1e200), np.ones((1, 1)), np.ones((1, 1), np.bool_), PLAIN)


def test_a_set_is_the_mean_of_its_images() -> None:
    rows = [_score([[2]], [[1]]), None, _score([[1, 1]], [[1, 2]])]
    summary = summarise(rows, PLAIN)
    assert tuple(summary) == (*METRICS, "n", "absent")
    assert (summary["n"], summary["absent"]) == (2, 1)
    assert summary["abs_rel"] == pytest.approx((1 + 0.25) / 2)  # each image counts the same, not each pixel
    assert summary["rmse"] == pytest.approx((1 + math.sqrt(0.5)) / 2)


def test_hu_pools_squared_errors() -> None:
    rows = [_score([[2]], [[1]]), None, _score([[1, 1]], [[1, 2]])]
    summary = summarise(rows, PROTOCOLS["hu"])
    assert summary["rmse"] == pytest.approx(math.sqrt((1 + 0.5) / 2))
    assert summary["abs_rel"] == summarise(rows, PLAIN)["abs_rel"]


def test_the_order_of_images_does_not_change_a_bit() -> None:
    rng = np.random.default_rng(0)
    rows = [_score(rng.uniform(1, 2, (3, 3)), rng.uniform(1, 2, (3, 3))) for _ in range(50)]
    assert summarise(rows, PLAIN) == summarise(rows[::-1], PLAIN)


def test_a_set_without_a_scored_pixel_is_an_error() -> None:
    with pytest.raises(UserError, match=r"protocol 'eigen' scores, among 2; .*0.001 < d < 10"):
        summarise([None, None], PROTOCOLS["eigen"])


def test_no_nan_enters_a_mean() -> None:
    row = _score([[2]], [[1]])
    with pytest.raises(ValueError, match="not finite"):
        summarise([row, row | {"rmse": math.nan}], PLAIN)


def test_every_metric_has_a_unit_and_a_direction() -> None:
    assert set(UNITS) == set(METRICS) > HIGHER_IS_BETTER
    assert (UNITS["rmse"], UNITS["sq_rel"], UNITS["silog"], UNITS["abs_rel"]) == ("m", "m", "x100", "")


def test_the_formulas_by_hand() -> None:
    predicted, true = np.array([1.0, 2, 6, 2]), np.array([1.0, 4, 4, 2])
    half, more = math.log(0.5), math.log(1.5)
    by_hand = {
        "abs_rel": (2 / 4 + 2 / 4) / 4,
        "sq_rel": (4 / 4 + 4 / 4) / 4,
        "rmse": math.sqrt((4 + 4) / 4),
        "rmse_log": math.sqrt((half**2 + more**2) / 4),
        "log10": (math.log10(2) + math.log10(1.5)) / 4,
        "silog": 100 * math.sqrt((half**2 + more**2) / 4 - ((half + more) / 4) ** 2),
        "delta1": 0.5,
        "delta2": 0.75,
        "delta3": 0.75,
    }
    assert {name: metric.formula(predicted, true) for name, metric in DEFINITIONS.items()} == pytest.approx(by_hand)


@pytest.mark.parametrize(("formula", "bound"), [(delta1, 1.25), (delta2, 1.5625), (delta3, 1.953125)])
def test_a_ratio_at_the_bound_counts_where_it_is_inclusive(formula: object, bound: float) -> None:
    assert callable(formula)
    at, true = np.array([bound, 1.0]), np.array([1.0, bound])
    assert (formula(at, true), formula(at, true, inclusive=True)) == (0, 1)


def test_a_recipe_names_these_metrics_and_no_others() -> None:
    assert get_args(Metric) == METRICS
