"""The few operations that nearly every component is made of, so that their conventions are the same everywhere."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution that keeps the size (divided by `stride`, rounded up), batch normalisation, ReLU.

    The convolution has no bias: the normalisation would subtract it again.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def resize(features: Tensor, like: Tensor) -> Tensor:
    """Resize (B, C, h, w) bilinearly to the height and width of `like`; pixel areas are aligned, not corners.

    Never by a factor: at 228x304 the levels are 57x76, 29x38, 15x19 and 8x10.
    """
    if features.shape[-2:] == like.shape[-2:]:
        return features
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)


def in_float32(compute: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Compute in float32, whatever mixed precision is on: for the last layers of a head.

    In bfloat16, depth near 3 m would come in steps of 1.6 cm.
    """
    with torch.autocast(inputs[0].device.type, enabled=False):
        return compute(*(x.float() for x in inputs))
