"""One image with its depth, and a batch of them as training sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from cliffkit.layers import fill_holes

NOTHING: Mapping[str, Tensor] = MappingProxyType({})


class Sample(NamedTuple):
    """One image with its depth as a data set gives it, or B of them collated (a leading batch axis on every tensor)."""

    image: Tensor
    """(3, H, W) uint8 RGB."""
    depth: Tensor
    """(1, H, W) float32 metres; meaningless, possibly NaN, where not valid."""
    valid: Tensor
    """(1, H, W) bool."""
    scene: Tensor
    """() int64 index into the dataset's scene types; -1 where unknown."""
    intrinsics: Tensor | None = None
    """(4,) float32: focal lengths fx, fy and principal point cx, cy of a pinhole camera, in pixels of this image.

    The origin is the top left corner of the image, not the centre of its first pixel: pixel (row, column) has its
    centre at (column + 0.5, row + 0.5), so that resizing only multiplies. None where the camera is unknown; NaN for
    unknown cameras among known ones, once collated.
    """
    extras: Mapping[str, Tensor] = NOTHING
    """Further data of the image, by name. A tensor (C, H, W) of the image's size is cropped, resized and mirrored with
    the depth, of the same pixels; any other is carried as it is."""

    def filled_depth(self) -> Tensor:
        """Depth in metres with 0 in every invalid pixel, for arithmetic that leaves these pixels out."""
        return torch.where(self.valid, self.depth, torch.zeros_like(self.depth))

    def dense_depth(self) -> Tensor:
        """Depth in metres with holes filled from around them (`layers.fill_holes`): what embedding generators see."""
        return fill_holes(self.depth, self.valid)

    def map(self, change: Callable[[Tensor], Tensor]) -> Sample:
        """Apply a function to every tensor."""
        intrinsics = None if self.intrinsics is None else change(self.intrinsics)
        extras = {name: change(tensor) for name, tensor in self.extras.items()}
        image, depth, valid, scene = (change(tensor) for tensor in self[:4])
        return Sample(image, depth, valid, scene, intrinsics, extras)

    def tensors(self) -> dict[str, Tensor]:
        """Give every tensor by its name, extras among them; intrinsics only where they are known."""
        camera = {} if self.intrinsics is None else {"intrinsics": self.intrinsics}
        fields = {"image": self.image, "depth": self.depth, "valid": self.valid, "scene": self.scene}
        return {**fields, **camera, **self.extras}

    def to(self, device: torch.device) -> Sample:
        """Copy the sample to another device, without waiting where the memory is pinned."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))


class Batch(NamedTuple):
    """B images with their depth as training sees them, on the device, augmented."""

    image: Tensor
    """(B, 3, H, W) float32 RGB in [0, 1]."""
    depth: Tensor
    """(B, 1, H, W) float32 metres; meaningless, possibly NaN, where not valid."""
    valid: Tensor
    """(B, 1, H, W) bool."""
    scene: Tensor
    """(B,) int64 index into the dataset's scene types; -1 where unknown."""
    intrinsics: Tensor
    """(B, 4) float32: fx, fy, cx, cy as in `Sample`; NaN where unknown."""
    extras: Mapping[str, Tensor] = NOTHING
    """As in `Sample`, with a leading batch axis."""

    @classmethod
    def of(cls, sample: Sample) -> Batch:
        """Turn a collated sample into a batch: the image to float32 in [0, 1]."""
        image, intrinsics = sample.image, sample.intrinsics
        if intrinsics is None:
            intrinsics = torch.full((len(image), 4), torch.nan, device=image.device)
        return cls(image.float().div_(255), *sample[1:4], intrinsics, sample.extras)

    def filled_depth(self) -> Tensor:
        """Depth in metres with 0 in every invalid pixel, for arithmetic that leaves these pixels out."""
        return torch.where(self.valid, self.depth, torch.zeros_like(self.depth))

    def dense_depth(self) -> Tensor:
        """Depth in metres with holes filled from around them (`layers.fill_holes`): what embedding generators see."""
        return fill_holes(self.depth, self.valid)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to every tensor."""
        extras = {name: change(tensor) for name, tensor in self.extras.items()}
        image, depth, valid, scene, intrinsics = (change(tensor) for tensor in self[:5])
        return Batch(image, depth, valid, scene, intrinsics, extras)

    def tensors(self) -> dict[str, Tensor]:
        """Give every tensor by its name, extras among them."""
        fields = {"image": self.image, "depth": self.depth, "valid": self.valid, "scene": self.scene}
        return {**fields, "intrinsics": self.intrinsics, **self.extras}
