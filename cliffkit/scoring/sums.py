"""Sums over an image's scored pixels, from which every metric follows: each pixel is read once for all metrics.

With d the true and p the predicted depth and e = ln(p / d), every metric is a function of seven sums and of counts for
delta 1-3; the sums are float64. They add up, so that an image's sums are those of its parts together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.protocols import Protocol
from cliffkit.scoring.alignments import UNCHANGED, Fit
from cliffkit.scoring.metrics import METRICS

Floats = NDArray[np.floating[Any]]

Sums = NDArray[np.float64]
"""The sums of some pixels; those of more pixels are their sum."""

_DELTA_LOGS = tuple(k * math.log(1.25) for k in (1, 2, 3))

_SLACK = 1e-13
"""Tolerance of a logarithm, so that a ratio of exactly 1.25^k counts as such. No other ratio of float32 is so near."""

_BOUNDS = tuple(tuple(log + slack for log in _DELTA_LOGS) for slack in (-_SLACK, _SLACK))
"""Upper bounds of |e| for delta 1-3: strict, then inclusive."""

_BLOCK = 8192  # pixels at a time: a block's float64 temporaries stay in the processor's cache


class Change(NamedTuple):
    """What a protocol does to predicted depth before the metrics, in the order of the fields."""

    fit: Fit
    replace: bool
    low: float | None
    high: float | None
    floor: float | None


class Group(NamedTuple):
    """Pixels of one label that exactly the same protocols score."""

    depth: Floats
    prediction: Floats
    members: frozenset[int]
    """Indices of these protocols among all."""
    label: int
    """Label that all of the pixels have."""


def change_of(prediction: Floats, fit: Fit, protocol: Protocol) -> Change | None:
    """List what the protocol changes in these predictions; None: one is not finite, and the protocol has no rule.

    Steps without effect are left out, so that equal work is found equal.
    """
    low, high = protocol.clamp_low_m, protocol.clamp_high_m
    ends = fit.aligned(np.array([prediction.min(), prediction.max()], np.float64))
    least, most = float(ends.min()), float(ends.max())
    if not (math.isfinite(least) and math.isfinite(most)):
        if not protocol.replace_nonfinite:
            return None
        return Change(fit, True, low, high, protocol.floor_m)
    low = None if low is None or low <= least else low
    high = None if high is None or high >= most else high
    least = least if low is None else low
    return Change(fit, False, low, high, None if least >= protocol.floor_m else protocol.floor_m)


# Rows of the sums, after which come the counts of delta 1-3, strict, then inclusive.
N_PIXELS, _ABS_REL, _SQ_REL, _SQ, _ABS_E, _E, _E2 = range(7)

_DELTA = 7

N_SUMS = _DELTA + 2 * len(_DELTA_LOGS)


def sums_of(group: Group, change: Change, modes: Sequence[bool]) -> Sums:
    """Add up every per-pixel term over a group's pixels, block by block in memory that is used again."""
    total = np.zeros(N_SUMS)
    size = min(_BLOCK, group.depth.size)
    d_, p_, a_, b_ = np.empty((4, size))
    hit_ = np.empty(size, dtype=np.bool_)
    for start in range(0, group.depth.size, size):
        n = min(size, group.depth.size - start)
        d, p, a, b, hit = d_[:n], p_[:n], a_[:n], b_[:n], hit_[:n]
        d[:] = group.depth[start : start + n]
        p[:] = group.prediction[start : start + n]
        _apply(change, p)
        total[N_PIXELS] += n

        np.subtract(p, d, out=a)  # a = p - d
        total[_SQ] += a @ a
        np.divide(p, d, out=p)  # p = p / d from here on
        np.subtract(p, 1, out=b)  # b = (p - d) / d
        total[_SQ_REL] += a @ b
        total[_ABS_REL] += np.abs(b, out=b).sum()

        if change.floor is not None:
            np.maximum(p, np.divide(change.floor, d, out=b), out=p)
        np.log(p, out=a)  # a = e
        total[_E] += a.sum()
        total[_E2] += a @ a
        total[_ABS_E] += np.abs(a, out=a).sum()
        for inclusive in modes:
            for k, bound in enumerate(_BOUNDS[inclusive]):
                total[_DELTA + len(_DELTA_LOGS) * inclusive + k] += np.count_nonzero(np.less(a, bound, out=hit))
    return total


def _apply(change: Change, prediction: NDArray[np.float64]) -> None:
    """Align, replace, clamp in place; the floor comes later, since differences do not see it."""
    if change.fit != UNCHANGED:
        prediction[:] = change.fit.aligned(prediction)
    if change.replace:
        assert change.low is not None
        np.nan_to_num(prediction, copy=False, nan=change.low, posinf=math.inf, neginf=-math.inf)
    if change.low is not None:
        np.maximum(prediction, change.low, out=prediction)
    if change.high is not None:
        np.minimum(prediction, change.high, out=prediction)


def metrics_of(total: NDArray[np.float64], protocol: Protocol) -> dict[str, float]:
    """Turn an image's sums into its metrics. Raises ValueError for one that is not finite."""
    mean = (total / total[N_PIXELS]).tolist()
    first = _DELTA + len(_DELTA_LOGS) * protocol.delta_inclusive
    values = (
        mean[_ABS_REL],
        mean[_SQ_REL],
        math.sqrt(mean[_SQ]),
        math.sqrt(mean[_E2]),
        mean[_ABS_E] / math.log(10),
        100 * math.sqrt(max(0.0, mean[_E2] - mean[_E] ** 2)),
        *mean[first : first + len(_DELTA_LOGS)],
    )
    metrics = dict(zip(METRICS, values, strict=True))
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"depths too large or too small to score under protocol '{protocol.name}': {metrics}")
    return metrics
