"""A sample at the size at which networks are trained: cropped and resized, its camera along with it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cliffkit.interfaces import Sample


def at_training_size(sample: Sample, size: tuple[int, int], crop: float) -> Sample:
    """Crop a sample's centre and resize it: the image with antialiasing, all maps to the nearest pixel.

    Depths are never averaged, so no depth appears that the sensor did not see.
    """
    height, width = sample.image.shape[-2:]
    h, w = max(1, round(crop * height)), max(1, round(crop * width))
    top, left = (height - h) // 2, (width - w) // 2
    image = sample.image[:, top : top + h, left : left + w]
    if (h, w) != size:
        image = resize_image(image[None], size)[0]

    rows, columns = top + _nearest(h, size[0])[:, None], left + _nearest(w, size[1])
    extras = {
        name: extra[:, rows, columns] if extra.ndim == 3 and extra.shape[-2:] == (height, width) else extra
        for name, extra in sample.extras.items()
    }

    intrinsics = sample.intrinsics
    if intrinsics is not None:
        # The origin is the corner of the image, not a pixel's centre: resizing only multiplies.
        corner = torch.tensor([0.0, 0.0, left, top])
        intrinsics = (intrinsics - corner) * torch.tensor([size[1] / w, size[0] / h, size[1] / w, size[0] / h])
    depth, valid = sample.depth[:, rows, columns], sample.valid[:, rows, columns]
    return Sample(image, depth, valid, sample.scene, intrinsics, extras)


def _nearest(length: int, target: int) -> Tensor:
    """Give the indices of the pixels of an axis that are nearest to those of the axis at another length."""
    return F.interpolate(torch.arange(length).float()[None, None], target, mode="nearest-exact")[0, 0].long()


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, 3, H, W) uint8 to (B, 3, *size) uint8, bilinear with antialiasing."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    resized = F.interpolate(image.float(), size, mode="bilinear", align_corners=False, antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)
