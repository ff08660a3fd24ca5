"""Roll the camera."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cliffkit.interfaces import Augment, Batch
from cliffkit_augments.maps import look_up


class Rotate(Augment):
    """Rotate an image about its centre, as a camera that is rolled about its optical axis sees the scene.

    Depth along the optical axis stays as it is. Focal lengths stay, the principal point turns with the image. Where the
    focal lengths fx and fy of an image differ, the rotation is that of the scene, not of the pixels. What comes from
    outside of the frame is black and invalid.

    Options:
        degrees: Largest angle, to either side.
    """

    draws = 1

    def __init__(self, *, degrees: Annotated[float, Field(ge=0, le=45)] = 5.0) -> None:
        self.degrees = degrees

    def __call__(self, batch: Batch, draws: Tensor) -> Batch:
        """Draw an angle per image, uniform between both sides."""
        device, (height, width) = batch.image.device, batch.image.shape[-2:]
        angle = (2 * draws[0] - 1).to(device, non_blocking=True) * math.radians(self.degrees)
        cos, sin = angle.cos(), angle.sin()
        fx, fy, cx, cy = batch.intrinsics.unbind(1)
        aspect = (fx / fy).nan_to_num(1.0)  # a pixel's height by its width; 1 for an unknown camera

        # Each pixel comes from where the opposite rotation brings it.
        x = (torch.arange(width, device=device) + 0.5 - width / 2)[None, None, :]
        y = (torch.arange(height, device=device) + 0.5 - height / 2)[None, :, None]
        cos_, sin_, aspect_ = (value[:, None, None] for value in (cos, sin, aspect))
        turned = look_up(
            batch,
            width / 2 + cos_ * x + sin_ * aspect_ * y,
            height / 2 - sin_ / aspect_ * x + cos_ * y,
        )

        dx, dy = cx - width / 2, cy - height / 2
        cx, cy = width / 2 + cos * dx - sin * aspect * dy, height / 2 + sin / aspect * dx + cos * dy
        return turned._replace(intrinsics=torch.stack([fx, fy, cx, cy], dim=1))
