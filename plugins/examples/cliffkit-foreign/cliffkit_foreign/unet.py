"""A U-Net that predicts disparity, as another repository would have it: it knows nothing of cliffkit.

After Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the images it was trained on; callers normalise with them."""

DEPTH = 4
"""Halvings of the size: sides of images are multiples of 2 ** DEPTH."""


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Up(nn.Module):
    """Double the size, join the features of the encoder, mix."""

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.mix = DoubleConv(inputs + skipped, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Coarse (B, C, h, w) and the encoder's (B, S, 2h, 2w) to (B, O, 2h, 2w)."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        mixed: Tensor = self.mix(torch.cat([skip, x], dim=1))
        return mixed


class UNet(nn.Module):
    """Normalised images to disparity in (0, 1), 1 nearest."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width * min(2**k, 8) for k in range(DEPTH + 1)]
        self.encoder = nn.ModuleList([DoubleConv(3, width)])
        self.decoder = nn.ModuleList()
        for fine, coarse in pairwise(widths):
            self.encoder.append(DoubleConv(fine, coarse))
            self.decoder.insert(0, Up(coarse, fine, fine))
        self.disparity = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, H, W): the channel's axis is squeezed, as many repositories do."""
        skips: list[Tensor] = []
        for level in self.encoder:
            skips.append(level(F.max_pool2d(skips[-1], 2) if skips else x))
        x = skips.pop()
        for up, skip in zip(self.decoder, reversed(skips), strict=True):
            x = up(x, skip)
        return torch.sigmoid(self.disparity(x))[:, 0]


def load_checkpoint(model: nn.Module, path: Path) -> None:
    """Load the weights that a training left: `.safetensors`, or `.pt` with `{"model": ..., "epoch": ...}`.

    Names may begin with `module.`, as those of DataParallel do.
    """
    weights: Mapping[str, Tensor]
    if path.suffix == ".safetensors":
        weights = load_file(path)
    else:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        weights = checkpoint.get("model", checkpoint)
    model.load_state_dict({name.removeprefix("module."): tensor for name, tensor in weights.items()})
