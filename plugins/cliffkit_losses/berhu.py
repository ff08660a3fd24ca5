"""Reverse Huber loss."""

from __future__ import annotations

import torch
from torch import Tensor

from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked_error, mean_over


class BerHu(Loss):
    """|e| up to c and (e^2 + c^2) / 2c beyond, mean over valid pixels, in metres; c = threshold * max |e|.

    The maximum is taken over the valid pixels of the batch, and no gradient flows through it. Source: Laina et al.,
    "Deeper Depth Prediction with Fully Convolutional Residual Networks", 3DV 2016, with their threshold of 0.2.

    Raises ValueError for a threshold that is not positive.

    Options:
        threshold: Share of the largest error at which the linear part ends and the quadratic part begins.
    """

    def __init__(self, *, threshold: float = 0.2) -> None:
        super().__init__()
        if not threshold > 0:
            raise ValueError(f"berhu: threshold is {threshold}; it must be > 0")
        self.threshold = threshold

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """(B, 1, H, W) metres and a batch to a scalar in metres."""
        error = masked_error(prediction, batch).abs()
        c = (self.threshold * error.detach().amax()).clamp(min=1e-6)  # a perfect prediction divides by it too
        return mean_over(torch.where(error <= c, error, (error.square() + c.square()) / (2 * c)), batch.valid)
