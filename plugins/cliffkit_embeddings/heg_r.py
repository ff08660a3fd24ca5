"""HEG-R: the embedding generator that learns to reconstruct depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cliffkit.interfaces import Batch, Embedding
from cliffkit_embeddings.blocks import conv_bn_leaky


class HegR(Embedding):
    """An autoencoder of depth maps; features of its encoder, at full and half resolution, are the embedding.

    It needs no labels. Source: Wang et al., ECCV 2020, in the shape that a course re-implementation describes: 3x3
    convolutions of 16, 16, 32 channels, pooling, 32, 64, pooling, 64, and back by transposed convolutions of 64, 64,
    32, 32, 16, 16, 1, the first and third of stride 2. Those are the 180,000 weights of its 182,245 "parameters"; the
    rest are biases that batch normalisation cancels, running statistics, and a normalised output, all left out here.
    The levels are the third and the fifth convolution, the last ones before either pooling.
    """

    def __init__(self, scene_types: int, /) -> None:
        super().__init__()
        self.levels = 2
        self.full_size = nn.Sequential(conv_bn_leaky(1, 16), conv_bn_leaky(16, 16), conv_bn_leaky(16, 32))
        self.half_size = nn.Sequential(_pool(), conv_bn_leaky(32, 32), conv_bn_leaky(32, 64))
        self.rest = nn.Sequential(
            _pool(),
            conv_bn_leaky(64, 64),
            _transposed_bn_leaky(64, 64, stride=2),
            _transposed_bn_leaky(64, 64),
            _transposed_bn_leaky(64, 32, stride=2),
            _transposed_bn_leaky(32, 32),
            _transposed_bn_leaky(32, 16),
            _transposed_bn_leaky(16, 16),
            nn.ConvTranspose2d(16, 1, 3, padding=1),  # metres, so neither normalised nor rectified
        )

    def forward(self, depth: Tensor) -> list[Tensor]:
        """(B, 1, H, W) metres to (B, 32, H, W) and (B, 64, H/2, W/2), sizes rounded up."""
        full = self.full_size(depth)
        return [full, self.half_size(full)]

    def objective(self, batch: Batch) -> Tensor:
        """Mean squared error of the reconstruction over valid pixels, m^2; 0 where none is valid."""
        depth = batch.dense_depth()
        height, width = depth.shape[-2:]
        rebuilt = self.rest(self(depth)[-1])[..., :height, :width].float()  # at least that large: pooling rounds up
        error = torch.where(batch.valid, rebuilt - depth, torch.zeros_like(depth))
        return error.square().sum() / batch.valid.sum().clamp(min=1)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(2, ceil_mode=True)


def _transposed_bn_leaky(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 transposed convolution to exactly `stride` times the size, batch normalisation, LeakyReLU(0.01)."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 3, stride, padding=1, output_padding=stride - 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.01, inplace=True),
    )
