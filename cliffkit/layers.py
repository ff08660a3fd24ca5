"""The few operations that nearly every component is made of, so that their conventions are the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliffkit.resizing import resize_by_products


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
    if features.device.type == "cuda" and torch.are_deterministic_algorithms_enabled():
        return resize_by_products(features, (like.shape[-2], like.shape[-1]))
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)


def level_size(size: Sequence[int], stride: int) -> tuple[int, int]:
    """Give height and width of a backbone's level, of an image of height and width `size`: their shares, rounded up."""
    height, width = size
    return math.ceil(height / stride), math.ceil(width / stride)


def fill_holes(values: Tensor, valid: Tensor) -> Tensor:
    """Fill the invalid pixels of maps (B, 1, H, W) from the valid pixels around them; 0 in a map without any.

    Cells of 2x2, 4x4 and so on pixels have the mean of their valid pixels. A hole takes the value of the smallest cells
    around it that have a valid pixel, bilinearly between their centres, so that it shows the generator no edge that
    the scene has not. Valid pixels keep their bits, and what stands in invalid ones is never read: it may be NaN.
    """
    if values.device.type == "cpu" and bool(valid.all()):  # on a GPU the question would wait for the device
        return values
    sums, shares = [torch.where(valid, values, torch.zeros_like(values))], [valid.to(values.dtype)]
    while max(sums[-1].shape[-2:]) > 1:
        for pyramid in (sums, shares):
            pyramid.append(F.avg_pool2d(pyramid[-1], 2, ceil_mode=True))

    tiny = torch.finfo(values.dtype).tiny
    filled = torch.zeros_like(sums[-1])
    for total, share in zip(reversed(sums), reversed(shares), strict=True):
        filled = torch.where(share > 0, total / share.clamp_min(tiny), resize(filled, total))
    return filled


def in_float32(compute: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Compute in float32, whatever mixed precision is on: for the last layers of a head.

    In bfloat16, depth near 3 m would come in steps of 1.6 cm.
    """
    with torch.autocast(inputs[0].device.type, enabled=False):
        return compute(*(x.float() for x in inputs))
