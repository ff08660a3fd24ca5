"""Scores of images under protocols, fast: each pixel is read once for all metrics and for all protocols that share it.

The definitions stand in `scoring.metrics`. With d the true and p the predicted depth and e = ln(p / d), every metric is
a function of seven sums over an image's scored pixels and of counts for delta 1-3; the sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.protocols import Protocol
from cliffkit.scoring.alignments import SCALES
from cliffkit.scoring.metrics import METRICS

_DELTA_LOGS = tuple(k * math.log(1.25) for k in (1, 2, 3))

_SLACK = 1e-13
"""Tolerance of a logarithm, so that a ratio of exactly 1.25^k counts as such. No other ratio of float32 is so near."""

_BOUNDS = tuple(tuple(log + slack for log in _DELTA_LOGS) for slack in (-_SLACK, _SLACK))
"""Upper bounds of |e| for delta 1-3: strict, then inclusive."""

_BLOCK = 8192  # pixels at a time: a block's float64 temporaries stay in the processor's cache

Floats = NDArray[np.floating[Any]]


class _Change(NamedTuple):
    """What a protocol does to predicted depth before the metrics, in the order of the fields."""

    scale: float
    replace: bool
    low: float | None
    high: float | None
    floor: float | None


class _Group(NamedTuple):
    """Pixels that exactly the same protocols score."""

    depth: Floats
    prediction: Floats
    members: frozenset[int]
    """Indices of these protocols among all."""


class Unscored(NamedTuple):
    """Why a protocol cannot score an image."""

    reason: str


def score_image(
    prediction: Floats, depth: Floats, valid: NDArray[np.bool_], protocol: Protocol
) -> dict[str, float] | None:
    """Compute the metrics of one image, arrays (H, W) in the protocol's view; None where no pixel is scored.

    In this order: crop, valid range, alignment (the medians are of the scored pixels with a finite prediction), NaN and
    infinities replaced, clamp. Raises ValueError for a non-finite prediction that the protocol does not replace, a
    median that gives no scale, and a metric that is not finite: no NaN ever leaves this module.
    """
    row = score_protocols(prediction, depth, valid, (protocol,))[0]
    if isinstance(row, Unscored):
        raise ValueError(row.reason)
    return row


def score_protocols(
    prediction: Floats, depth: Floats, valid: NDArray[np.bool_], protocols: Sequence[Protocol]
) -> list[dict[str, float] | Unscored | None]:
    """Compute what `score_image` gives, to the rounding of float64, for each of several protocols of one view and flip.

    Where it would raise ValueError for a protocol, that protocol gets the reason, and the others their scores.
    Pixels are grouped by the protocols that score them. Protocols that treat a group's predictions alike share its
    sums, and most do where no clamp changes a prediction. This is less work than one protocol after the other.
    """
    if not prediction.shape == depth.shape == valid.shape or depth.ndim != 2:
        shapes = f"prediction {prediction.shape}, depth {depth.shape}, valid {valid.shape}"
        raise ValueError(f"{shapes} must be of one shape (H, W), that of the protocol's view")
    if len({(protocol.view, protocol.flip) for protocol in protocols}) > 1:
        raise ValueError("protocols scored together must have one view and one flip")
    groups = list(_groups(prediction, depth, valid, protocols))
    modes = sorted({protocol.delta_inclusive for protocol in protocols})

    cache: dict[tuple[int, _Change], NDArray[np.float64]] = {}  # sums by group and change: the shared work
    scores: list[dict[str, float] | Unscored | None] = []
    for index, protocol in enumerate(protocols):
        mine = {number: group for number, group in enumerate(groups) if index in group.members}
        if not mine:
            scores.append(None)
            continue
        try:
            scores.append(_score(mine, protocol, modes, cache))
        except ValueError as error:
            scores.append(Unscored(str(error)))
    return scores


def _score(
    groups: Mapping[int, _Group],
    protocol: Protocol,
    modes: Sequence[bool],
    cache: dict[tuple[int, _Change], NDArray[np.float64]],
) -> dict[str, float]:
    """Score one protocol's groups of pixels, by their numbers; sums are taken from the cache, and put there."""
    scale = _scale(list(groups.values()), protocol)
    total = np.zeros(_N_SUMS)
    for number, group in groups.items():
        change = _change(group.prediction, scale, protocol)
        if (number, change) not in cache:
            with np.errstate(over="ignore", invalid="ignore"):  # `_metrics` refuses what comes of it
                cache[number, change] = _sums(group, change, modes)
        total += cache[number, change]
    return _metrics(total, protocol)


def summarise(rows: Sequence[Mapping[str, float] | None], protocol: Protocol) -> dict[str, float]:
    """Average the metrics of a set's images, whatever their order, with `n` images scored and `absent` ones.

    An image is absent (None) when it has no scored pixel. Raises UserError when all are.
    """
    scored = [row for row in rows if row is not None]
    if not scored:
        raise UserError(
            f"no image has a pixel that protocol '{protocol.name}' scores, among {len(rows)}; "
            f"it needs {protocol.describe()}: name another protocol under `evaluate`"
        )
    summary = {name: math.fsum(row[name] for row in scored) / len(scored) for name in METRICS}
    if protocol.rmse_pooled:
        summary["rmse"] = math.sqrt(math.fsum(row["rmse"] * row["rmse"] for row in scored) / len(scored))
    if not all(math.isfinite(value) for value in summary.values()):
        raise ValueError(f"a metric of an image is not finite under protocol '{protocol.name}': {summary}")
    return summary | {"n": len(scored), "absent": len(rows) - len(scored)}


