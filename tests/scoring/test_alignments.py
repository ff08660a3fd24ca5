"""Alignments against plain derivations in float64, by numpy's least squares, which share no code with ours."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from cliffkit.errors import UserError
from cliffkit.protocols import ALIGNMENTS, Alignment, Protocol
from cliffkit.scoring.alignments import FLOOR_M, RULES, UNCHANGED, Fit, fit_image, fit_set
from cliffkit.scoring.metrics import DEFINITIONS
from cliffkit.scoring.scores import score_image, score_protocols
from cliffkit.scoring.views import as_scored, scored_pixels

from ..protocol_fixtures import PROTOCOLS, protocol

ALIGNED = [name for name in ALIGNMENTS if name != "none"]
FLOAT = np.float64


def plain(align: str, p: np.ndarray, d: np.ndarray) -> tuple[float, float]:
    """Factor and offset of predictions (or of their disparities), by numpy's least squares on all usable pixels."""
    p, d = p.astype(FLOAT), d.astype(FLOAT)
    usable = {"affine_disparity": p > FLOOR_M, "log": np.isfinite(p) & (p > FLOOR_M)}.get(align, np.isfinite(p))
    p, d = p[usable], d[usable]
    if align == "median":
        return float(np.median(d) / np.median(p)), 0.0
    if align == "log":
        ones = np.ones((p.size, 1))
        return float(np.exp(np.linalg.lstsq(ones, np.log(d) - np.log(p))[0][0])), 0.0
    if align == "scale":
        return float(np.linalg.lstsq(p[:, None], d)[0][0]), 0.0
    if align == "affine_disparity":
        p, d = 1 / p, 1 / d
    scale, shift = np.linalg.lstsq(np.stack([p, np.ones_like(p)], 1), d)[0]
    return float(scale), float(shift)


def plainly_aligned(align: str, p: np.ndarray, fit: tuple[float, float]) -> np.ndarray:
    """All predictions as a public evaluator would align them: disparities are raised to 1e-3 before they are depth."""
    p, (scale, shift) = p.astype(FLOAT), fit
    if align != "affine_disparity":
        return scale * p + shift
    disparity = 1 / np.where(p < FLOOR_M, FLOOR_M, p) * scale + shift
    return 1 / np.where(disparity < 1e-3, 1e-3, disparity)


def scene(seed: int, shape: tuple[int, int] = (60, 80)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, truth and validity of a slanted wall with a box: holes, depths out of range, errors of 20 %."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]] / max(shape)
    depth = 1.5 + 6 * rows + 3 * columns
    depth[10:40, 20:50] = 1.2
    prediction = (0.3 * depth * rng.lognormal(0, 0.2, shape) + 0.4).astype(np.float32)
    depth = depth.astype(np.float32)
    depth[rng.random(shape) < 0.1] = 0
    depth[rng.random(shape) < 0.05] = np.nan
    depth[rng.random(shape) < 0.02] = 40
    return prediction, depth, rng.random(shape) > 0.2


@pytest.mark.parametrize("align", ALIGNED)
@pytest.mark.parametrize("name", ["eigen", "garg", "full", "hu"])
def test_scores_are_those_of_a_plain_least_squares_fit(align: str, name: str) -> None:
    prediction, depth, valid = scene(0)
    ours = replace(protocol(f"{name}+{align}"), view=PROTOCOLS["full"].view)
    prediction[3, :20] = -0.4
    prediction[5, :20] = 1e-3
    if ours.replace_nonfinite:
        prediction[::7, ::3], prediction[1::7, ::3] = np.nan, np.inf
    row = score_image(prediction, depth, valid, ours)

    mask = scored_pixels(depth, valid, ours)
    p, d = prediction[mask].astype(FLOAT), depth[mask].astype(FLOAT)
    p = plainly_aligned(align, p, plain(align, p, d))
    if ours.replace_nonfinite:
        assert ours.clamp_low_m is not None
        p = np.nan_to_num(p, nan=ours.clamp_low_m)
    p = np.clip(p, ours.clamp_low_m, ours.clamp_high_m) if ours.clamp_low_m is not None else p
    inclusive = {"inclusive": ours.delta_inclusive}
    expected = {
        key: metric.formula(
            np.maximum(p, ours.floor_m) if metric.of_ratios else p, d, **(inclusive if key.startswith("delta") else {})
        )
        for key, metric in DEFINITIONS.items()
    }
    assert row == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("align", ALIGNED)
def test_a_prediction_off_by_what_an_alignment_takes_out_scores_perfectly(align: str) -> None:
    _, depth, valid = scene(1)
    truth = np.where(np.isfinite(depth) & (depth > 0), depth, 1).astype(FLOAT)
    wrong = {
        "affine": 0.4 * truth + 3,
        "affine_disparity": 1 / (0.4 / truth + 0.05),
    }.get(align, 7 * truth)
    row = score_image(wrong, depth, valid, protocol(f"full+{align}"))
    assert row is not None
    assert row["rmse"] == pytest.approx(0, abs=1e-9)
    assert row["delta1"] == 1


def test_disparities_that_an_alignment_makes_negative_lie_at_the_clamp_or_at_1000_m() -> None:
    prediction = np.array([[1.0, 2.0, 4.0, 1e9]])
    depth = np.array([[1.0, 2.5, 20.0, 50.0]])
    fit = fit_image("affine_disparity", prediction, depth)
    assert fit.scale / prediction[0, 3] + fit.offset < 0, "the case that is meant"
    everywhere = np.ones((1, 4), np.bool_)
    assert as_scored(prediction, depth, everywhere, protocol("full+affine_disparity"))[0, 3] == pytest.approx(1000)
    capped = replace(protocol("garg+affine_disparity"), crop=None)
    assert as_scored(prediction, depth, everywhere, capped)[0, 3] == 80
    row = score_image(prediction, depth, everywhere, capped)
    assert row is not None
    by_hand = plainly_aligned("affine_disparity", prediction, plain("affine_disparity", prediction, depth))
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((by_hand.clip(1e-3, 80) - depth) ** 2)))


