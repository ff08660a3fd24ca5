"""A head that predicts the logarithm of depth."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from cliffkit.interfaces import Head, Prediction
from cliffkit.layers import conv_bn_relu, in_float32


class Log(Head):
    """Predict the logarithm of depth, as an exponential of two convolutions: depth is positive and unbounded.

    Source: log depth is the target of Eigen et al., "Depth Map Prediction from a Single Image using a Multi-Scale Deep
    Network", NIPS 2014. With all weights at 0 every pixel has `start_m`.

    Options:
        start_m: Depth that an output of 0 stands for, in metres.
    """

    def __init__(self, channels: int, /, *, start_m: Annotated[float, Field(gt=0)] = 1.0) -> None:
        super().__init__()
        self.mix = conv_bn_relu(channels, channels)
        self.log_depth = nn.Conv2d(channels, 1, 3, padding=1)
        self.start_m = start_m

    def forward(self, fused: list[Tensor]) -> Prediction:
        """Fused features, of which the finest (B, C, h, w) is used, to metres (B, 1, h, w)."""
        return Prediction(self.start_m * in_float32(self.log_depth, self.mix(fused[0])).exp())
