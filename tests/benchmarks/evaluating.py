"""Scoring: four protocols at once against plain numpy, one protocol after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from harness import Row, paired, progress, row
from numpy.typing import NDArray

from cliffkit.protocols import Protocol
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.scores import score_protocols
from cliffkit.workers import in_order
from cliffkit_protocols.eigen import eigen
from cliffkit_protocols.full import full
from cliffkit_protocols.garg import garg

IMAGES, HEIGHT, WIDTH = 654, 480, 640
BLOCKS = 6
"""The images are scored in as many blocks, each block one pair of the table."""
DISTINCT = 24
"""So many different images, 59 MB with their predictions: no cache of one core holds them."""
TOGETHER = (full(), eigen(), garg(), replace(eigen(), name="eigen+median", align="median"))

Floats = NDArray[np.floating]
Image = tuple[Floats, Floats, NDArray[np.bool_]]


def plain(prediction: Floats, depth: Floats, valid: NDArray[np.bool_], ours: Protocol) -> dict[str, float]:
    """What evaluation scripts do, as those of BTS and AdaBins: mask, take, clamp, then one formula after the other."""
    top = np.inf if ours.max_depth_m is None else ours.max_depth_m
    mask = valid & (depth > ours.min_depth_m) & (depth < top)
    if ours.crop is not None:
        inside = np.zeros(depth.shape, np.bool_)
        inside[ours.crop.slices(*depth.shape)] = True
        mask &= inside
    gt, pred = depth[mask], prediction[mask]
    if ours.align == "median":
        pred = pred * (np.median(gt) / np.median(pred))
    low = ours.floor_m if ours.clamp_low_m is None else ours.clamp_low_m
    pred[pred < low] = low
    if ours.clamp_high_m is not None:
        pred[pred > ours.clamp_high_m] = ours.clamp_high_m
    thresh = np.maximum(gt / pred, pred / gt)
    err = np.log(pred) - np.log(gt)
    return {
        "abs_rel": np.mean(np.abs(gt - pred) / gt),
        "sq_rel": np.mean((gt - pred) ** 2 / gt),
        "rmse": np.sqrt(np.mean((gt - pred) ** 2)),
        "rmse_log": np.sqrt(np.mean((np.log(gt) - np.log(pred)) ** 2)),
        "log10": np.mean(np.abs(np.log10(pred) - np.log10(gt))),
        "silog": np.sqrt(np.mean(err**2) - np.mean(err) ** 2) * 100,
        "delta1": (thresh < 1.25).mean(),
        "delta2": (thresh < 1.25**2).mean(),
        "delta3": (thresh < 1.25**3).mean(),
    }


def images() -> list[Image]:
    """Smooth depth from 0.7 to 9.9 m with a frame and patches that the sensor missed, and predictions some 10 % off."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([[[HEIGHT]], [[WIDTH]]])
    found = []
    for _ in range(DISTINCT):
        a, b, c, d = rng.uniform(1, 9, 4)
        depth = 5.3 + 2.3 * np.sin(a * x + b * y + c) + 2.3 * np.cos(b * x - a * y + d)
        prediction = depth * np.exp(rng.normal(0.02, 0.05) + 0.12 * np.sin(3 * b * x + 3 * d * y)
                                    + rng.normal(0, 0.06, depth.shape))  # fmt: skip
        valid = np.zeros(depth.shape, np.bool_)
        valid[8:-8, 8:-8] = True
        for top, left in zip(rng.integers(0, HEIGHT - 40, 12), rng.integers(0, WIDTH - 60, 12), strict=True):
            valid[top : top + 40, left : left + 60] = False
        found.append((prediction.astype(np.float32), depth.astype(np.float32), valid))
    return found


def rows() -> list[Row]:
    """One core against one core, then all cores; the worst difference of any metric of any image stands beside."""
    seen = images()

    def ours(image: Image) -> list[dict[str, float] | None]:
        return score_protocols(*image, TOGETHER)

    def theirs(image: Image, dtype: type) -> list[dict[str, float]]:
        prediction, depth, valid = image
        return [plain(prediction.astype(dtype), depth.astype(dtype), valid, each) for each in TOGETHER]

    def block(work: Callable[[Image], object], start: int, count: int) -> None:
        for i in range(start, start + count):
            work(seen[i % DISTINCT])

    def threaded(start: int, count: int) -> None:
        for _ in in_order(ours, (seen[i % DISTINCT] for i in range(start, start + count)), cores):
            pass

    cores = len(os.sched_getaffinity(0))
    off = {
        dtype: max(_apart(ours(image), theirs(image, dtype)) for image in seen) for dtype in (np.float64, np.float32)
    }
    count = IMAGES // BLOCKS
    pairs = []
    for k in range(BLOCKS):
        progress(f"evaluating: images {k * count} to {(k + 1) * count} of {IMAGES}")
        pairs += paired(
            lambda k=k: block(ours, k * count, count),
            lambda k=k: block(partial(theirs, dtype=np.float64), k * count, count),
            1,
            warmup=0,
        )
    few = DISTINCT // 2
    single = paired(lambda: block(ours, 0, few), lambda: block(partial(theirs, dtype=np.float32), 0, few), 9)
    threads = paired(lambda: threaded(0, few), lambda: block(partial(theirs, dtype=np.float64), 0, few), 9)
    set_of = f"{', '.join(each.name for each in TOGETHER)}; {IMAGES} images {HEIGHT}x{WIDTH}"
    return [
        row(f"scores, one core: {set_of}", "plain numpy, float64, per protocol", pairs, ">= 4",
            f"metrics differ by {off[np.float64]:.0e} at most", unit="s"),
        row(f"scores, {cores} threads as `evaluate` has them; {few} images",
            "plain numpy, float64, one thread, per protocol",
            threads, ">= 4", unit="s"),
        row(f"scores, one core, seconds over theirs; {few} images", "plain numpy, float32, per protocol", single, "",
            f"metrics differ by {off[np.float32]:.0e} at most", unit="s"),
    ]  # fmt: skip


def _apart(ours: Sequence[Mapping[str, float] | None], theirs: Sequence[Mapping[str, float]]) -> float:
    """The largest relative difference of a metric."""
    return max(abs(a[name] / b[name] - 1) for a, b in zip(ours, theirs, strict=True) if a for name in METRICS)
