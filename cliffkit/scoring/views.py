"""How an image is framed before its depth is predicted: what of image and truth a view shows, what a crop keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit.protocols import Crop, View


def image_region(height: int, width: int, view: View) -> tuple[int, int, int, int]:
    """(top, left, height, width) in pixels of what a view shows of an image; an odd margin leaves more below, right."""
    shown_h, shown_w = (max(1, round(view.region * side)) for side in (height, width))
    return (height - shown_h) // 2, (width - shown_w) // 2, shown_h, shown_w


def truth_in_view(
    depth: NDArray[np.floating[Any]], valid: NDArray[np.bool_], view: View
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Depth and validity, (H, W) each, as a view frames them; never interpolated.

    A resized view takes, for each of its pixels, the one true pixel under its centre: for 480x640 and the view of
    `hu` and `cliffnet` every second pixel. May return views of the arrays that it was given.
    """
    if depth.ndim != 2 or depth.shape != valid.shape:
        raise ValueError(f"depth {depth.shape} and valid {valid.shape} must be of one shape (H, W)")
    top, left, height, width = image_region(depth.shape[0], depth.shape[1], view)
    rows, columns = slice(top, top + height), slice(left, left + width)
    if view.size is None or view.size == (height, width):
        return depth[rows, columns], valid[rows, columns]
    picked = np.ix_(top + _centres(height, view.size[0]), left + _centres(width, view.size[1]))
    return depth[picked], valid[picked]


def _centres(source: int, target: int) -> NDArray[np.intp]:
    """Which of `source` pixels lies under the centre of each of `target` pixels; the later one where it is between."""
    return (2 * np.arange(target) + 1) * source // (2 * target)


def crop_mask(height: int, width: int, crop: Crop | None) -> NDArray[np.bool_]:
    """(height, width) bool: the pixels of a map in its view that a protocol's crop keeps."""
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[crop.slices(height, width) if crop is not None else (slice(None), slice(None))] = True
    return mask
