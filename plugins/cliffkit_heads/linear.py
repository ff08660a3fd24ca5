"""The head of CLIFFNet's authors."""

from __future__ import annotations

from torch import Tensor, nn

from cliffkit.interfaces import Head, Prediction
from cliffkit.layers import conv_bn_relu, in_float32


class Linear(Head):
    """Predict metres directly: 3x3 convolution, batch normalisation, ReLU, 3x3 convolution to one channel.

    No activation bounds the depth, so it can be negative. Source: the released code of Wang et al., ECCV 2020.
    """

    def __init__(self, channels: int, /) -> None:
        super().__init__()
        self.mix = conv_bn_relu(channels, channels)
        self.metres = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, fused: list[Tensor]) -> Prediction:
        """Fused features, of which the finest (B, C, h, w) is used, to metres (B, 1, h, w)."""
        return Prediction(in_float32(self.metres, self.mix(fused[0])))
