"""What every loss does first: take out what is not valid, before any arithmetic can spread it.

Masking after the arithmetic would be too late: the gradient of `where` is 0 in the branch not taken, and 0 times the
infinite or undefined gradient behind it is NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cliffkit.interfaces import Batch


def masked(values: Tensor, valid: Tensor, fill: float = 0.0) -> Tensor:
    """Values in float32, `fill` in invalid pixels, where the gradient is 0."""
    return torch.where(valid, values.float(), torch.full_like(values, fill, dtype=torch.float32))


def masked_error(prediction: Tensor, batch: Batch) -> Tensor:
    """Prediction minus truth, metres, 0 in invalid pixels."""
    return masked(prediction, batch.valid) - masked(batch.depth, batch.valid)


def mean_over(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of finite values over valid pixels; 0 where there are none."""
    return masked(values, valid).sum() / valid.sum().clamp(min=1)
