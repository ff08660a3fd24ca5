"""The simple feature pyramid of ViTDet, made of a plain vision transformer's last level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from cliffkit.interfaces import Pyramid
from cliffkit_pyramids.plain import plain_scales


class Simple(Pyramid):
    """Make every level of the backbone's last one alone: 4, 2, 1 and 1/2 times its size, then a 1x1 and a 3x3.

    Larger levels are made by transposed convolutions of stride 2, with a normalisation and GELU between two of them,
    the smaller one by max pooling; a layer normalisation follows the 1x1 and the 3x3 convolution. Source: Li et al.,
    "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV 2022, arXiv 2203.16527, section 3 and
    appendix.

    Raises ValueError for levels of several strides.

    Options:
        channels: Channels of every level that comes out.
    """

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int], /, *, channels: Annotated[int, Field(gt=0)] = 256
    ) -> None:
        super().__init__()
        self.channels = channels
        self.scales = plain_scales("simple", strides)
        self.levels = nn.ModuleList(_level(in_channels[-1], scale, channels) for scale in self.scales)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Turn the last level (B, C, H, W) into (B, channels, s_k H, s_k W), s_k being 4, 2, 1, 1/2, rounded up."""
        return [make(levels[-1]) for make in self.levels]


class _LayerNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _level(in_channels: int, scale: float, channels: int) -> nn.Sequential:
    """Build what makes one level; each transposed convolution halves the channels."""
    layers: list[nn.Module] = []
    width = in_channels
    while scale > 1:
        if layers:
            layers += [_LayerNorm(width), nn.GELU()]
        layers.append(nn.ConvTranspose2d(width, max(1, width // 2), 2, stride=2))
        width, scale = max(1, width // 2), scale / 2
    while scale < 1:
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        scale *= 2
    layers += [nn.Conv2d(width, channels, 1, bias=False), _LayerNorm(channels)]
    layers += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), _LayerNorm(channels)]
    return nn.Sequential(*layers)