def _groups(
    prediction: Floats, depth: Floats, valid: NDArray[np.bool_], protocols: Sequence[Protocol]
) -> Iterator[_Group]:
    """Split the scored pixels so that the same protocols score all of a group.

    Each pixel has a code, bit k for protocol k. Pixels that a clamp may change have one bit more, so that they stand
    apart and the protocols share the sums of all other pixels.
    """
    assert len(protocols) < 64, "a bit each, and one for the clamps"
    codes = np.zeros(depth.shape, dtype=np.uint8 if len(protocols) < 8 else np.uint64)
    for index, protocol in enumerate(protocols):
        window = protocol.crop.slices(*depth.shape) if protocol.crop is not None else (slice(None), slice(None))
        top = math.inf if protocol.max_depth_m is None else protocol.max_depth_m
        with np.errstate(invalid="ignore"):  # NaN stands in holes, and is never scored
            scored = valid[window] & (depth[window] > protocol.min_depth_m) & (depth[window] < top)
        codes[window] |= scored * codes.dtype.type(1 << index)

    if len(protocols) > 1:
        low = max(protocol.floor_m if (p := protocol.clamp_low_m) is None else p for protocol in protocols)
        high = min(math.inf if (p := protocol.clamp_high_m) is None else p for protocol in protocols)
        with np.errstate(invalid="ignore"):
            bitten = (codes > 0) & ~((prediction >= low) & (prediction <= high))
        codes |= bitten * codes.dtype.type(1 << len(protocols))

    while code := int(codes.max(initial=0)):
        chosen = codes == code
        pixels = np.flatnonzero(chosen)
        members = frozenset(index for index in range(len(protocols)) if code >> index & 1)
        yield _Group(depth.ravel().take(pixels), prediction.ravel().take(pixels), members)
        codes *= ~chosen


def _scale(groups: Sequence[_Group], protocol: Protocol) -> float:
    """Align the prediction of a protocol's pixels with their truth: the factor."""
    if protocol.align == "none":
        return 1.0  # without copying the pixels
    prediction = np.concatenate([group.prediction for group in groups])
    depth = np.concatenate([group.depth for group in groups])
    try:
        return SCALES[protocol.align](prediction, depth)
    except ValueError as error:
        raise ValueError(f"protocol '{protocol.name}' {error}") from error


def _change(prediction: Floats, scale: float, protocol: Protocol) -> _Change:
    """List what the protocol changes in these predictions.

    Steps without effect are left out, so that equal work is found equal. Raises ValueError for a prediction
    that is not finite where the protocol has no rule for it.
    """
    low, high = protocol.clamp_low_m, protocol.clamp_high_m
    least, most = float(prediction.min()) * scale, float(prediction.max()) * scale
    if not (math.isfinite(least) and math.isfinite(most)):
        if not protocol.replace_nonfinite:
            count = np.count_nonzero(~np.isfinite(prediction))
            raise ValueError(f"{count} predicted depths are NaN or infinite; protocol '{protocol.name}' has no rule")
        return _Change(scale, True, low, high, protocol.floor_m)
    low = None if low is None or low <= least else low
    high = None if high is None or high >= most else high
    least = least if low is None else low
    return _Change(scale, False, low, high, None if least >= protocol.floor_m else protocol.floor_m)


# Rows of the sums, after which come the counts of delta 1-3, strict, then inclusive.
_N, _ABS_REL, _SQ_REL, _SQ, _ABS_E, _E, _E2 = range(7)

_DELTA = 7

_N_SUMS = _DELTA + 2 * len(_DELTA_LOGS)


def _sums(group: _Group, change: _Change, modes: Sequence[bool]) -> NDArray[np.float64]:
    """Add up every per-pixel term over a group's pixels, block by block in memory that is used again."""
    total = np.zeros(_N_SUMS)
    size = min(_BLOCK, group.depth.size)
    d_, p_, a_, b_ = np.empty((4, size))
    hit_ = np.empty(size, dtype=np.bool_)
    for start in range(0, group.depth.size, size):
        n = min(size, group.depth.size - start)
        d, p, a, b, hit = d_[:n], p_[:n], a_[:n], b_[:n], hit_[:n]
        d[:] = group.depth[start : start + n]
        p[:] = group.prediction[start : start + n]
        _apply(change, p)
        total[_N] += n

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


def _apply(change: _Change, prediction: NDArray[np.float64]) -> None:
    """Scale, replace, clamp in place; the floor comes later, since differences do not see it."""
    if change.scale != 1:
        prediction *= change.scale
    if change.replace:
        assert change.low is not None
        np.nan_to_num(prediction, copy=False, nan=change.low, posinf=math.inf, neginf=-math.inf)
    if change.low is not None:
        np.maximum(prediction, change.low, out=prediction)
    if change.high is not None:
        np.minimum(prediction, change.high, out=prediction)


def _metrics(total: NDArray[np.float64], protocol: Protocol) -> dict[str, float]:
    """Turn an image's sums into its metrics. Raises ValueError for one that is not finite."""
    mean = (total / total[_N]).tolist()
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
