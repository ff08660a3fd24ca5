"""Metrics that a protocol asks for beside the nine, against plain derivations."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from cliffkit.errors import UserError
from cliffkit.interfaces import ScoredDepth
from cliffkit.protocols import ExtraMetric, Protocol, View
from cliffkit.scoring.extras import camera_in_view, extra_scores
from cliffkit.scoring.scores import score_image, summarise
from cliffkit.testing import check_metric
from cliffkit_protocols.metrics.boundary_f1 import BoundaryF1
from cliffkit_protocols.metrics.normals import NormalError, NormalShare

from ..protocol_fixtures import PROTOCOLS, protocol

ALL = ["boundary_f1", "normal_error", "normal_share"]
CAMERA = np.array([50.0, 55.0, 20.0, 14.0])


def everywhere(predicted: np.ndarray, true: np.ndarray, camera: np.ndarray | None = None) -> ScoredDepth:
    return ScoredDepth(predicted, true, np.ones(true.shape, np.bool_), camera)


def plane(normal: tuple[float, float, float], distance: float, shape: tuple[int, int] = (28, 40)) -> np.ndarray:
    """Depth of the plane n x = distance, seen through `CAMERA`."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    fx, fy, cx, cy = CAMERA
    rays = np.stack([(columns - cx) / fx, (rows - cy) / fy, np.ones(shape)], -1)
    return distance / (rays @ np.array(normal))


@pytest.mark.parametrize("factory", [BoundaryF1, NormalError, NormalShare])
def test_a_built_in_metric_keeps_the_contract(factory: type) -> None:
    check_metric(factory)


def test_the_options_of_built_in_metrics_keep_the_contract() -> None:
    check_metric(BoundaryF1, lowest=1.1, highest=1.1, ratios=1)
    check_metric(NormalError, average="median", fov_degrees=90.0)
    check_metric(NormalShare, degrees=30.0)
    with pytest.raises(ValueError, match=r"highest is 1\.1, below lowest, 1.2"):
        BoundaryF1(lowest=1.2, highest=1.1)


@pytest.mark.parametrize("tilt", [0.0, 5.0, 11.0, 12.0, 40.0])
def test_two_planes_differ_by_the_angle_between_them(tilt: float) -> None:
    angle = math.radians(tilt)
    image = everywhere(plane((math.sin(angle), 0, math.cos(angle)), 3), plane((0, 0, 1), 2), CAMERA)
    assert NormalError()(image) == pytest.approx(tilt, abs=1e-5)
    assert NormalError(average="median")(image) == pytest.approx(tilt, abs=1e-5)
    assert NormalShare()(image) == float(tilt < 11.25)


def test_normals_need_four_scored_neighbours_and_an_assumed_camera_where_none_is_known() -> None:
    depth = plane((0, 0, 1), 2)
    image = everywhere(depth, depth)
    assert NormalError()(image) == pytest.approx(0, abs=1e-5)
    board = np.indices(depth.shape).sum(0) % 2 == 0
    assert NormalError()(replace(image, scored=board)) is None
    cross = np.zeros(depth.shape, np.bool_)
    cross[9:12, 10], cross[10, 9:12] = True, True
    assert NormalShare()(replace(image, scored=cross)) == 1


def test_boundary_f1_is_that_of_the_public_evaluation() -> None:
    rng = np.random.default_rng(0)
    true = np.where(np.indices((30, 40)).sum(0) % 13 < 6, 2.0, 2.3) * rng.lognormal(0, 0.02, (30, 40))
    predicted = 3 * true**0.9 * rng.lognormal(0, 0.02, true.shape)

    def contours(depth: np.ndarray, t: float) -> list[np.ndarray]:
        inverse = 1 / depth
        return [
            inverse[:, :-1] / inverse[:, 1:] > t,
            inverse[:-1] / inverse[1:] > t,
            inverse[:, 1:] / inverse[:, :-1] > t,
            inverse[1:] / inverse[:-1] > t,
        ]

    thresholds, scores = np.linspace(1.05, 1.25, 10), []
    for t in thresholds:
        found, real = contours(predicted, t), contours(true, t)
        both = [(a & b).sum() for a, b in zip(found, real, strict=True)]
        recall = np.mean([n / max(b.sum(), 1) for n, b in zip(both, real, strict=True)])
        precision = np.mean([n / max(a.sum(), 1) for n, a in zip(both, found, strict=True)])
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0)
    value = BoundaryF1()(everywhere(predicted, true))
    assert value == pytest.approx(float((np.array(scores) * thresholds / thresholds.sum()).sum()), rel=1e-12)
    assert 0.05 < value < 0.95, "neither nothing nor all"
    assert BoundaryF1()(everywhere(7 * predicted, true)) == pytest.approx(value, rel=1e-12)