def test_an_infinite_depth_is_a_disparity_of_0_for_an_alignment_of_disparities_alone() -> None:
    prediction = np.array([[1.0, 2.0, np.inf]])
    depth, everywhere = np.array([[1.0, 2.0, 4.0]]), np.ones((1, 3), np.bool_)
    row = score_image(prediction, depth, everywhere, protocol("full+affine_disparity"))
    scale, shift = np.polyfit([1, 0.5, 0], [1, 0.5, 0.25], 1)
    assert row is not None
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((1 / (scale * np.array([1, 0.5, 0]) + shift) - depth) ** 2)))
    with pytest.raises(ValueError, match="are NaN or infinite"):
        score_image(prediction, depth, everywhere, protocol("full+affine"))


@pytest.mark.parametrize("value", [2.0, 0.1, 1 / 3, 70.0])
@pytest.mark.parametrize("align", ALIGNED)
def test_a_constant_prediction_becomes_the_best_constant(align: str, value: float) -> None:
    _, depth, valid = scene(2)
    ours = protocol(f"full+{align}")
    prediction = np.full(depth.shape, value, np.float32)
    shown = as_scored(prediction, depth, valid, ours)
    truth = depth[scored_pixels(depth, valid, ours)].astype(FLOAT)
    best = {
        "median": np.median(truth),
        "scale": truth.mean(),
        "affine": truth.mean(),
        "affine_disparity": 1 / (1 / truth).mean(),
        "log": np.exp(np.log(truth).mean()),
    }[align]
    assert shown == pytest.approx(np.full(depth.shape, best), rel=1e-6)
    row = score_image(prediction, depth, valid, ours)
    assert row is not None
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((truth - best) ** 2)), rel=1e-6)


@pytest.mark.parametrize("align", ALIGNED)
def test_one_valid_pixel_is_met_exactly(align: str) -> None:
    depth, valid = np.full((4, 5), 3.0), np.zeros((4, 5), np.bool_)
    valid[2, 2] = True
    row = score_image(np.full((4, 5), 0.7), depth, valid, protocol(f"full+{align}"))
    assert row is not None
    assert (row["rmse"], row["delta1"]) == (pytest.approx(0, abs=1e-12), 1)


