"""A head that predicts depth as a mixture over bins that adapt to the image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from cliffkit.interfaces import Head, Prediction
from cliffkit.layers import conv_bn_relu, in_float32

LEAST_WIDTH = 1e-3
"""Added to each bin's width before they are normalised, so that no bin vanishes; epsilon of the paper's equation 1."""


class Bins(Head):
    """Divide the depth range into bins per image, and predict each pixel's depth as a mixture of their centres.

    Widths come from the globally pooled features by a small network, the mixture from a 1x1 convolution and a softmax.
    Gives `bin_centres` (B, bins), metres, ascending, for losses such as `bins`. Source: Bhat et al., "AdaBins: Depth
    Estimation Using Adaptive Bins", CVPR 2021, equations 1 and 2, without their transformer.

    Raises ValueError where max_depth_m is not above min_depth_m.

    Options:
        bins: Number of bins.
        min_depth_m: Lower end of the depth range, in metres.
        max_depth_m: Upper end of the depth range, in metres.
    """

    gives = ("bin_centres",)

    def __init__(
        self,
        channels: int,
        /,
        *,
        bins: Annotated[int, Field(ge=2)] = 64,
        min_depth_m: Annotated[float, Field(ge=0)] = 1e-3,
        max_depth_m: Annotated[float, Field(gt=0)] = 10.0,
    ) -> None:
        super().__init__()
        if not max_depth_m > min_depth_m:
            raise ValueError(f"bins: max_depth_m is {max_depth_m} and min_depth_m {min_depth_m}; it must be larger")
        self.min_depth_m, self.max_depth_m = min_depth_m, max_depth_m
        self.mix = conv_bn_relu(channels, channels)
        self.mixture = nn.Conv2d(channels, bins, 1)
        self.widths = nn.Sequential(nn.Linear(channels, channels), nn.LeakyReLU(), nn.Linear(channels, bins))

    def forward(self, fused: list[Tensor]) -> Prediction:
        """Fused features, of which the finest (B, C, h, w) is used, to metres (B, 1, h, w) and `bin_centres`."""
        features = self.mix(fused[0])
        centres = in_float32(self._centres, features)
        return Prediction(in_float32(self._depth, features, centres), {"bin_centres": centres})

    def _centres(self, features: Tensor) -> Tensor:
        widths: Tensor = self.widths(features.mean(dim=(2, 3))).relu() + LEAST_WIDTH  # (B, bins)
        widths = (self.max_depth_m - self.min_depth_m) * widths / widths.sum(dim=1, keepdim=True)
        return self.min_depth_m + widths.cumsum(dim=1) - widths / 2

    def _depth(self, features: Tensor, centres: Tensor) -> Tensor:
        share: Tensor = self.mixture(features).softmax(dim=1)  # (B, bins, h, w)
        return (share * centres[:, :, None, None]).sum(dim=1, keepdim=True)
