"""The mirror of the hand-built encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from cliffkit.interfaces import Pyramid
from cliffkit.layers import conv_bn_relu, resize

Channels = Annotated[int, Field(gt=0)]


class Symmetric(Pyramid):
    """One 3x3 convolution per level, of the lateral feature beside the next coarser output of this pyramid.

    Source: a course re-implementation of CLIFFNet, known from its description in words. The coarsest level has no
    coarser output to take in.

    Options:
        channels: Channels of every level that comes out.
    """

    def __init__(self, in_channels: Sequence[int], strides: Sequence[int], /, *, channels: Channels = 32) -> None:
        super().__init__()
        self.channels = channels
        self.finer = nn.ModuleList(conv_bn_relu(c + channels, channels) for c in in_channels[:-1])
        self.coarsest = conv_bn_relu(in_channels[-1], channels)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Each level (B, C_k, H_k, W_k) to (B, channels, H_k, W_k)."""
        outputs = [self.coarsest(levels[-1])]
        for layer, lateral in zip(reversed(self.finer), reversed(levels[:-1]), strict=True):
            outputs.append(layer(torch.cat([lateral, resize(outputs[-1], lateral)], dim=1)))
        return outputs[::-1]
