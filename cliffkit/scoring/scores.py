"""Scores of images under protocols, fast: each pixel is read once for all metrics and for all protocols that share it.

The definitions stand in `scoring.metrics`. Every metric is a function of sums over an image's scored pixels
(`scoring.sums`). Where pixels have labels, the sums of each label are kept apart, at next to no cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.protocols import Protocol
from cliffkit.scoring.alignments import UNCHANGED, Fit, fit_image
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.sums import N_SUMS, Change, Floats, Group, Sums, change_of, metrics_of, sums_of


class Unscored(NamedTuple):
    """Why a protocol cannot score an image."""

    reason: str


class Parts(NamedTuple):
    """The scores of an image under one protocol, and the sums of which they are made."""

    row: dict[str, float] | Unscored | None
    """Metrics of all scored pixels; None where no pixel is scored."""
    sums: Mapping[int, Sums]
    """Of the scored pixels of each label, aligned and clamped with all pixels; empty where nothing is scored."""


def score_image(
    prediction: Floats, depth: Floats, valid: NDArray[np.bool_], protocol: Protocol
) -> dict[str, float] | None:
    """Compute the metrics of one image, arrays (H, W) in the protocol's view; None where no pixel is scored.

    In this order: crop, valid range, alignment (of the scored pixels, as `scoring.alignments` says), NaN and infinities
    replaced, clamp. Raises ValueError for a non-finite prediction that the protocol does not replace, a prediction that
    cannot be aligned, and a metric that is not finite: no NaN ever leaves this module.
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
    return [parts.row for parts in score_parts(prediction, depth, valid, protocols)]


def score_parts(
    prediction: Floats,
    depth: Floats,
    valid: NDArray[np.bool_],
    protocols: Sequence[Protocol],
    labels: NDArray[np.uint8] | None = None,
    fits: Mapping[int, Fit | Unscored] = MappingProxyType({}),
) -> list[Parts]:
    """Compute what `score_protocols` gives, with the sums of the pixels of each label, (H, W); None: all are 0.

    `fits` has the alignments of the protocols that align over a set, by their indices, or why there is none.
    """
    if not prediction.shape == depth.shape == valid.shape or depth.ndim != 2:
        shapes = f"prediction {prediction.shape}, depth {depth.shape}, valid {valid.shape}"
        raise ValueError(f"{shapes} must be of one shape (H, W), that of the protocol's view")
    if len({(protocol.view, protocol.flip) for protocol in protocols}) > 1:
        raise ValueError("protocols scored together must have one view and one flip")
    groups = list(_groups(prediction, depth, valid, protocols, labels))
    modes = sorted({protocol.delta_inclusive for protocol in protocols})

    cache: dict[tuple[int, Change], Sums] = {}  # sums by group and change: the shared work
    scores: list[Parts] = []
    for index, protocol in enumerate(protocols):
        fit = fits.get(index)
        mine = {number: group for number, group in enumerate(groups) if index in group.members}
        if not mine:
            scores.append(Parts(None, {}))
            continue
        if isinstance(fit, Unscored):
            scores.append(Parts(fit, {}))
            continue
        try:
            scores.append(_score(mine, protocol, fit, modes, cache))
        except ValueError as error:
            scores.append(Parts(Unscored(str(error)), {}))
    return scores


def _score(
    groups: Mapping[int, Group],
    protocol: Protocol,
    fit: Fit | None,
    modes: Sequence[bool],
    cache: dict[tuple[int, Change], Sums],
) -> Parts:
    """Score one protocol's groups of pixels, by their numbers; sums are taken from the cache, and put there.

    Without a fit the pixels give one.
    """
    if fit is None:
        fit = _fit(list(groups.values()), protocol)
    sums: dict[int, Sums] = {}
    for number, group in groups.items():
        change = change_of(group.prediction, fit, protocol)
        if change is None:
            count = sum(np.count_nonzero(~np.isfinite(group.prediction)) for group in groups.values())
            raise ValueError(f"{count} predicted depths are NaN or infinite; protocol '{protocol.name}' has no rule")
        if (number, change) not in cache:
            with np.errstate(over="ignore", invalid="ignore"):  # `metrics_of` refuses what comes of it
                cache[number, change] = sums_of(group, change, modes)
        sums[group.label] = sums.get(group.label, np.zeros(N_SUMS)) + cache[number, change]
    return Parts(metrics_of(sum(sums.values(), np.zeros(N_SUMS)), protocol), sums)


def summarise(rows: Sequence[Mapping[str, float] | None], protocol: Protocol) -> dict[str, float]:
    """Average the metrics of a set's images, whatever their order, with `n` images scored and `absent` ones.

    An image is absent (None) when it has no scored pixel. Raises UserError when all are. A metric beside the nine is
    averaged over the images that have a value, and left out where none has.
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
    for metric in protocol.metrics:
        values = [row[metric.name] for row in scored if not math.isnan(row[metric.name])]
        if values:
            summary[metric.name] = math.fsum(values) / len(values)
    return summary | {"n": len(scored), "absent": len(rows) - len(scored)}


def _groups(
    prediction: Floats,
    depth: Floats,
    valid: NDArray[np.bool_],
    protocols: Sequence[Protocol],
    labels: NDArray[np.uint8] | None,
) -> Iterator[Group]:
    """Split the scored pixels so that all of a group have one label and are scored by the same protocols.

    Each pixel has a code, bit k for protocol k. Pixels that a clamp may change have one bit more, so that they stand
    apart and the protocols share the sums of all other pixels. Labels, below 256, stand in the bits above.
    """
    assert len(protocols) < 56, "a bit each, one for the clamps, eight for the labels"
    first = len(protocols) + 1  # bit of the labels
    bits = first + (0 if labels is None else int(labels.max(initial=0)).bit_length())
    codes = np.zeros(depth.shape, dtype=np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint64)
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

    if labels is not None:
        codes |= (codes > 0) * (labels.astype(codes.dtype) << codes.dtype.type(first))

    while code := int(codes.max(initial=0)):
        chosen = codes == code
        pixels = np.flatnonzero(chosen)
        members = frozenset(index for index in range(len(protocols)) if code >> index & 1)
        yield Group(depth.ravel().take(pixels), prediction.ravel().take(pixels), members, code >> first)
        codes *= ~chosen


def _fit(groups: Sequence[Group], protocol: Protocol) -> Fit:
    """Fit the prediction of a protocol's pixels to their truth."""
    if protocol.align == "none":
        return UNCHANGED  # without copying the pixels
    assert protocol.align_over == "image", "a set is fitted before its images are scored"
    prediction = np.concatenate([group.prediction for group in groups])
    depth = np.concatenate([group.depth for group in groups])
    try:
        return fit_image(protocol.align, prediction, depth)
    except ValueError as error:
        raise ValueError(f"protocol '{protocol.name}' {error}") from error
