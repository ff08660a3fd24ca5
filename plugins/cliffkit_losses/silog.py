"""Scale-invariant logarithmic loss."""

from __future__ import annotations

import torch
from torch import Tensor

from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked, mean_over

FLOOR_M = 0.1  # nearer than depth cameras measure; smaller would make the gradient below it, 1 / FLOOR_M, explode


class SILog(Loss):
    """scale * sqrt(mean e^2 - variance_focus * (mean e)^2), where e = ln prediction - ln truth.

    The means are over the valid pixels of the batch. Source: Eigen et al., "Depth Map Prediction from a Single Image
    using a Multi-Scale Deep Network", NIPS 2014; the root, the scale of 10 and the focus of 0.85 are from Lee et al.,
    "From Big to Small", 2019.

    Networks predict metres directly and may start below 0, where a clamped logarithm gives no gradient. Below 0.1 m the
    logarithm therefore goes on as its tangent, for prediction and truth alike.

    Raises ValueError for a focus outside [0, 1] or a scale that is not positive.

    Options:
        variance_focus: Weight of the squared mean error, from 0 to 1; at 1 a common factor of all depths costs nothing.
        scale: Factor of the whole loss.
    """

    def __init__(self, *, variance_focus: float = 0.85, scale: float = 10.0) -> None:
        super().__init__()
        if not 0 <= variance_focus <= 1:
            raise ValueError(f"silog: variance_focus is {variance_focus}; it must be from 0 to 1")
        if not scale > 0:
            raise ValueError(f"silog: scale is {scale}; it must be > 0")
        self.variance_focus = variance_focus
        self.scale = scale

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """(B, 1, H, W) metres and a batch to a scalar without unit."""
        valid = batch.valid
        error = _log(masked(prediction, valid, fill=1.0)) - _log(masked(batch.depth, valid, fill=1.0))
        mean = mean_over(error, valid)
        square = mean_over((error - mean).square(), valid) + (1 - self.variance_focus) * mean.square()
        positive = square > 0  # the root has no gradient at 0
        return self.scale * torch.where(positive, torch.where(positive, square, torch.ones_like(square)).sqrt(), square)


def _log(depth: Tensor) -> Tensor:
    """Natural logarithm of metres, continued by its tangent below the floor."""
    above = depth.clamp(min=FLOOR_M)
    return above.log() + (depth - above) / FLOOR_M
