"""Fixed derivative filters in place of a learnt embedding."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from cliffkit.interfaces import Embedding
from cliffkit_embeddings.differences import halved, with_edges


class Filters(Embedding):
    """Derivatives of depth at several scales: a control for the question whether it is the learning or the filter.

    A level has the responses of 3x3 Sobel filters across and down, in metres per pixel of the level, and of the Laplace
    filter (four neighbours less four times the pixel), in metres per pixel squared. The first level is at full size,
    and each further level is computed on depth averaged over cells of 2x2 pixels of the level before. Beyond the frame
    the outermost pixels go on, so that the frame makes no edge. Nothing is trained, and no constant offset of depth has
    an effect.

    Options:
        kernel: Which filters a level has, of Sobel, Laplace or both.
        scales: Number of levels; `weights` has one number for each.
    """

    trained = False
    default_weights = (1.0, 1.0, 1.0, 1.0)

    def __init__(
        self,
        scene_types: int,
        /,
        *,
        kernel: Literal["sobel", "laplace", "both"] = "both",
        scales: Annotated[int, Field(ge=1, le=12)] = 4,
    ) -> None:
        super().__init__()
        self.kernel, self.levels = kernel, scales

    def forward(self, depth: Tensor) -> list[Tensor]:
        """(B, 1, H, W) metres to (B, C, H, W), (B, C, H/2, W/2) and so on, sizes rounded up; C is 3, 2 or 1."""
        depth, levels = depth.float(), []
        for _ in range(self.levels):
            wide = with_edges(depth)
            responses = [*([] if self.kernel == "laplace" else _sobel(wide))]
            responses += [] if self.kernel == "sobel" else [_laplace(wide)]
            levels.append(torch.cat(responses, dim=1))
            depth = halved(depth)
        return levels


def _sobel(wide: Tensor) -> list[Tensor]:
    """Give the slopes across and down, metres per pixel, of depth with one more pixel on every side."""
    across = wide[..., 2:] - wide[..., :-2]
    down = wide[..., 2:, :] - wide[..., :-2, :]
    return [
        (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 8,
        (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 8,
    ]


def _laplace(wide: Tensor) -> Tensor:
    """Give the sum of the four neighbours less four times the pixel, metres per pixel squared."""
    inner = wide[..., 1:-1, 1:-1]
    beside = wide[..., 1:-1, 2:] + wide[..., 1:-1, :-2]
    return beside + wide[..., 2:, 1:-1] + wide[..., :-2, 1:-1] - 4 * inner
