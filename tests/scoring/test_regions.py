"""Regions of an image and their scores, against plain loops over pixels."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from cliffkit.protocols import Protocol
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import (
    BOUNDARY,
    EDGES,
    INSIDE,
    LEAST_SHARE,
    OCTAVES,
    REGIONS,
    UNSEEN,
    labels_of,
    reach_of,
    region_scores,
)
from cliffkit.scoring.scores import Unscored, score_image, score_parts, score_protocols
from cliffkit.scoring.views import as_scored, scored_pixels

from ..protocol_fixtures import PROTOCOLS

PLAIN = Protocol("plain", "a test")
NAMES = [region.name for region in REGIONS]


def scene(seed: int = 0, shape: tuple[int, int] = (40, 130)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slanted surfaces behind each other with holes, from 0.3 to 60 m; a prediction some 20 % off."""
    random = np.random.default_rng(seed)
    depth = 0.3 + 2 * random.random() + np.linspace(0, 4, shape[1])[None] * np.ones((shape[0], 1))
    for _ in range(6):
        top, left = random.integers(0, shape[0] - 8), random.integers(0, shape[1] - 20)
        depth[top : top + 8, left : left + 20] *= random.choice([0.2, 0.9, 1.08, 3.0, 9.0])
    valid = random.random(shape) > 0.05
    depth[~valid & (random.random(shape) < 0.5)] = np.nan
    prediction = depth * random.lognormal(0, 0.2, shape)
    prediction[np.isnan(prediction)] = 1.0
    return prediction.astype(np.float32), depth.astype(np.float32), valid


