"""Protocols applied to arrays: framing of image and truth, the scored pixels, changes to a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit.protocols import Crop, Protocol, View
from cliffkit.scoring.alignments import UNCHANGED, Fit, fit_image


def image_region(height: int, width: int, view: View) -> tuple[int, int, int, int]:
    """Give the region that a view shows, (top, left, height, width), pixels; odd margins are wider below and right."""
    region_height, region_width = (max(1, round(view.region * side)) for side in (height, width))
    return (height - region_height) // 2, (width - region_width) // 2, region_height, region_width


def truth_in_view(
    depth: NDArray[np.floating[Any]], valid: NDArray[np.bool_], view: View
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Depth and validity, (H, W) each, as a view frames them; never interpolated.

    A resized view takes, for each of its pixels, the one true pixel under its centre: for 480x640 and the view of
    `hu` every second pixel. May return views of the arrays that it was given.
    """
    if depth.ndim != 2 or depth.shape != valid.shape:
        raise ValueError(f"depth {depth.shape} and valid {valid.shape} must be of one shape (H, W)")
    top, left, height, width = image_region(depth.shape[0], depth.shape[1], view)
    rows, columns = slice(top, top + height), slice(left, left + width)
    if view.size is None or view.size == (height, width):
        return depth[rows, columns], valid[rows, columns]
    pixels = np.ix_(top + _centres(height, view.size[0]), left + _centres(width, view.size[1]))
    return depth[pixels], valid[pixels]


def _centres(source: int, target: int) -> NDArray[np.intp]:
    """Give the source pixel under the centre of each target pixel; the later pixel where it lies between two."""
    return (2 * np.arange(target) + 1) * source // (2 * target)


def crop_mask(height: int, width: int, crop: Crop | None) -> NDArray[np.bool_]:
    """Mark the pixels that a protocol's crop keeps of a map in its view, (height, width)."""
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[crop.slices(height, width) if crop is not None else (slice(None), slice(None))] = True
    return mask


def scored_pixels(truth: NDArray[np.floating[Any]], valid: NDArray[np.bool_], protocol: Protocol) -> NDArray[np.bool_]:
    """Mark the pixels that a protocol scores, (H, W), among those of true depth and validity in its view."""
    inside = crop_mask(truth.shape[0], truth.shape[1], protocol.crop)
    top = np.inf if protocol.max_depth_m is None else protocol.max_depth_m
    with np.errstate(invalid="ignore"):  # NaN stands in holes
        return inside & valid & (truth > protocol.min_depth_m) & (truth < top)


def as_scored(
    prediction: NDArray[np.floating[Any]],
    truth: NDArray[np.floating[Any]],
    valid: NDArray[np.bool_],
    protocol: Protocol,
    fit: Fit | None = None,
) -> NDArray[np.floating[Any]]:
    """Show a prediction (H, W) in metres as a protocol sees it: aligned, NaN and infinities replaced, clamped.

    `scores` does the same to the scored pixels alone. `fit` is the alignment of a protocol that aligns over a set; else
    the image gives it, and an image without a scored pixel is not aligned. Raises ValueError for a prediction that
    cannot be aligned.
    """
    scored = scored_pixels(truth, valid, protocol)
    if fit is None and scored.any():
        assert protocol.align_over == "image", "a set is fitted before its images are shown"
        fit = fit_image(protocol.align, prediction[scored], truth[scored])
    prediction = (fit or UNCHANGED).aligned(prediction)
    low, high = protocol.clamp_low_m, protocol.clamp_high_m
    if protocol.replace_nonfinite:
        assert low is not None, "Protocol makes sure"
        prediction = np.nan_to_num(prediction, nan=low, posinf=high, neginf=low)
    return prediction.clip(-np.inf if low is None else low, np.inf if high is None else high)
