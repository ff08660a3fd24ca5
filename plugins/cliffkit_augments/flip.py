"""Mirror images."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cliffkit.interfaces import Augment, Batch
from cliffkit_augments.maps import change_maps


class Flip(Augment):
    """Mirror an image left to right with its depth, its holes, its camera and extras of the image's size.

    Options:
        probability: Share of images that are mirrored.
    """

    draws = 1

    def __init__(self, *, probability: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        self.probability = probability

    def __call__(self, batch: Batch, draws: Tensor) -> Batch:
        """Mirror images whose draw lies below the probability."""
        mirrored = (draws[0] < self.probability).to(batch.image.device, non_blocking=True)
        chosen = mirrored[:, None, None, None]

        def mirror(tensor: Tensor) -> Tensor:
            return torch.where(chosen, tensor.flip(-1), tensor)

        fx, fy, cx, cy = batch.intrinsics.unbind(1)
        cx = torch.where(mirrored, batch.image.shape[-1] - cx, cx)
        intrinsics = torch.stack([fx, fy, cx, cy], dim=1)
        return change_maps(batch, mirror)._replace(image=mirror(batch.image), intrinsics=intrinsics)
