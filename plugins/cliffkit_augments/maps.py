"""What augmentation does to every map of a batch alike: depth, validity and extras of the image's size."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cliffkit.interfaces import Batch


def change_maps(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Apply a function to depth, validity and each extra (B, C, H, W) of the image's size."""
    size = batch.image.shape[-2:]
    extras = {
        name: change(extra) if extra.ndim == 4 and extra.shape[-2:] == size else extra
        for name, extra in batch.extras.items()
    }
    return batch._replace(depth=change(batch.depth), valid=change(batch.valid), extras=extras)


def look_up(batch: Batch, x: Tensor, y: Tensor) -> Batch:
    """Take each pixel from a position (x, y) of the batch, both (B, H, W) in pixels from the top left corner.

    The image is interpolated bilinearly. Maps are taken from the pixel that the position lies in, never averaged.
    Outside of the frame the image is black and depth is invalid.
    """
    height, width = batch.image.shape[-2:]
    inside = ((x >= 0) & (x < width) & (y >= 0) & (y < height))[:, None]

    # From centre to centre of the outermost pixels, beyond which a pixel would be mixed with nothing.
    near_x, near_y = x.clamp(0.5, width - 0.5), y.clamp(0.5, height - 0.5)
    grid = torch.stack([2 * near_x / width - 1, 2 * near_y / height - 1], dim=-1)
    image = F.grid_sample(batch.image, grid, mode="bilinear", align_corners=False).clamp_(0, 1)

    pixel = near_y.long() * width + near_x.long()  # (B, H, W)

    def pick(tensor: Tensor) -> Tensor:
        index = pixel.flatten(1)[:, None].expand(-1, tensor.shape[1], -1)
        return tensor.flatten(2).gather(2, index).view_as(tensor)

    moved = change_maps(batch, pick)
    return moved._replace(image=torch.where(inside, image, 0), valid=moved.valid & inside)
