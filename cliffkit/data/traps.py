"""What figures of depth look like where files were read in a wrong way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MANY_PIXELS = 5_000
"""Depths of an image from which on their number says something."""

SKY_M, SKY_SHARE = 80.0, 0.01
GREYS = 256
ROTATED_MM = 8
"""Millimetres whose three lowest bits are 0: as those of SUN RGB-D, read unrotated."""


def traps(depths: Sequence[NDArray[Any]]) -> Iterator[str]:
    """Name what is suspicious of valid depths in metres, an array for each image."""
    images = [depth for depth in depths if depth.size >= MANY_PIXELS]
    if not images:
        return
    if all(_rotated(depth) for depth in images):
        yield (
            f"every depth is a multiple of {ROTATED_MM} mm: are its bits rotated by three, as those of SUN RGB-D? "
            "The data set sunrgbd turns them back"
        )
    elif all(len(np.unique(depth)) <= GREYS for depth in images):
        yield (
            f"no image has more than {GREYS} different depths: is it read from a picture of 8 bits? Take the depth map "
            "of 16 bits or of floats"
        )
    largest = max(float(depth.max()) for depth in images)
    share = float(np.mean([np.mean(depth == largest) for depth in images]))
    if largest >= SKY_M and share >= SKY_SHARE:
        yield (f"{share:.1%} of the depths are the largest, {largest:g} m: is that the sky? Store 0 there, as no depth")


def _rotated(depth: NDArray[Any]) -> bool:
    """Say whether all depths are whole multiples of ROTATED_MM, and many different ones."""
    mm = np.unique(depth).astype(np.float64) * 1000
    return len(mm) > 50 and bool(np.all(np.abs(mm - ROTATED_MM * np.round(mm / ROTATED_MM)) < 0.01))
