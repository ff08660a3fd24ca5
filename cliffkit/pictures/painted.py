"""A depth map in colours with all that its scale shows, worked out once for every picture of the map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from cliffkit.pictures.colours import Floats, beyond, check_map, coloured, depth_scale


class Painted(NamedTuple):
    """A depth map in colours."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    norm: Normalize
    """The scale, metres."""
    pointed: tuple[bool, bool]
    """Whether depths lie below the scale, and above it."""
    grey: bool
    """Whether pixels are grey because they have no depth."""


def painted(depth_m: Floats, vmin: float | None = None, vmax: float | None = None) -> Painted:
    """Paint depth (H, W) by a scale that spans its finite depths, unless `vmin` or `vmax` (metres) say otherwise.

    Raises UserError where `vmin` is not below `vmax`, and ValueError for other shapes.
    """
    check_map(depth_m)
    norm = depth_scale(depth_m, vmin, vmax)
    return Painted(coloured(depth_m, norm), norm, beyond(depth_m, norm), not np.isfinite(depth_m).all())
