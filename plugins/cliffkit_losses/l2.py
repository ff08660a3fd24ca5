"""Mean squared difference."""

from __future__ import annotations

from torch import Tensor

from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked_error, mean_over


class L2(Loss):
    """Mean (prediction - truth)^2 over valid pixels, in square metres."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """(B, 1, H, W) metres and a batch to a scalar in square metres."""
        return mean_over(masked_error(prediction, batch).square(), batch.valid)
