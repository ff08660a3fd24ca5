"""Zoom into a random window."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from cliffkit.interfaces import Augment, Batch
from cliffkit_augments.maps import look_up

Zoom = Annotated[float, Field(ge=1)]


class RandomCrop(Augment):
    """Cut a random window out of an image and bring the window back to the image's size.

    The image is interpolated bilinearly; a window is only ever enlarged, so antialiasing would change nothing. Depth,
    validity and extras of the image's size are taken from the nearest pixel. A window that is z times smaller than the
    image shows the scene as a lens of z times the focal length does, at the same depth. As an alternative the focal
    length is kept and depth is divided by z, as if the camera had moved closer: exact for a surface parallel to the
    image, and customary since Eigen et al., NIPS 2014.

    Raises ValueError where the smallest zoom is above the largest.

    Options:
        zoom: Smallest and largest magnification.
        keep: What stays under zoom: `depth` (focal lengths grow), or `focal` (focal lengths; depth shrinks).
    """

    draws = 3

    def __init__(self, *, zoom: tuple[Zoom, Zoom] = (1.0, 1.5), keep: Literal["depth", "focal"] = "depth") -> None:
        if zoom[0] > zoom[1]:
            raise ValueError(f"random_crop: zoom is {list(zoom)}; the smallest magnification comes first")
        self.zoom, self.keep = zoom, keep

    def __call__(self, batch: Batch, draws: Tensor) -> Batch:
        """Draw magnification, top and left of each image's window."""
        height, width = batch.image.shape[-2:]
        draws = draws.to(batch.image.device, non_blocking=True)
        smallest, largest = self.zoom
        zoom = smallest + (largest - smallest) * draws[0]
        top, left = draws[1] * (height - height / zoom), draws[2] * (width - width / zoom)

        x = left[:, None] + _centres(width, zoom) / zoom[:, None]
        y = top[:, None] + _centres(height, zoom) / zoom[:, None]
        window = look_up(batch, x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width))

        fx, fy, cx, cy = batch.intrinsics.unbind(1)
        cx, cy = (cx - left) * zoom, (cy - top) * zoom
        if self.keep == "focal":
            closer = window.depth / zoom[:, None, None, None]
            return window._replace(depth=closer, intrinsics=torch.stack([fx, fy, cx, cy], dim=1))
        return window._replace(intrinsics=torch.stack([fx * zoom, fy * zoom, cx, cy], dim=1))


def _centres(count: int, like: Tensor) -> Tensor:
    """Positions of pixel centres along an axis, in pixels."""
    return torch.arange(count, device=like.device) + 0.5
