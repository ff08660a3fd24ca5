"""Mean absolute difference."""

from __future__ import annotations

from torch import Tensor

from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked_error, mean_over


class L1(Loss):
    """Mean |prediction - truth| over valid pixels, in metres. The depth-space loss of CLIFFNet."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """(B, 1, H, W) metres and a batch to a scalar in metres."""
        return mean_over(masked_error(prediction, batch).abs(), batch.valid)
