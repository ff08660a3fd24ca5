"""Cross-level identity feature fusion, the module that gives CLIFFNet its name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cliffkit.interfaces import Fusion
from cliffkit.layers import conv_bn_relu, resize


class Cliff(Fusion):
    """Gate the fine features with the coarse ones, mix twice, and keep the coarse ones as an identity path.

    Source: Wang et al., "CLIFFNet for Monocular Depth Estimation with Hierarchical Embedding Loss", ECCV 2020.

    Options:
        upsample: Way in which coarse features come to the size of the fine ones: "bilinear" is that of the authors'
            network, "transposed" a learned transposed convolution of stride 2, as a course re-implementation
            describes it.
    """

    def __init__(self, channels: int, /, *, upsample: Literal["bilinear", "transposed"] = "bilinear") -> None:
        super().__init__()
        self.upsample = (
            nn.Identity()
            if upsample == "bilinear"
            else nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1)  # exactly twice
        )
        self.mix_fine = conv_bn_relu(2 * channels, channels)
        self.mix_coarse = conv_bn_relu(2 * channels, channels)
        for conv in (self.mix_fine[0], self.mix_coarse[0]):
            nn.init.kaiming_uniform_(conv.get_parameter("weight"), a=1)  # the authors' start

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Fine (B, C, H, W) and coarse (B, C, h, w) to (B, C, H, W)."""
        coarse = _fit(self.upsample(coarse), fine)
        fine = self.mix_fine(torch.cat([fine, fine * coarse], dim=1))
        mixed: Tensor = self.mix_coarse(torch.cat([coarse, fine], dim=1))
        return mixed + coarse


def _fit(features: Tensor, like: Tensor) -> Tensor:
    """Bring features to the size of `like`: drop the row or column that doubling an odd size adds, else resize."""
    (h, w), (height, width) = features.shape[-2:], like.shape[-2:]
    if 0 <= h - height <= 1 and 0 <= w - width <= 1:
        return features[..., :height, :width]
    return resize(features, like)
