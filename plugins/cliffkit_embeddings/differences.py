"""Differences between neighbouring pixels of depth maps, and maps at half the size, in plain float32 arithmetic.

Convolutions would round: depth near 3 m comes in steps of 1.6 cm in bfloat16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def halved(depth: Tensor) -> Tensor:
    """Average cells of 2x2 pixels, (B, 1, H, W) to half the size, rounded up."""
    return F.avg_pool2d(depth, 2, ceil_mode=True) if max(depth.shape[-2:]) > 1 else depth


def with_edges(depth: Tensor) -> Tensor:
    """Repeat the outermost pixels once, (B, 1, H, W) to (B, 1, H + 2, W + 2), so that the frame makes no edge."""
    depth = torch.cat([depth[..., :1], depth, depth[..., -1:]], dim=-1)
    return torch.cat([depth[..., :1, :], depth, depth[..., -1:, :]], dim=-2)


def slope(depth: Tensor, axis: int) -> Tensor:
    """Give half the difference of the two neighbours along an axis; at the frame the difference to the only one."""
    size = depth.shape[axis]
    if size == 1:
        return torch.zeros_like(depth)
    steps = depth.diff(dim=axis)
    first, last = steps.narrow(axis, 0, 1), steps.narrow(axis, size - 2, 1)
    return (torch.cat([first, steps], dim=axis) + torch.cat([steps, last], dim=axis)) / 2
