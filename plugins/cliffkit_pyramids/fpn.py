"""The feature pyramid of CLIFFNet's authors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from cliffkit.interfaces import Pyramid
from cliffkit.layers import conv_bn_relu, resize

Channels = Annotated[int, Field(gt=0)]


class FPN(Pyramid):
    """Top-down feature pyramid: lateral 1x1, add the coarser level, 3x3, and one more 3x3, none of them shared.

    Source: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017; the second 3x3 and the batch
    normalisation and ReLU after every convolution are those of CLIFFNet's authors.

    Options:
        channels: Channels of every level that comes out.
    """

    def __init__(self, in_channels: Sequence[int], strides: Sequence[int], /, *, channels: Channels = 256) -> None:
        super().__init__()
        self.channels = channels
        self.laterals = nn.ModuleList(conv_bn_relu(c, channels, kernel=1) for c in in_channels)
        self.smooth = nn.ModuleList(conv_bn_relu(channels, channels) for _ in in_channels)
        self.refine = nn.ModuleList(conv_bn_relu(channels, channels) for _ in in_channels)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Each level (B, C_k, H_k, W_k) to (B, channels, H_k, W_k)."""
        laterals = [lateral(level) for lateral, level in zip(self.laterals, levels, strict=True)]
        merged = [laterals[-1]]
        for fine in reversed(laterals[:-1]):
            merged.append(fine + resize(merged[-1], fine))
        merged.reverse()
        return [refine(smooth(level)) for smooth, refine, level in zip(self.smooth, self.refine, merged, strict=True)]
