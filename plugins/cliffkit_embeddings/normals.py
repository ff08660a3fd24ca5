"""Surface normals in place of a learnt embedding."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cliffkit.cameras import check_angle, complete
from cliffkit.interfaces import Embedding
from cliffkit_embeddings.differences import halved, slope

NEAREST_M = 0.1
"""Smallest distance that a slope is divided by, metres: depth cameras measure no nearer, predictions may start at 0."""


class Normals(Embedding):
    """Unit normals of the surfaces that depth maps show, at several scales; nothing is trained.

    A normal is n ~ (-dz/dx, -dz/dy, 1), where x and y are metres across and down at the surface, as the image's camera
    sees them. With slopes z_u and z_v per pixel that is (-fx z_u, -fy z_v, z + (u - cx) z_u + (v - cy) z_v), which
    points away from the camera. Slopes are half the differences of the two neighbours. The first level is at full size,
    and each further level is computed on depth averaged over cells of 2x2 pixels of the level before.

    The camera is that of the data set, changed as augmentation and resizing change it. Where it is unknown, the image
    is taken to show `fov_degrees` from its left to its right edge, with the principal point in its centre. A common
    factor of all depths has no effect where depth is 0.1 m or more.

    Options:
        scales: Number of levels; `weights` has one number for each.
        fov_degrees: Horizontal field of view that is assumed where a camera is unknown, in degrees.
    """

    trained = False
    takes_cameras = True
    default_weights = (1.0, 1.0, 1.0)

    def __init__(
        self,
        scene_types: int,
        /,
        *,
        scales: Annotated[int, Field(ge=1, le=12)] = 3,
        fov_degrees: float = 60.0,
    ) -> None:
        super().__init__()
        check_angle("normals", fov_degrees)
        self.levels, self.fov_degrees = scales, fov_degrees

    def forward(self, depth: Tensor, intrinsics: Tensor | None = None) -> list[Tensor]:
        """(B, 1, H, W) metres and cameras (B, 4) to (B, 3, H, W), (B, 3, H/2, W/2) and so on, sizes rounded up."""
        height, width = depth.shape[-2:]
        cameras = complete(intrinsics, (height, width), len(depth), self.fov_degrees).to(depth.device)
        depth, levels = depth.float(), []
        for _ in range(self.levels):
            levels.append(_normals(depth, cameras))
            depth, cameras = halved(depth), cameras / 2
        return levels


def _normals(depth: Tensor, cameras: Tensor) -> Tensor:
    """Give unit normals (B, 3, H, W) of depth (B, 1, H, W), metres, under cameras (B, 4) in its pixels."""
    height, width = depth.shape[-2:]
    fx, fy, cx, cy = cameras.view(-1, 4, 1, 1, 1).unbind(1)
    right = torch.arange(width, device=depth.device) + 0.5 - cx
    down = torch.arange(height, device=depth.device)[:, None] + 0.5 - cy
    z_u, z_v = slope(depth, -1), slope(depth, -2)
    ahead = depth.clamp(min=NEAREST_M) + right * z_u + down * z_v
    return F.normalize(torch.cat([-fx * z_u, -fy * z_v, ahead], dim=1), dim=1)
