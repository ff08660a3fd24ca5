"""A head whose depth is bounded."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from cliffkit.interfaces import Head, Prediction
from cliffkit.layers import conv_bn_relu, in_float32


class Sigmoid(Head):
    """Predict a share of the largest depth: max_depth_m times the sigmoid of two convolutions.

    Source: Lee et al., "From Big to Small", 2019, scale a sigmoid by the data set's largest depth.

    Options:
        max_depth_m: Largest depth that can be predicted, in metres.
    """

    def __init__(self, channels: int, /, *, max_depth_m: Annotated[float, Field(gt=0)] = 10.0) -> None:
        super().__init__()
        self.mix = conv_bn_relu(channels, channels)
        self.share = nn.Conv2d(channels, 1, 3, padding=1)
        self.max_depth_m = max_depth_m

    def forward(self, fused: list[Tensor]) -> Prediction:
        """Fused features, of which the finest (B, C, h, w) is used, to metres (B, 1, h, w)."""
        return Prediction(self.max_depth_m * in_float32(self.share, self.mix(fused[0])).sigmoid())
