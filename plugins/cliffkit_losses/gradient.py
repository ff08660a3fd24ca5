"""Difference of depth gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked_error
from cliffkit_losses.slopes import mean_slope


class Gradient(Loss):
    """Mean |difference of e between neighbours|, e = prediction - truth, in metres; mean over scales.

    Neighbours stand beside and below each other, and a pair counts where both pixels are valid. Scale k takes every
    2^k-th pixel. An image too small for a scale has no pairs there, which counts as 0. Source: Li and Snavely,
    "MegaDepth", CVPR 2018, on metres rather than logarithms, as Hu et al., "Revisiting Single Image Depth Estimation",
    WACV 2019, take gradients.

    Raises ValueError for fewer than one scale.

    Options:
        scales: Number of scales, each with half the pixels of the scale before along either side.
    """

    def __init__(self, *, scales: int = 4) -> None:
        super().__init__()
        if scales < 1:
            raise ValueError(f"gradient: scales is {scales}; it must be >= 1")
        self.scales = scales

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """(B, 1, H, W) metres and a batch to a scalar in metres."""
        error = masked_error(prediction, batch)
        steps = [2**k for k in range(self.scales)]
        means = [mean_slope(error[..., ::step, ::step], batch.valid[..., ::step, ::step]) for step in steps]
        return torch.stack(means).mean()
