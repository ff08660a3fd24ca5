"""A trained network with all that `predict` does around it, as one module: what an export writes into a file."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cliffkit.prediction.predictor import Predictor

LEVELS = 255.0
"""White, as 8 bits have it."""


class PredictionGraph(nn.Module):
    """Images of any size to metres at that size, as `Predictor.batch` predicts whole images.

    The network sees every image at one size, the scale of training. So its part of the graph has fixed sizes, and
    only the two resizings follow the image.
    """

    def __init__(self, predict: Predictor) -> None:
        super().__init__()
        self.network = predict.network
        self.fed = predict.fed
        """Height and width at which the network sees every image."""

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB, uint8 or float in [0, 1], to (B, H, W) float32 metres."""
        height, width = image.shape[-2:]
        values = image.float() if image.dtype == torch.uint8 else image.float() * LEVELS

        # the network was trained on images of 8 bits, so the resized image is rounded to them
        resized = antialiased(height, self.fed[0]) @ (values @ antialiased(width, self.fed[1]).T)
        depth: Tensor = self.network(resized.round() / LEVELS).float()
        return F.interpolate(depth, (height, width), mode="bilinear", align_corners=False)[:, 0]


def antialiased(length: int, target: int) -> Tensor:
    """Give the weights (target, length) by which an axis is resized, bilinear with antialiasing, as torch resizes.

    A matrix, since few runtimes have torch's operation: a triangle about each target pixel's centre, as wide as two
    target pixels or two source pixels, whichever are larger.
    """
    scale = torch.scalar_tensor(length, dtype=torch.float32) / target
    centres = (torch.arange(target) + 0.5) * scale
    distances = ((torch.arange(length) + 0.5)[None] - centres[:, None]).abs()
    weights = (1 - distances / scale.clamp_min(1)).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)
