"""The reassembling of DPT, which makes a pyramid of a plain vision transformer's levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from cliffkit.interfaces import Pyramid
from cliffkit_pyramids.plain import plain_scales


class DPT(Pyramid):
    """Project each level by a 1x1 convolution, bring it to 4, 2, 1 and 1/2 times its size, and join it by a 3x3.

    Larger levels are made by a transposed convolution, the smaller one by a 3x3 convolution of stride 2. Source: Ranftl
    et al., "Vision Transformers for Dense Prediction", ICCV 2021, arXiv 2103.13413, section 3, the readout token
    ignored; the 3x3 convolution at the end is that of their released code. Their fusion is a kind of its own here.

    Raises ValueError for levels of several strides.

    Options:
        channels: Channels of every level that comes out.
    """

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int], /, *, channels: Annotated[int, Field(gt=0)] = 256
    ) -> None:
        super().__init__()
        self.channels = channels
        self.scales = plain_scales("dpt", strides)
        self.projections = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.resamples = nn.ModuleList(_resample(channels, scale) for scale in self.scales)
        self.joins = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in in_channels)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Each level (B, C_k, H, W) to (B, channels, s_k H, s_k W), s_k being 4, 2, 1, 1/2, rounded up."""
        parts = zip(self.projections, self.resamples, self.joins, levels, strict=True)
        return [join(resample(project(level))) for project, resample, join, level in parts]


def _resample(channels: int, scale: float) -> nn.Module:
    if scale > 1:
        return nn.ConvTranspose2d(channels, channels, int(scale), stride=int(scale))
    if scale == 1:
        return nn.Identity()
    steps = round(1 / scale).bit_length() - 1
    return nn.Sequential(*(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(steps)))
