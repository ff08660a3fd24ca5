"""A backbone small enough to train from nothing on a processor."""

from __future__ import annotations

from torch import Tensor, nn

from cliffkit.interfaces import Backbone
from cliffkit.layers import conv_bn_relu


class Handbuilt(Backbone):
    """Four 3x3 convolutions of stride 2 with 16, 32, 32 and 32 channels; a 3x3 lateral convolution leaves each.

    Source: the hand-built encoder of a course re-implementation of CLIFFNet, known from its description in words.
    Every convolution is followed by batch normalisation and ReLU: nothing here is pre-trained, and without
    normalisation the four levels, which the pyramid joins, would start at very different scales.
    """

    multiple = 1

    def __init__(self) -> None:
        super().__init__()
        self.channels = (16, 32, 32, 32)
        self.strides = (2, 4, 8, 16)
        inputs = (3, *self.channels[:-1])
        self.encoder = nn.ModuleList(conv_bn_relu(i, o, stride=2) for i, o in zip(inputs, self.channels, strict=True))
        self.laterals = nn.ModuleList(conv_bn_relu(c, c) for c in self.channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] to 16, 32, 32, 32 channels at 1/2, 1/4, 1/8, 1/16, rounded up."""
        x = image * 2 - 1  # [-1, 1]: no pre-trained weights whose constants it would have to meet
        levels = []
        for encode, lateral in zip(self.encoder, self.laterals, strict=True):
            x = encode(x)
            levels.append(lateral(x))
        return levels
