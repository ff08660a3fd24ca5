"""Virtual normals: normals of random triangles of points in space."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cliffkit.cameras import check_angle, complete, points
from cliffkit.interfaces import Batch, Loss
from cliffkit_losses.masking import masked

SMALLEST_M2 = 1e-4
"""Smallest length of a cross product, square metres, by which it is divided: predictions may start near 0 m."""


class VirtualNormals(Loss):
    """Mean |normal of the predicted triangle - normal of the true triangle| over random triangles, without unit.

    A triangle has three random valid pixels of an image as its corners, seen through the image's camera. The difference
    of two unit normals is the sum of its three absolute coordinates. A triangle is left out where the truth is nearly
    collinear, that is where |cos| between two of its sides is above `collinear`, or where a side is shorter than
    `shortest_m`. Without a triangle the loss is 0.

    A common factor of all depths costs nothing: use this loss beside another. Triangles are drawn from torch's own
    generator, which is seeded anew in every step.

    Source: Yin et al., "Enforcing geometric constraints of virtual normal for depth prediction", arXiv 1907.12209;
    the threshold of .867 (30 degrees) is that of their code and of Metric3D's. Their code also leaves out the quarter
    of triangles that cost least, this loss does not.

    Raises ValueError for options out of range.

    Options:
        triangles: Triangles that are drawn in each image.
        collinear: Largest |cos| between two sides of a triangle that is kept, from 0.5 to 1.
        shortest_m: Length of the shortest side of a triangle that is kept, in metres.
        fov_degrees: Horizontal field of view that is assumed where a camera is unknown, in degrees.
    """

    def __init__(
        self,
        *,
        triangles: Annotated[int, Field(gt=0)] = 4096,
        collinear: float = 0.867,
        shortest_m: float = 0.1,
        fov_degrees: float = 60.0,
    ) -> None:
        super().__init__()
        if not 0.5 < collinear <= 1:  # an equilateral triangle has 0.5
            raise ValueError(f"virtual_normals: collinear is {collinear}; it must be > 0.5 and <= 1")
        if not shortest_m > 0:
            raise ValueError(f"virtual_normals: shortest_m is {shortest_m}; it must be > 0")
        check_angle("virtual_normals", fov_degrees)
        self.triangles, self.collinear, self.shortest_m = triangles, collinear, shortest_m
        self.fov_degrees = fov_degrees

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """(B, 1, H, W) metres and a batch to a scalar without unit."""
        valid, (height, width) = batch.valid, prediction.shape[-2:]
        cameras = complete(batch.intrinsics, (height, width), len(prediction), self.fov_degrees)
        corners = self._draw(valid.flatten(1))

        guess = _sides(points(masked(prediction, valid), cameras), corners)
        truth = _sides(points(masked(batch.depth, valid), cameras), corners)
        kept = self._kept(truth) & valid.flatten(1).any(1, keepdim=True)

        difference = (_normal(guess) - _normal(truth)).abs().sum(1)
        return masked(difference, kept).sum() / kept.sum().clamp(min=1)

    def _draw(self, valid: Tensor) -> Tensor:
        """Draw the corners of triangles, (B, 3 * triangles) indices of pixels, from valid pixels (B, H * W) alone."""
        first_valid = valid.sort(dim=1, descending=True, stable=True).indices
        count = valid.sum(1, keepdim=True)
        share = torch.rand(len(valid), 3 * self.triangles, device=valid.device)
        rank = torch.minimum((share * count).long(), count - 1).clamp(min=0)  # rounding may reach the count
        pixels: Tensor = first_valid.gather(1, rank)
        return pixels

    def _kept(self, sides: Tensor) -> Tensor:
        """Say which true triangles count, (B, triangles), by their sides (B, 3, 3, triangles)."""
        long_enough = (sides.norm(dim=1) >= self.shortest_m).all(1)
        cosines = F.cosine_similarity(sides, sides.roll(1, dims=2), dim=1)
        kept: Tensor = long_enough & (cosines.abs() <= self.collinear).all(1)
        return kept


def _sides(space: Tensor, corners: Tensor) -> Tensor:
    """Give the sides of triangles in space (B, 3, H, W), metres: (B, 3 coordinates, 3 sides, triangles)."""
    at = space.flatten(2).gather(2, corners[:, None].expand(-1, 3, -1)).reshape(len(space), 3, 3, -1)
    return torch.roll(at, -1, dims=2) - at


def _normal(sides: Tensor) -> Tensor:
    """Give the unit normals of triangles, (B, 3, triangles), by their sides (B, 3, 3, triangles)."""
    return F.normalize(torch.linalg.cross(sides[:, :, 0], sides[:, :, 1], dim=1), dim=1, eps=SMALLEST_M2)
