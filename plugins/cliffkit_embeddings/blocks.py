"""The convolution that both embedding generators are made of."""

from __future__ import annotations

from torch import nn


def conv_bn_leaky(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution without bias, batch normalisation, LeakyReLU(0.01); size divided by `stride`, rounded up."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.01, inplace=True),
    )
