"""Differences between neighbouring pixels on maps with holes."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_slope(error: Tensor, valid: Tensor) -> Tensor:
    """Mean |difference| over the pairs of neighbours that are both valid; 0 without pairs."""
    total = error.new_zeros(())
    pairs = valid.new_zeros((), dtype=torch.int64)
    for axis in (-2, -1):
        last = error.shape[axis] - 1
        both = valid.narrow(axis, 1, last) & valid.narrow(axis, 0, last)
        slope = error.narrow(axis, 1, last) - error.narrow(axis, 0, last)
        total = total + torch.where(both, slope.abs(), torch.zeros_like(slope)).sum()
        pairs = pairs + both.sum()
    return total / pairs.clamp(min=1)
