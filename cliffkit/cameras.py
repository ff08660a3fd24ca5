"""Pinhole cameras: those that a data set knows, and the one that is assumed where it knows none."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def check_angle(part: str, fov_degrees: float) -> None:
    """Raise ValueError, in the name of a part, where no pinhole camera sees such an angle."""
    if not 0 < fov_degrees < 180:
        raise ValueError(f"{part}: fov_degrees is {fov_degrees}; it must be > 0 and < 180")


def complete(intrinsics: Tensor | None, size: tuple[int, int], images: int, fov_degrees: float) -> Tensor:
    """Give the camera of each image, (B, 4): fx, fy, cx, cy in pixels, as in `Batch.intrinsics`.

    An unknown camera, None or NaN, is taken to see `fov_degrees` from the left edge of an image of `size` (height,
    width) to its right edge, with square pixels and the principal point in the centre.
    """
    height, width = size
    focal = width / 2 / math.tan(math.radians(fov_degrees) / 2)
    device = None if intrinsics is None else intrinsics.device
    # Made on the device: a list would be copied there in every step, for which the processor waits.
    values = (focal, focal, width / 2, height / 2)
    assumed = torch.stack([torch.full((images,), value, device=device) for value in values], dim=1)
    if intrinsics is None:
        return assumed
    return torch.where(intrinsics.isfinite().all(dim=1, keepdim=True), intrinsics.float(), assumed)


def points(depth: Tensor, cameras: Tensor) -> Tensor:
    """Give each pixel's point in space, (B, 3, H, W) metres, right, down and ahead of the camera.

    Depth (B, 1, H, W) is the distance ahead, in metres; cameras (B, 4) are complete.
    """
    height, width = depth.shape[-2:]
    fx, fy, cx, cy = cameras.view(-1, 4, 1, 1, 1).unbind(1)
    right = (torch.arange(width, device=depth.device) + 0.5 - cx) / fx
    down = (torch.arange(height, device=depth.device)[:, None] + 0.5 - cy) / fy
    return torch.cat([depth * right, depth * down, depth], dim=1)
