"""Regions of an image by its true depth: ranges of depth, boundaries, and the inside of surfaces.

With d the true depth of a protocol's view, on valid pixels alone:

- ranges of depth: d < 1 m, then 2^(k-1) m <= d < 2^k m for k = 1 to 5, then d >= 32 m. Each is an octave, as errors of
  depth grow with depth: rooms have some four of them, streets all.
- a jump: two pixels side by side, or one above the other, with max(d, d') > `JUMP` min(d, d'), both valid. A hole is no
  jump. (Relative depth between neighbours as the mark of a contour: Bochkovskii et al., "Depth Pro", 2024.)
- boundary: the two pixels of each jump, and those at most n - 1 rows and n - 1 columns away from one of these. n is the
  longer side of the view in pixels / 100, rounded, at least 1: so n pixels on each side of a jump.
- inside: all others. In truth that is too sparse, as that of a laser scanner, jumps cannot be seen: where a valid pixel
  has fewer than two valid neighbours of four on average, the image has neither boundary nor inside.

A region's scores are the metrics over its scored pixels, predictions aligned and clamped as for the whole image. They
are absent where a region has less than `LEAST_SHARE` of an image's scored pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.protocols import Protocol
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.sums import N_PIXELS, N_SUMS, Floats, Sums, metrics_of

JUMP = 1.1
"""Ratio of two neighbouring depths above which there is a boundary between them."""

PER_REACH = 100
"""Length of the longer side, in pixels, for each pixel of a boundary's width to either side."""

LEAST_SHARE = 0.01
"""Of an image's scored pixels, below which a region is absent: a few pixels would count as much as a surface."""

DEPTH, EDGES = "depth", "edges"
"""Families of regions: the regions of a family share no pixel."""

OCTAVES = 7
"""Ranges of depth."""

INSIDE, BOUNDARY, UNSEEN = range(3)
"""Kinds of pixels by jumps."""


class Region(NamedTuple):
    """A region of images."""

    name: str
    family: str
    labels: frozenset[int]
    """Labels of its pixels, as `labels_of` gives them."""


def _octave(number: int) -> Region:
    low, high = 2 ** (number - 1), 2**number
    names = {0: "below 1 m", OCTAVES - 1: f"from {low} m"}
    return Region(
        names.get(number, f"{low} to {high} m"), DEPTH, frozenset(number + OCTAVES * kind for kind in range(3))
    )


def _kind(name: str, kind: int) -> Region:
    return Region(name, EDGES, frozenset(octave + OCTAVES * kind for octave in range(OCTAVES)))


REGIONS = (*map(_octave, range(OCTAVES)), _kind("boundary", BOUNDARY), _kind("inside", INSIDE))
"""Every region, in the order of all tables."""


def labels_of(depth: Floats, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Label every pixel (H, W) by its range of depth + `OCTAVES` x its kind; labels of invalid pixels mean nothing."""
    with np.errstate(invalid="ignore"):  # NaN may stand in holes
        octaves = np.frexp(depth)[1].clip(0, OCTAVES - 1).astype(np.uint8)
    octaves += np.uint8(OCTAVES) * _kinds(depth, valid)
    return octaves


def region_scores(sums: Mapping[int, Sums], protocol: Protocol) -> NDArray[np.float64]:
    """Compute the metrics of each region, (REGIONS, METRICS), from an image's sums by label; NaN where it is absent."""
    scores = np.full((len(REGIONS), len(METRICS)), np.nan)
    least = LEAST_SHARE * sum(float(part[N_PIXELS]) for part in sums.values())
    for row, region in zip(scores, REGIONS, strict=True):
        total = sum((part for label, part in sums.items() if label in region.labels), np.zeros(N_SUMS))
        if total[N_PIXELS] >= max(least, 1):
            row[:] = list(metrics_of(total, protocol).values())
    return scores


def reach_of(height: int, width: int) -> int:
    """Give the width of a boundary to either side of a jump, pixels."""
    return max(1, round(max(height, width) / PER_REACH))


def _kinds(depth: Floats, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Tell the kind of every pixel."""
    beside_jump = np.zeros(depth.shape, np.bool_)
    pairs = np.intp(0)
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        one, other, both = depth[before], depth[after], valid[before] & valid[after]
        with np.errstate(invalid="ignore"):
            jump = both & ((one > JUMP * other) | (other > JUMP * one))
        beside_jump[before] |= jump
        beside_jump[after] |= jump
        pairs += np.count_nonzero(both)
    if pairs < np.count_nonzero(valid):  # each pair is a neighbour to two pixels
        return np.full(depth.shape, UNSEEN, np.uint8)
    return _spread(beside_jump, reach_of(*depth.shape) - 1).astype(np.uint8) * np.uint8(BOUNDARY)


def _spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Mark every pixel at most so many rows and columns away from a marked one."""
    for axis in range(2):
        source, mask = np.moveaxis(mask, axis, 0), mask.copy()
        wide = np.moveaxis(mask, axis, 0)
        for step in range(1, min(reach, len(wide) - 1) + 1):
            wide[step:] |= source[:-step]
            wide[:-step] |= source[step:]
    return mask
