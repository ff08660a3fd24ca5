"""How well a head's bins cover the depths of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked

FAR_M = 1e6
"""Depth that stands in invalid pixels, so far off that it is nearest to nothing."""


class Bins(Loss):
    """Bidirectional Chamfer distance between bin centres and true depths, in square metres, mean over images.

    For each image: the mean over valid pixels of the squared distance to the nearest centre, and the mean over centres
    of the squared distance to the nearest true depth. Needs a head that gives `bin_centres`, as `bins`. Source: Bhat et
    al., "AdaBins", CVPR 2021, equation 4, with means in place of sums.

    Waits for no device: the nearest is found by sorting, whatever is valid.
    """

    needs = ("bin_centres",)

    def forward(self, prediction: Tensor, batch: Batch, *, bin_centres: Tensor) -> Tensor:
        """(B, 1, H, W) metres, a batch and centres (B, n), ascending metres, to a scalar in square metres."""
        valid, centres = batch.valid.flatten(1), bin_centres.float()
        depth = masked(batch.depth.flatten(1), valid, fill=FAR_M)
        to_centres = masked(_nearest(depth, centres).square(), valid).sum(1) / valid.sum(1).clamp(min=1)
        to_depths = _nearest(centres, depth).square().mean(1)
        return (to_centres + masked(to_depths, valid.any(1))).mean()


def _nearest(points: Tensor, among: Tensor) -> Tensor:
    """Distance of each of (B, n) points to the nearest of (B, m) others, without a table of n x m."""
    ascending = among.sort(dim=1).values
    right = torch.searchsorted(ascending.detach().contiguous(), points.detach().contiguous())
    right = right.clamp(max=ascending.shape[1] - 1)
    left = (right - 1).clamp(min=0)
    return torch.minimum((points - ascending.gather(1, left)).abs(), (points - ascending.gather(1, right)).abs())
