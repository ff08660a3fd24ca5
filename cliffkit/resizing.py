"""Bilinear resizing as two matrix products, whose gradient is deterministic on a GPU; equal to the plain form."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


def resize_by_products(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, h, w) bilinearly to `size`: a product with a matrix for the rows, then one for the columns.

    Equal to `F.interpolate` to the rounding of the features' own type, which mixed precision does not lower.
    """
    images, channels, height, width = features.shape
    # A tracer, of a compiler or of fake tensors, must leave nothing of its own in the cache.
    is_traced = torch.compiler.is_compiling() or isinstance(features, FakeTensor)
    matrix = _matrix if is_traced else _kept_matrix
    rows, columns = (
        matrix(old, new, features.device, features.dtype) for old, new in zip((height, width), size, strict=True)
    )
    with torch.autocast(features.device.type, enabled=False):
        lines = features.permute(0, 2, 3, 1).reshape(images, height, width * channels)
        return (columns @ (rows @ lines).view(images, size[0], width, channels)).permute(0, 3, 1, 2)


def _matrix(old: int, new: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Give the matrix (new, old) that resizes along one axis: how much each old pixel counts in each new one.

    It is made on the device, so that nothing is copied there. Weights fall linearly with the distance of the centres.
    """
    at = ((torch.arange(new, device=device) + 0.5) * (old / new) - 0.5).clamp(0, old - 1)
    return (1 - (at[:, None] - torch.arange(old, device=device)).abs()).clamp(min=0).to(dtype)


@functools.lru_cache(maxsize=256)
def _kept_matrix(old: int, new: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Give the matrix as `_matrix` does, made once; in inference as well as for training."""
    with torch.inference_mode(False):
        return _matrix(old, new, device, dtype)