def plain_kinds(depth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The definition, pixel by pixel."""
    height, width = depth.shape
    jumps, neighbours = np.zeros(depth.shape, bool), 0
    for row, column in itertools.product(range(height), range(width)):
        for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            y, x = row + down, column + right
            if not (0 <= y < height and 0 <= x < width and valid[row, column] and valid[y, x]):
                continue
            neighbours += 1
            one, other = depth[row, column], depth[y, x]
            jumps[row, column] |= max(one, other) > np.float32(1.1) * min(one, other)
    if neighbours < 2 * valid.sum():
        return np.full(depth.shape, UNSEEN)
    reach = max(1, round(max(height, width) / 100)) - 1
    kinds = np.full(depth.shape, INSIDE)
    for row, column in itertools.product(range(height), range(width)):
        near = jumps[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
        kinds[row, column] = BOUNDARY if near.any() else INSIDE
    return kinds


@pytest.mark.parametrize("shape", [(40, 130), (30, 30), (300, 9), (1, 40), (1, 1)])
def test_the_kinds_are_those_of_the_definition(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    depth = np.where(random.random(shape) < 0.02, 5.0, 2.0).astype(np.float32) * random.uniform(1, 1.04, shape)
    depth = depth.astype(np.float32)
    valid = random.random(shape) > 0.1
    labels = labels_of(depth, valid)
    assert (labels // OCTAVES == plain_kinds(depth, valid))[valid].all()


def test_the_ranges_are_octaves_in_metres() -> None:
    depth = np.array([[0.01, 0.999, 1, 1.999, 2, 3.9, 4, 7.9, 8, 15.9, 16, 31.9, 32, 500]], np.float32)
    octaves = labels_of(depth, np.ones(depth.shape, bool)) % OCTAVES
    assert octaves[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    ranges = ["below 1 m", "1 to 2 m", "2 to 4 m", "4 to 8 m", "8 to 16 m", "16 to 32 m", "from 32 m"]
    assert [*ranges, "boundary", "inside"] == NAMES


def test_a_boundary_is_so_many_pixels_wide_on_each_side_of_a_jump() -> None:
    assert [reach_of(*size) for size in ((120, 160), (480, 640), (228, 304), (32, 48))] == [2, 6, 3, 1]
    depth = np.full((20, 200), 2.0, np.float32)
    depth[:, 100:] = 3
    kinds = labels_of(depth, np.ones(depth.shape, bool)) // OCTAVES
    assert np.flatnonzero(kinds[7] == BOUNDARY).tolist() == [98, 99, 100, 101]


def test_a_hole_is_no_jump_and_hides_one() -> None:
    depth = np.full((20, 60), 2.0, np.float32)
    depth[:, 30:] = 3
    valid = np.ones(depth.shape, bool)
    depth[5:10, 5:10], valid[5:10, 5:10] = np.nan, False
    kinds = labels_of(depth, valid) // OCTAVES
    assert (kinds[:, :25][valid[:, :25]] == INSIDE).all()
    assert (kinds[:, 29] == BOUNDARY).all()
    valid[:, 28:32] = False
    assert (labels_of(depth, valid) // OCTAVES == INSIDE)[valid].all()


def test_truth_that_is_too_sparse_has_ranges_but_neither_boundary_nor_inside() -> None:
    prediction, depth, _ = scene()
    depth = np.nan_to_num(depth, nan=2.0)
    valid = np.zeros(depth.shape, bool)
    valid[::4] = np.random.default_rng(0).random(valid[::4].shape) < 0.5  # a laser scanner's lines
    (parts,) = score_parts(prediction, depth, valid, [PLAIN], labels_of(depth, valid))
    scores = region_scores(parts.sums, PLAIN)
    assert np.isnan(scores[[NAMES.index("boundary"), NAMES.index("inside")]]).all()
    assert np.isfinite(scores[NAMES.index("2 to 4 m")]).all()


@pytest.mark.parametrize("name", ["full", "eigen", "hu", "full median", "eigen median"])
def test_a_regions_scores_are_the_metrics_of_its_pixels_aligned_and_clamped_as_the_whole_image(name: str) -> None:
    ours = PROTOCOLS[name.split()[0]]
    ours = replace(ours, align="median") if name.endswith("median") else ours
    shape = (480, 640) if ours.crop is not None else (40, 130)
    prediction, depth, valid = scene(shape=shape)
    if ours.crop is not None and ours.crop.frame != shape:
        prediction, depth, valid = (
            array[: ours.crop.frame[0], : ours.crop.frame[1]] for array in (prediction, depth, valid)
        )
    labels = labels_of(depth, valid)
    (parts,) = score_parts(prediction, depth, valid, [ours], labels)
    found = region_scores(parts.sums, ours)
    scored = scored_pixels(depth, valid, ours)
    kept = as_scored(prediction.astype(np.float64), depth, valid, ours)
    unaligned = replace(ours, align="none", crop=None)
    for region, row in zip(REGIONS, found, strict=True):
        mask = scored & np.isin(labels, list(region.labels))
        if mask.sum() < max(1, LEAST_SHARE * scored.sum()):
            assert np.isnan(row).all()
            continue
        wanted = score_image(np.where(mask, kept, 1.0), depth, mask, unaligned)
        assert wanted is not None
        assert row == pytest.approx(list(wanted.values()), rel=1e-9)
    assert np.isfinite(found).any()


def test_labels_change_no_score_of_the_whole_image_and_the_regions_of_a_family_add_up() -> None:
    prediction, depth, valid = scene(3)
    ours = [PLAIN, replace(PLAIN, name="capped", max_depth_m=8.0, clamp_low_m=0.5, clamp_high_m=6.0),
            replace(PLAIN, name="aligned", align="median")]  # fmt: skip
    labels = labels_of(depth, valid)
    labelled = score_parts(prediction, depth, valid, ours, labels)
    for parts, row, protocol in zip(labelled, score_protocols(prediction, depth, valid, ours), ours, strict=True):
        assert isinstance(parts.row, dict)
        assert isinstance(row, dict)
        assert parts.row == pytest.approx(row, rel=1e-12)
        scores = region_scores(parts.sums, protocol)
        counts = [sum(part[0] for label, part in parts.sums.items() if label in region.labels) for region in REGIONS]
        kinds = [i for i, region in enumerate(REGIONS) if region.family == EDGES and not np.isnan(scores[i, 0])]
        mean = sum(counts[i] * scores[i, 0] for i in kinds) / sum(counts[i] for i in kinds)
        assert mean == pytest.approx(row["abs_rel"])


def test_a_region_of_a_few_pixels_is_absent() -> None:
    depth = np.full((20, 20), 2.0, np.float32)
    depth[0, :4] = 40  # one in a hundred
    valid, prediction = np.ones(depth.shape, bool), depth * np.float32(1.5)
    for count, there in ((4, True), (3, False)):
        depth[0, count:4] = 2
        (parts,) = score_parts(prediction, depth, valid, [PLAIN], labels_of(depth, valid))
        scores = region_scores(parts.sums, PLAIN)
        assert np.isfinite(scores[NAMES.index("from 32 m"), 0]) == there
    assert scores.shape == (len(REGIONS), len(METRICS))


def test_an_image_without_a_scored_pixel_has_no_region() -> None:
    prediction, depth, valid = scene()
    (parts,) = score_parts(prediction, depth, np.zeros_like(valid), [PLAIN], labels_of(depth, valid))
    assert (parts.row, parts.sums) == (None, {})
    assert np.isnan(region_scores(parts.sums, PLAIN)).all()


def test_many_protocols_have_labels_too() -> None:
    prediction, depth, valid = scene()
    ours = [replace(PLAIN, name=f"p{i}", max_depth_m=2.0 + i) for i in range(12)]
    labels = labels_of(depth, valid)
    for parts, protocol in zip(score_parts(prediction, depth, valid, ours, labels), ours, strict=True):
        assert not isinstance(parts.row, Unscored)
        (alone,) = score_parts(prediction, depth, valid, [protocol], labels)
        np.testing.assert_allclose(region_scores(parts.sums, protocol), region_scores(alone.sums, protocol), rtol=1e-12)
        assert math.isfinite(sum(part[0] for part in parts.sums.values()))


def test_non_finite_predictions_are_counted_over_all_regions() -> None:
    prediction, depth, valid = scene()
    valid &= np.isfinite(depth)
    places = np.flatnonzero(valid)[[3, 400, 2000]]
    prediction.ravel()[places] = np.nan
    (parts,) = score_parts(prediction, depth, valid, [PLAIN], labels_of(depth, valid))
    assert isinstance(parts.row, Unscored)
    assert parts.row.reason.startswith("3 predicted depths are NaN or infinite")
