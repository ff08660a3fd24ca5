"""Bilinear resizing as two matrix products, rows and columns, beside torch's interpolation: what the products cost.

On a GPU they have a deterministic gradient, which interpolation has not.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from harness import Row, paired, row
from torch import Tensor

from cliffkit.resizing import resize_by_products

SHAPES = [(4, 256, (29, 38), (57, 76)), (16, 64, (8, 12), (16, 24)), (4, 1, (64, 80), (256, 320))]
"""Images, channels, size before and after: a fusion of the authors' and of a small network, and a head's depth."""
PAIRS = 20


def rows(where: str = "cpu") -> list[Row]:
    """Forward and backward of each shape, in both precisions."""
    device = torch.device(where)
    return [_row(device, dtype, *shape) for dtype in (torch.bfloat16, torch.float32) for shape in SHAPES]


def _row(
    device: torch.device,
    dtype: torch.dtype,
    images: int,
    channels: int,
    before: tuple[int, int],
    after: tuple[int, int],
) -> Row:
    features = _channels_last(torch.randn(images, channels, *before, device=device), dtype)
    slope = _channels_last(torch.randn(images, channels, *after, device=device), dtype)

    def products(features: Tensor) -> Tensor:
        return resize_by_products(features, after)

    def interpolated(features: Tensor) -> Tensor:
        return F.interpolate(features, size=after, mode="bilinear", align_corners=False)

    def gradient(resize: Callable[[Tensor], Tensor]) -> None:
        resize(features.detach().requires_grad_()).backward(slope)  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize()

    pairs = paired(lambda: gradient(products), lambda: gradient(interpolated), PAIRS, warmup=3)
    most = float((products(features) - interpolated(features)).abs().max())
    what = f"{images}x{channels} maps, {before[0]}x{before[1]} to {after[0]}x{after[1]}, {str(dtype)[6:]}"
    return row(f"two products: {what}", "F.interpolate", pairs, "", f"differ by {most:.1g} at most")


def _channels_last(features: Tensor, dtype: torch.dtype) -> Tensor:
    return features.to(dtype, memory_format=torch.channels_last)