def test_a_prediction_upside_down_is_turned_over_by_an_affine_alignment_as_least_squares_do() -> None:
    depth = np.linspace(1, 4, 12).reshape(3, 4)
    row = score_image(5 - depth, depth, depth > 0, protocol("full+affine"))
    assert row is not None
    assert row["rmse"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("align", "prediction", "reason"),
    [
        ("median", [[0.0, 0, 1]], "the median of the prediction is 0 m"),
        ("scale", [[0.0, 0, 0]], "every prediction is 0 m"),
        ("scale", [[-1.0, -2, -3]], "the least-squares factor is -1"),
        ("log", [[0.0, -1, 0]], "no scored pixel has a prediction that could be aligned"),
        ("affine_disparity", [[0.0, -1, 0]], "no scored pixel has a prediction that could be aligned"),
        ("affine", [[np.nan, np.nan, np.nan]], "no scored pixel has a prediction that could be aligned"),
    ],
)
def test_a_prediction_without_a_fit_is_an_error_that_says_why(align: str, prediction: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=f"protocol 'full\\+{align}' cannot align: {reason}"):
        score_image(np.array(prediction), np.array([[1.0, 2, 3]]), np.ones((1, 3), np.bool_), protocol(f"full+{align}"))


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_protocols_of_all_alignments_are_scored_together_as_each_alone(align: str) -> None:
    prediction, depth, valid = scene(3)
    protocols = [protocol(f"{name}+{other}") for name in ("full", "eigen") for other in ALIGNED]
    mine = protocol(f"eigen+{align}" if align != "none" else "eigen")
    row = score_protocols(prediction, depth, valid, [*protocols, mine])[-1]
    assert row == pytest.approx(score_image(prediction, depth, valid, mine), rel=1e-12)


@pytest.mark.parametrize("align", ALIGNED)
def test_the_fit_of_a_set_is_that_of_all_its_pixels(align: str) -> None:
    images = [(p[v & (d > 0)], d[v & (d > 0)]) for p, d, v in (scene(seed, (20 + seed, 30)) for seed in range(4))]
    images[2][0][:] = 2.5  # an image that fixes no slope alone
    fit = fit_set(align, [RULES[align].evidence(*image) for image in images])
    if align == "median":
        expected = float(np.median([plain("median", *image)[0] for image in images])), 0.0
    else:
        pixels = [np.concatenate(arrays) for arrays in zip(*images, strict=True)]
        expected = plain(align, pixels[0], pixels[1])
    assert (fit.scale, fit.offset) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert fit.disparity == (align == "affine_disparity")


def test_an_image_without_a_usable_pixel_is_no_evidence_of_a_set() -> None:
    p, d = np.array([1.0, 2]), np.array([3.0, 5])
    empty = RULES["affine"].evidence(np.array([np.nan]), np.array([2.0]))
    assert fit_set("affine", [empty, RULES["affine"].evidence(p, d), empty]) == Fit(2.0, 1.0)


def test_every_alignment_that_a_protocol_can_name_has_a_rule_and_words() -> None:
    assert tuple(RULES) == tuple(ALIGNMENTS) == get_args(Alignment)
    assert fit_image("none", np.array([1.0]), np.array([3.0])) == UNCHANGED


@pytest.mark.parametrize("align", ALIGNED)
def test_words_say_what_an_alignment_is_taken_over_and_whether_it_is_robust(align: str) -> None:
    image, set_ = protocol(f"eigen+{align}").describe(), protocol(f"eigen+{align}+set").describe()
    assert "per image by" in image
    assert "once for all test images by" in set_
    assert ("(not robust)" in image) == (align != "median")


def test_a_protocol_of_images_is_stored_as_before_there_were_sets() -> None:
    assert "align_over" not in protocol("eigen+scale").to_dict()
    for spec in ("eigen+scale", "eigen+scale+set"):
        ours = protocol(spec)
        assert Protocol.from_dict(json.loads(json.dumps(ours.to_dict()))) == ours
    assert protocol("eigen+scale+set").to_dict()["align_over"] == "set"


def test_alignments_have_short_names_in_one_order() -> None:
    assert protocol({"use": "full", "align_over": "set", "align": "log"}).name == "full+log+set"
    assert protocol("full+set+log") == protocol("full+log+set")
    with pytest.raises(UserError, match=r"'full\+median\+affine' names more than one alignment; keep one"):
        protocol("full+median+affine")
    with pytest.raises(UserError, match=r"no modifier is called 'afine'; did you mean 'affine'"):
        protocol("full+afine")
    with pytest.raises(UserError, match=r"align_over is 'set'; .* `set` needs an alignment, as `align: scale`"):
        protocol("full+set")
