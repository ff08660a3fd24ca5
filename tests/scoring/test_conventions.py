"""Conventions of public evaluators: their arithmetic, written plainly in float64, beside our protocols."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cliffkit.protocols import Crop
from cliffkit.scoring.scores import score_protocols, summarise

from ..protocol_fixtures import protocol

Maps = tuple[np.ndarray, np.ndarray]
"""Prediction and truth, (H, W) metres; truth is 0 where there is none."""


def room(seed: int, shape: tuple[int, int] = (480, 640)) -> Maps:
    """Planes of a room as a depth camera sees them: holes at edges and in spots, and a border without truth."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]] / shape[0]
    truth = np.minimum(np.minimum(1.4 / (rows + 0.05), 2.5 + 5.5 * columns), 9 - 3 * columns)
    truth[200:330, 120:300] = 1.7 + 0.4 * rows[200:330, 120:300]
    prediction = truth * np.exp(rng.normal(0.02, 0.15)) * rng.lognormal(0, 0.12, shape)
    truth[:9], truth[-8:], truth[:, :11], truth[:, -9:] = 0, 0, 0, 0
    truth[(rng.random((shape[0] // 20, shape[1] // 20)) < 0.1).repeat(20, 0).repeat(20, 1)] = 0
    return prediction.astype(np.float32), truth.astype(np.float32)


def street(seed: int, shape: tuple[int, int]) -> Maps:
    """A road and walls under a sky as a laser sees them: one pixel in twenty, none above the horizon."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]] / np.array(shape)[:, None, None]
    truth = np.minimum(1.65 / np.maximum(rows - 0.42, 1e-3) * 1.2, 6 / np.abs(columns - 0.47 + 1e-4))
    prediction = truth * rng.lognormal(0.05, 0.2, shape)
    truth[(rows < 0.38) | (rng.random(shape) > 0.05) | (truth > 110)] = 0
    return prediction.astype(np.float32), truth.astype(np.float32)


def spoilt(maps: Maps, seed: int) -> Maps:
    """The same with predictions that are no depth: NaN, infinite, negative."""
    rng, (prediction, truth) = np.random.default_rng(seed), maps
    prediction = prediction.copy()
    for value in (np.nan, np.inf, -1.0, 0.0):
        prediction[rng.random(truth.shape) < 0.004] = value
    return prediction, truth


def errors(gt: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """The nine errors, as all of these evaluators compute them."""
    ratio = np.maximum(gt / pred, pred / gt)
    log_error = np.log(pred) - np.log(gt)
    return {
        "abs_rel": np.mean(np.abs(gt - pred) / gt),
        "sq_rel": np.mean((gt - pred) ** 2 / gt),
        "rmse": np.sqrt(np.mean((gt - pred) ** 2)),
        "rmse_log": np.sqrt(np.mean((np.log(gt) - np.log(pred)) ** 2)),
        "log10": np.mean(np.abs(np.log10(pred) - np.log10(gt))),
        "silog": np.sqrt(np.mean(log_error**2) - np.mean(log_error) ** 2) * 100,
        **{f"delta{k}": np.mean(ratio < 1.25**k) for k in (1, 2, 3)},
    }


def shares(shape: tuple[int, int], top: float, bottom: float, left: float, right: float) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[int(top * shape[0]) : int(bottom * shape[0]), int(left * shape[1]) : int(right * shape[1])] = True
    return mask


def garg_mask(shape: tuple[int, int]) -> np.ndarray:
    return shares(shape, 0.40810811, 0.99189189, 0.03594771, 0.96405229)


def eigen_mask(shape: tuple[int, int]) -> np.ndarray:
    return shares(shape, 0.3324324, 0.91351351, 0.0359477, 0.96405229)


def nyu_mask(shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[45:471, 41:601] = True
    return mask


def clamped(pred: np.ndarray, low: float, high: float) -> np.ndarray:
    """As BTS and AdaBins: lower, upper, infinite, NaN, in this order."""
    pred = pred.copy()
    pred[pred < low] = low
    pred[pred > high] = high
    pred[np.isinf(pred)] = high
    pred[np.isnan(pred)] = low
    return pred


def bts(mask: Callable[[tuple[int, int]], np.ndarray], cap: float) -> Callable[[Maps], dict[str, float]]:
    """BTS and AdaBins: clamp, then valid truth inside a crop."""

    def evaluate(maps: Maps) -> dict[str, float]:
        pred, gt = (values.astype(np.float64) for values in maps)
        pred = clamped(pred, 1e-3, cap)
        valid = (gt > 1e-3) & (gt < cap) & mask(gt.shape)
        return errors(gt[valid], pred[valid])

    return evaluate


def toolbox_kitti(maps: Maps) -> dict[str, float]:
    """MDE-Toolbox: truth and prediction cut to 352x1216, then Garg's shares of the cut."""
    pred, gt = (values.astype(np.float64) for values in maps)
    top, left = int(gt.shape[0] - 352), int((gt.shape[1] - 1216) / 2)
    pred, gt = (values[top : top + 352, left : left + 1216] for values in (pred, gt))
    pred = clamped(pred, 1e-3, 80)
    valid = (gt > 1e-3) & (gt < 80) & garg_mask(gt.shape)
    return errors(gt[valid], pred[valid])


def monodepth2(improved: bool) -> Callable[[Maps], dict[str, float]]:
    """monodepth2: select, scale by medians, clamp."""

    def evaluate(maps: Maps) -> dict[str, float]:
        pred, gt = (values.astype(np.float64) for values in maps)
        mask = gt > 0 if improved else (gt > 1e-3) & (gt < 80) & garg_mask(gt.shape)
        pred, gt = pred[mask], gt[mask]
        pred = pred * (np.median(gt) / np.median(pred))
        pred[pred < 1e-3] = 1e-3
        pred[pred > 80] = 80
        return errors(gt, pred)

    return evaluate


ROOMS = [spoilt(room(seed), seed) for seed in range(2)]
STREETS = [street(seed, shape) for seed, shape in enumerate([(375, 1242), (370, 1226), (376, 1241)])]
SPOILT = [spoilt(maps, seed) for seed, maps in enumerate(STREETS)]


@pytest.mark.parametrize(
    ("spec", "evaluate", "images"),
    [
        ("eigen", bts(nyu_mask, 10), ROOMS),
        ("garg", bts(garg_mask, 80), SPOILT),
        ("kitti_eigen", bts(eigen_mask, 80), SPOILT),
        ({"use": "garg", "benchmark_crop": True}, toolbox_kitti, SPOILT),
        ("garg+median", monodepth2(False), STREETS),
        ("kitti_improved+median", monodepth2(True), STREETS),
    ],
    ids=["NYU", "KITTI, Garg", "KITTI, Eigen", "MDE-Toolbox, KITTI", "monodepth2", "monodepth2, improved truth"],
)
def test_a_protocol_gives_the_numbers_of_its_public_evaluator(
    spec: str, evaluate: Callable[[Maps], dict[str, float]], images: list[Maps]
) -> None:
    ours = protocol(spec)
    rows = [score_protocols(pred, gt, gt > 0, [ours])[0] for pred, gt in images]
    theirs = [evaluate(maps) for maps in images]
    for row, expected in zip(rows, theirs, strict=True):
        assert row == pytest.approx(expected, rel=1e-6, abs=1e-6)
    means = {name: np.mean([row[name] for row in theirs]) for name in theirs[0]}
    summary = summarise([row for row in rows if isinstance(row, dict)], ours)
    assert {name: summary[name] for name in means} == pytest.approx(means, rel=1e-6, abs=1e-6)


def test_the_conventions_on_kitti_differ() -> None:
    specs = ["garg", {"use": "garg", "benchmark_crop": True}, "kitti_eigen", "kitti_improved"]
    prediction, truth = STREETS[0]
    rows = score_protocols(prediction, truth, truth > 0, [protocol(spec) for spec in specs])
    assert len({row["abs_rel"] for row in rows if isinstance(row, dict)}) == len(specs)


def test_a_crop_is_taken_of_the_lowest_central_window_or_of_as_much_as_there_is() -> None:
    crop = Crop(0, 1, 0, 1, window=(352, 1216))
    assert crop.slices(375, 1241) == (slice(23, 375), slice(12, 1228))
    assert crop.slices(300, 1300) == (slice(0, 300), slice(42, 1258))
    assert "of the lowest, central 352x1216" in protocol({"use": "garg", "benchmark_crop": True}).describe()


def test_a_crop_without_a_window_is_stored_as_before_there_were_windows() -> None:
    assert "window" not in protocol("garg").to_dict()["crop"]
    assert protocol({"use": "garg", "benchmark_crop": True}).to_dict()["crop"]["window"] == (352, 1216)