def test_a_boundary_beside_a_hole_does_not_count() -> None:
    true = np.where(np.arange(12) < 6, 1.0, 2.0) * np.ones((4, 1))
    image = everywhere(true, true)
    scored = image.scored.copy()
    scored[:, 5] = False
    assert BoundaryF1(ratios=1)(image) == pytest.approx(0.25 * 2 * 0.25 / 0.5)  # one direction of four
    assert BoundaryF1()(replace(image, scored=scored)) is None


def test_only_a_protocol_that_asks_has_more_than_the_nine() -> None:
    ours = protocol({"use": "eigen", "crop": False, "metrics": ALL, "align": "affine", "name": "more"})
    depth = np.tile(np.linspace(1, 8, 40), (28, 1))
    valid = np.ones(depth.shape, np.bool_)
    assert extra_scores(depth, depth, valid, PROTOCOLS["eigen"], None) == {}
    scores = extra_scores(0.5 * depth + 1, depth, valid, ours, CAMERA)
    assert scores["normal_error"] == pytest.approx(0, abs=1e-4), "aligned first"
    assert list(scores) == ALL
    assert math.isnan(extra_scores(depth, np.full(depth.shape, 2.0), valid, ours, CAMERA)["boundary_f1"])


def test_a_metric_is_averaged_over_the_images_that_have_one() -> None:
    ours = protocol({"use": "full", "metrics": ["boundary_f1", "normal_share"]})
    ones = np.ones((3, 3))
    nine = score_image(ones, ones, ones > 0, PROTOCOLS["full"])
    assert nine is not None
    nan = math.nan
    rows = [{**nine, "boundary_f1": f1, "normal_share": nan} for f1 in (0.25, nan, 0.75)]
    summary = summarise(rows, ours)
    assert (summary["boundary_f1"], summary["n"]) == (0.5, 3)
    assert "normal_share" not in summary


def test_a_protocol_says_keeps_and_names_its_metrics() -> None:
    ours = protocol(
        {"use": "full", "metrics": ["boundary_f1", {"use": "normal_share", "degrees": 30, "name": "share30"}]}
    )
    assert ours.name == "full+metrics=boundary_f1,share30"
    assert ours.describe().partition(";")[0].endswith("with boundary_f1 and share30")
    assert Protocol.from_dict(json.loads(json.dumps(ours.to_dict()))) == ours
    assert "metrics" not in PROTOCOLS["full"].to_dict()
    first, second = ours.metrics
    assert (first.higher_is_better, second.unit, json.loads(second.options)["degrees"]) == (True, "", 30)
    assert first.code, "edited code gives another protocol"
    assert ours != replace(ours, metrics=(replace(first, code="other"), second))


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["boundry_f1"], r"no metric is called 'boundry_f1'; did you mean 'boundary_f1'"),
        (["normal_share", {"use": "normal_share", "degrees": 30}], "'normal_share' is the name of another metric"),
        ([{"use": "normal_error", "name": "rmse"}], "'rmse' is the name of another metric"),
        ([{"use": "normal_share", "degrees": 0}], "degrees"),
        ([{"use": "boundary_f1", "lowest": 1.5}], "highest is 1.25, below lowest, 1.5"),
    ],
)
def test_a_wrong_metric_is_a_fault(metrics: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        protocol({"use": "full", "metrics": metrics})


def test_a_metric_that_fails_is_named() -> None:
    broken = replace(PROTOCOLS["full"], metrics=(ExtraMetric("wrong", "math:sqrt"),))
    with pytest.raises(ValueError, match="metric 'wrong': "):
        extra_scores(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2), np.bool_), broken, None)


def test_a_camera_follows_the_view() -> None:
    camera = np.array([500.0, 510.0, 320.0, 240.0], np.float32)
    assert camera_in_view(camera, 480, 640, View()) == pytest.approx(camera)
    half = camera_in_view(camera, 480, 640, View(0.95, (228, 304)))
    assert half == pytest.approx([250, 255, (320 - 16) / 2, (240 - 12) / 2])
    assert camera_in_view(None, 480, 640, View()) is None
    assert camera_in_view(np.full(4, np.nan), 480, 640, View()) is None
