"""The depth network: backbone, pyramid, fusion chain and head, whatever components they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliffkit.interfaces import Backbone, Fusion, Pyramid
from cliffkit.layers import conv_bn_relu, resize


class DepthNetwork(nn.Module):
    """Image to depth in metres.

    The chain starts at the coarsest level of the pyramid and takes in one finer level per fusion. The head is that of
    CLIFFNet's authors: 3x3 convolution, batch normalisation, ReLU, 3x3 convolution to one channel, metres directly.
    """

    def __init__(self, backbone: Backbone, pyramid: Pyramid, fusions: Sequence[Fusion]) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = pyramid
        self.fusions = nn.ModuleList(fusions)
        """From fine to coarse, one fewer than the levels: `fusions[k]` carries level k + 1 into level k."""
        self.head = conv_bn_relu(pyramid.channels, pyramid.channels)
        self.metres = nn.Conv2d(pyramid.channels, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB, uint8 or float in [0, 1], of any size, to (B, 1, H, W) float32 metres."""
        height, width = image.shape[-2:]
        image = image.float() / 255 if image.dtype == torch.uint8 else image
        stride = max(self.backbone.strides)
        if height % stride or width % stride:
            image = F.pad(image, (0, -width % stride, 0, -height % stride), mode="replicate")
        levels = self.pyramid(self.backbone(image))
        x = levels[-1]
        for fusion, level in zip(reversed(self.fusions), reversed(levels[:-1]), strict=True):
            x = fusion(level, x)
        x = self.head(x)
        with torch.autocast(x.device.type, enabled=False):  # in bf16, depth near 3 m would come in steps of 1.6 cm
            depth = self.metres(x.float())
        return resize(depth, image)[..., :height, :width]


def build_network(
    backbone: Backbone,
    pyramid_factory: Callable[[Sequence[int], Sequence[int]], Pyramid],
    fusion_factory: Callable[[int], Fusion],
) -> DepthNetwork:
    """Wire a backbone to a pyramid and to one fusion, unshared, per pair of neighbouring levels.

    The factories have their options bound already. Raises ValueError for a backbone of fewer than two levels.
    """
    count = len(backbone.channels)
    if count < 2:
        raise ValueError(
            f"{type(backbone).__name__} gives {count} level of features, and there is nothing to fuse; "
            "use a backbone with at least two levels"
        )
    pyramid = pyramid_factory(backbone.channels, backbone.strides)
    return DepthNetwork(backbone, pyramid, [fusion_factory(pyramid.channels) for _ in range(count - 1)])
