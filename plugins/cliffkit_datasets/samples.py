"""From arrays as a file holds them to a Sample, with what no depth map may hold refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.interfaces import Sample


def to_sample(
    image: NDArray[np.uint8],
    depth_m: NDArray[np.float32],
    scene: int,
    intrinsics: Sequence[float] | None,
    *,
    place: str,
    limit_m: float,
    remedy: str,
) -> Sample:
    """Copy an image (3, H, W) and a depth map (H, W) into a Sample, valid wherever the depth is above 0.

    `intrinsics` are fx, fy, cx, cy as a Sample has them, None where the camera is unknown.
    Raises UserError, naming `place`, for depth that is NaN, infinite, negative or beyond `limit_m`.
    """
    low, high = float(depth_m.min()), float(depth_m.max())  # NaN if any pixel is
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = int(np.count_nonzero(~np.isfinite(depth_m)))
        raise UserError(f"{place}: depth is NaN or infinite in {wrong} of {depth_m.size} pixels; {remedy}")
    if low < 0:
        raise UserError(f"{place}: depth is negative, down to {low:g} m; {remedy}")
    if high > limit_m:
        raise UserError(f"{place}: depth of {high:g} m, beyond {limit_m:g} m: are these millimetres? {remedy}")
    depth = torch.from_numpy(depth_m[np.newaxis].copy())
    camera = None if intrinsics is None else torch.tensor(intrinsics, dtype=torch.float32)
    return Sample(torch.from_numpy(image.copy()), depth, depth > 0, torch.tensor(scene, dtype=torch.int64), camera)
