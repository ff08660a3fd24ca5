"""How an image is framed before its depth is predicted, and which rectangle of it is scored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class View:
    """How an image is framed before its depth is predicted; protocols of one view share one prediction.

    Hu et al. and CLIFFNet shrink 480x640 to 240x320 and cut its centre 228x304, that is the centre 456x608 at half
    scale. Stated as a share of the sides, that reaches other sizes too: our generalisation, where theirs says nothing.
    """

    region: float = 1.0
    """Share of each side, about the centre, that is shown."""
    size: tuple[int, int] | None = None
    """(height, width) at which truth and prediction are compared; None: as many pixels as the region has."""


@dataclass(frozen=True)
class Crop:
    """The rectangle of a view that is scored: half-open, in units of a reference frame, stretched to the view's size.

    Edges that fall between pixels are rounded down, as the reference implementations of the Garg crop do.
    """

    top: float
    bottom: float
    left: float
    right: float
    frame: tuple[int, int] = (1, 1)
    """(height, width) of the reference frame; (1, 1): the edges are shares of the sides."""

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns to keep of a map of height x width pixels."""
        y, x = self.frame
        return (
            slice(math.floor(self.top * height / y), math.floor(self.bottom * height / y)),
            slice(math.floor(self.left * width / x), math.floor(self.right * width / x)),
        )


def describe_view(view: View) -> str:
    """A view in words."""
    size = "native size" if view.size is None else f"{view.size[0]}x{view.size[1]}"
    return f"whole image at {size}" if view.region == 1 else f"centre {100 * view.region:g}% of each side at {size}"


def describe_crop(crop: Crop | None) -> str:
    """A crop in words."""
    if crop is None:
        return "no crop"
    if crop.frame == (1, 1):
        return f"rows {crop.top}h:{crop.bottom}h and columns {crop.left}w:{crop.right}w"
    edges = f"rows {crop.top}:{crop.bottom} and columns {crop.left}:{crop.right}"
    return f"{edges} of {crop.frame[0]}x{crop.frame[1]} (other sizes in proportion)"


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
