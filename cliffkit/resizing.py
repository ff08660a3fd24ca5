"""Bilinear resizing as two matrix products, whose gradient is deterministic on a GPU; equal to the plain form."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_by_products(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, h, w) bilinearly to `size`: a product with a matrix for the rows, then one for the columns.

    Equal to `F.interpolate` to the rounding of the features' own type, which mixed precision does not lower.
    """
    images, channels, height, width = features.shape
    rows, columns = (
        _matrix(old, new, features.device, features.dtype) for old, new in zip((height, width), size, strict=True)
    )
    with torch.autocast(features.device.type, enabled=False):
        lines = features.permute(0, 2, 3, 1).reshape(images, height, width * channels)
        return (columns @ (rows @ lines).view(images, size[0], width, channels)).permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=256)
def _matrix(old: int, new: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Resize every unit vector: the columns of the matrix (new, old) that resizes along one axis."""
    with torch.inference_mode(False):
        units = torch.eye(old)[:, None, :, None]
        matrix = F.interpolate(units, size=(new, 1), mode="bilinear", align_corners=False)[:, 0, :, 0].T
        return matrix.to(device, dtype)
