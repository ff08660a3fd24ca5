"""Colour scales of depth and error."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LogNorm, Normalize
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from cliffkit.errors import UserError

Floats = NDArray[np.floating[Any]]

DEPTH_COLOURS = "viridis"
ERROR_COLOURS = "inferno"
NO_DEPTH_GREY = 0.62  # lighter than the dark end and duller than the bright end of both maps

LOG_FROM = 8.0
"""Ratio of the largest to the smallest depth from which a panel's colours are logarithmic."""


def relative_error(truth: Floats, prediction: Floats) -> Floats:
    """Give |d - p| / d of each pixel, (H, W); NaN where there is no depth."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(truth - prediction) / truth


SPOTS_ACROSS = 70
"""Smallest number of spots that fill a row of a map: it limits how large a pixel of a sparse map is drawn."""


def enlarged(values: Floats, truth: Floats) -> Floats:
    """Draw each pixel of a sparse map larger, (H, W): pixels about it that have no depth take its value.

    `values` are known where the truth is: the truth itself, or an error.
    """
    reach = spot_of(truth) // 2
    if not reach:
        return values
    distance, nearest = distance_transform_edt(~np.isfinite(truth), return_indices=True)
    return np.where(distance <= reach + 0.5, values[tuple(nearest)], np.nan)


def spot_of(truth: Floats) -> int:
    """Choose the side of the spot in which a pixel of a map is drawn, an odd number of pixels; 1 where it is dense.

    All spots together have at most twice the area of the map.
    """
    share = _share(truth)
    side = min(math.isqrt(int(2 / share)), math.ceil(truth.shape[1] / SPOTS_ACROSS)) if share else 1
    return side - 1 + side % 2


def sparse_note(truth: Floats) -> str:
    """Give the note that the pixels of a sparse map are drawn larger; empty for other maps."""
    return f"{100 * _share(truth):.2g} % of pixels, drawn larger" if spot_of(truth) > 1 else ""


def _share(truth: Floats) -> float:
    return float(np.count_nonzero(np.isfinite(truth)) / truth.size)


def scale_of(parts: Sequence[Floats], low: float | None = None) -> tuple[Normalize, str]:
    """Lay a scale over finite values, from their 1st percentile to their 99th; say which ends of its bar are pointed.

    `low` takes the place of the 1st percentile.
    """
    values = np.concatenate([part[np.isfinite(part)] for part in parts]) if parts else np.zeros(0)
    if not values.size:
        return linear_scale(0.0, 1.0), "neither"
    first, last = np.percentile(values, [1, 99]).tolist()
    norm = linear_scale(first if low is None else low, last)
    low, high = scale_ends(norm)
    ends = (bool(values.min() < low), bool(values.max() > high))
    return norm, {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]


def check_range(vmin: float, vmax: float) -> None:
    """Raise UserError where a scale between two depths, metres, has no length."""
    if not (math.isfinite(vmin) and math.isfinite(vmax) and vmin < vmax):
        raise UserError(f"a colour scale from {vmin:g} to {vmax:g} m has no length; give vmin < vmax")


def depth_scale(depth_m: Floats, vmin: float | None = None, vmax: float | None = None) -> Normalize:
    """Lay a scale over all finite depths of a map, unless `vmin` or `vmax` (metres) say otherwise.

    Raises UserError where `vmin` is not below `vmax`.
    """
    if vmin is not None and vmax is not None:
        check_range(vmin, vmax)
    finite = _finite(depth_m)
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if vmax is not None and least >= vmax:
        least = vmax - 1 if vmax <= 0 else 0.0
    return linear_scale(least if vmin is None else vmin, most if vmax is None else vmax)


def beyond(depth_m: Floats, norm: Normalize) -> tuple[bool, bool]:
    """Tell whether depths lie below a scale, and whether depths lie above it."""
    low, high = scale_ends(norm)
    finite = _finite(depth_m)
    return (bool(finite.min() < low), bool(finite.max() > high)) if finite.size else (False, False)


def _finite(depth_m: Floats) -> Floats:
    """Choose the finite depths of a map; the map itself, uncopied, where all are finite."""
    finite = np.isfinite(depth_m)
    return depth_m if finite.all() else depth_m[finite]


def linear_scale(low: float, high: float) -> Normalize:
    """Make a scale from low to high, one metre long where it would have no length."""
    return Normalize(low, high if high > low else low + 1)


def wide_scale(norm: Normalize) -> Normalize:
    """Make a scale logarithmic where it spans much."""
    low, high = scale_ends(norm)
    return LogNorm(low, high) if 0 < low * LOG_FROM < high else norm


def scale_ends(norm: Normalize) -> tuple[float, float]:
    """Give the ends of a scale."""
    assert norm.vmin is not None
    assert norm.vmax is not None
    return norm.vmin, norm.vmax


@functools.cache
def colour_map(name: str) -> Colormap:
    """Get a colour map by name, grey where there is no depth."""
    return matplotlib.colormaps[name].with_extremes(bad=(NO_DEPTH_GREY,) * 3)


def coloured(depth_m: Floats, norm: Normalize) -> NDArray[np.uint8]:
    """Paint a map (H, W) in the colours of depth, (H, W, 3) RGB, grey where there is none."""
    table, shares = _depth_table(), norm(masked(depth_m))
    with np.errstate(invalid="ignore", over="ignore"):
        rows = (np.ma.getdata(shares) * (table.size - 1)).clip(0, table.size - 2).astype(np.intp)
    if np.ma.is_masked(shares):
        rows[np.ma.getmaskarray(shares)] = table.size - 1
    # matplotlib looks up the same rows; whole pixels and then colour by colour is several times as fast
    rgba = table.take(rows, mode="clip").view(np.uint8).reshape(*depth_m.shape, 4)
    rgb = np.empty((*depth_m.shape, 3), np.uint8)
    for channel in range(3):
        rgb[..., channel] = rgba[..., channel]
    return rgb


@functools.cache
def _depth_table() -> NDArray[np.uint32]:
    """Tabulate the colours of depth, four bytes each; the last is that of no depth."""
    colours = colour_map(DEPTH_COLOURS)
    rows = [colours(np.arange(colours.N), bytes=True), colours(np.full(1, np.nan), bytes=True)]
    return np.concatenate(rows).view(np.uint32).ravel()


def masked(depth: Floats) -> np.ma.MaskedArray[Any, np.dtype[np.floating[Any]]]:
    """Mask NaN and infinities of depth."""
    return np.ma.masked_invalid(depth)


def check_map(depth_m: Floats) -> tuple[int, int]:
    """Give height and width of a map (H, W). Raises ValueError for other shapes."""
    if depth_m.ndim != 2 or not depth_m.size:
        raise ValueError(f"depth of shape {depth_m.shape} is no map (H, W)")
    return depth_m.shape[0], depth_m.shape[1]
