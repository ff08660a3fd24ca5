"""Alignments over a set: one fit for all images, and the predictions of a first pass given again in a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cliffkit.prediction.scored import alike, score_sample
from cliffkit.prediction.set_alignment import NO_SET, Predicted, aligned_over_set
from cliffkit.scoring.alignments import Fit
from cliffkit.scoring.scores import Unscored, score_image

from ..engine_fixtures import Tiny
from ..protocol_fixtures import protocol

DATA = Tiny("test", count=6)
CONSTANT_M = 2.5


def predictions(views: int = 1) -> Iterator[Predicted]:
    """Each image's truth, off by a factor of its own, and the same 1 m deeper; some depths cannot be used."""
    for i in range(len(DATA)):
        depth = np.where(DATA[i].valid[0].numpy(), DATA[i].depth[0].numpy(), 1) * (0.5 + 0.1 * i)
        depth[0, :3] = np.nan
        depth[1, :3] = -1
        yield DATA[i], [depth.astype(np.float32) + view for view in range(views)]


def pixels(protocol_index: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Finite predictions and true depths of each image."""
    images = []
    for sample, maps in predictions(2):
        depth, prediction = sample.depth[0].numpy(), maps[protocol_index]
        usable = sample.valid[0].numpy() & (depth > 1e-3) & (depth < 80) & np.isfinite(prediction)
        images.append((prediction[usable].astype(np.float64), depth[usable].astype(np.float64)))
    return images


def test_a_set_is_scored_by_the_one_fit_of_all_its_pixels_and_the_constant_by_its_own() -> None:
    protocols = [protocol({"use": "garg", "crop": False, "align": "scale", "align_over": "set", "name": "set"})]
    protocols += [protocol({"use": "garg", "crop": False, "flip": True, "align": "affine", "align_over": "set"})]
    protocols += [protocol({"use": "garg", "crop": False})]
    with aligned_over_set(predictions(2), DATA, range(6), protocols, alike(protocols), CONSTANT_M) as (again, fits):
        images = [score_sample(sample, protocols, maps, CONSTANT_M, fits) for sample, maps in again]

    p, d = (np.concatenate(arrays) for arrays in zip(*pixels(0), strict=True))
    factor = float(np.linalg.lstsq(p[:, None], d)[0][0])
    q, d = (np.concatenate(arrays) for arrays in zip(*pixels(1), strict=True))
    slope, shift = np.linalg.lstsq(np.stack([q, np.ones_like(q)], 1), d)[0]
    assert fits.scores == {0: pytest.approx((factor, 0, False)), 1: pytest.approx((slope, shift, False))}

    for (sample, maps), (scores, baseline, _) in zip(predictions(2), images, strict=True):
        depth, valid = sample.depth[0].numpy(), sample.valid[0].numpy()
        by_hand = maps[0].astype(np.float64) * factor, maps[1].astype(np.float64) * slope + shift, maps[0]
        for row, map_ in zip(scores, by_hand, strict=True):
            assert row == pytest.approx(score_image(map_, depth, valid, protocols[2]), rel=1e-6, abs=1e-5)
        best = np.full(depth.shape, best_constant())
        assert baseline[:2] == [pytest.approx(score_image(best, depth, valid, protocols[2]), rel=1e-6, abs=1e-5)] * 2


def best_constant() -> float:
    """Mean of all true depths that are scored, metres."""
    depths = [sample.depth[0].numpy()[sample.valid[0].numpy()] for sample, _ in predictions()]
    scored = np.concatenate(depths).astype(np.float64)
    return float(scored[(scored > 1e-3) & (scored < 80)].mean())


def test_predictions_are_read_once_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    once, protocols = predictions(), [protocol("full+median+set")]
    with aligned_over_set(once, DATA, range(6), protocols, alike(protocols), CONSTANT_M) as (again, fits):
        assert next(once, None) is None
        for (sample, maps), (expected, first) in zip(again, predictions(), strict=True):
            np.testing.assert_array_equal(sample.depth, expected.depth)
            np.testing.assert_array_equal(maps, first)
    assert list(tmp_path.iterdir()) == []
    fit = fits.scores[0]
    assert isinstance(fit, Fit)
    assert fit.scale == pytest.approx(np.median([np.median(d) / np.median(p) for p, d in pixels(0)]))


def test_without_a_protocol_of_the_set_nothing_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    once, protocols = predictions(), [protocol("full+median")]
    with aligned_over_set(once, DATA, range(6), protocols, alike(protocols), CONSTANT_M) as (again, fits):
        assert again is once
    assert fits is NO_SET


def test_an_image_without_a_ratio_leaves_a_set_of_medians_without_a_scale() -> None:
    spoilt = [(sample, [maps[0] * (i != 3)]) for i, (sample, maps) in enumerate(predictions())]
    protocols = [protocol("garg+median+set"), protocol("garg+log+set"), protocol("garg")]
    with aligned_over_set(spoilt, DATA, range(6), protocols, alike(protocols), CONSTANT_M) as (again, fits):
        images = [score_sample(sample, protocols, maps, CONSTANT_M, fits)[0] for sample, maps in again]
    reason = "protocol 'garg+median+set' cannot align: the median of the prediction is 0 m, in 1 of 6 images"
    assert [rows[0] for rows in images] == [Unscored(reason)] * 6
    assert isinstance(fits.scores[1], Fit)
    assert all(isinstance(row, dict) for rows in images for row in rows[1:])
