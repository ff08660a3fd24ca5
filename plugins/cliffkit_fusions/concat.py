"""Fusion by concatenation, the usual decoder step."""

from __future__ import annotations

import torch
from torch import Tensor

from cliffkit.interfaces import Fusion
from cliffkit.layers import conv_bn_relu, resize


class Concat(Fusion):
    """Upsample the coarse features, put them beside the fine ones, and mix both with one 3x3 convolution."""

    def __init__(self, channels: int, /) -> None:
        super().__init__()
        self.mix = conv_bn_relu(2 * channels, channels)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Fine (B, C, H, W) and coarse (B, C, h, w) to (B, C, H, W)."""
        mixed: Tensor = self.mix(torch.cat([fine, resize(coarse, fine)], dim=1))
        return mixed
