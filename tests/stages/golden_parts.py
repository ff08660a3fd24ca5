"""Parts for the golden tests: their own, so that only the engine's arithmetic can change the numbers.

Images hold multiples of 56 alone. Halved in size, every pixel is then a whole number or an exact tie, whatever the
processor, and depth of the exact parts has few bits: no order of summation changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliffkit.interfaces import Backbone, Batch, Dataset, Embedding, Fusion, Head, Loss, Prediction, Pyramid, Sample
from cliffkit.protocols import Crop, Protocol, View

HEIGHT, WIDTH = 24, 32


class Rooms(Dataset):
    """Ten images of noise with random depth up to 8 m and holes that are NaN."""

    scene_types = ("hall", "den")

    def __init__(self, split: str, root: Path | None) -> None:
        self.split = split

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng([len(self.split), index])
        image = random.integers(0, 5, (3, HEIGHT, WIDTH), dtype=np.uint8) * np.uint8(56)
        depth = (random.integers(1, 65, (1, HEIGHT, WIDTH)) / 8).astype(np.float32)
        valid = random.random((1, HEIGHT, WIDTH)) > 0.25
        depth[~valid] = np.nan
        camera = torch.tensor([30.0 + index, 31.0, 16.0, 12.0])
        fields = (torch.from_numpy(field) for field in (image, depth, valid))
        return Sample(*fields, torch.tensor(index % 2), camera)

    def name(self, index: int) -> str:
        return f"{self.split}/{index}"

    def fingerprint(self) -> str:
        return self.split


class Pooled(Backbone):
    """The image, and the largest of each four of its pixels."""

    channels, strides, multiple = (3, 3), (1, 2), 1

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image, F.max_pool2d(image, 2, ceil_mode=True)]


class Mixed(Pyramid):
    """A trained mixture of each level's channels."""

    channels = 4

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.mix = nn.ModuleList(nn.Conv2d(width, self.channels, 1) for width in channels)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        return [mix(level) for mix, level in zip(self.mix, levels, strict=True)]


class Unchanged(Pyramid):
    """The levels as they are."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.channels = channels[0]

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        return levels


class Sum(Fusion):
    """The coarse level, its pixels repeated, added to the fine one."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return fine + F.interpolate(coarse, fine.shape[-2:])


class Metres(Head):
    """A trained convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.metres = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, fused: list[Tensor]) -> Prediction:
        return Prediction(self.metres(fused[0]))


class Steps(Head):
    """Depth in steps of an eighth of a metre, from the first channel alone: nothing is summed up."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, fused: list[Tensor]) -> Prediction:
        return Prediction(1 + torch.round(fused[0][:, :1] * 16) / 8)


class Recoder(Embedding):
    """Features from which the depth can be told again."""

    levels = 1

    def __init__(self, scene_types: int) -> None:
        super().__init__()
        self.encode = nn.Conv2d(1, scene_types + 2, 3, stride=2, padding=1)
        self.decode = nn.ConvTranspose2d(scene_types + 2, 1, 2, stride=2)

    def forward(self, depth: Tensor) -> list[Tensor]:
        even = F.pad(depth, (0, depth.shape[-1] % 2, 0, depth.shape[-2] % 2))
        return [torch.tanh(self.encode(even))]

    def objective(self, batch: Batch) -> Tensor:
        depth = batch.dense_depth()
        (features,) = self(depth)
        again = self.decode(features)[..., : depth.shape[-2], : depth.shape[-1]]
        return ((again - depth) * batch.valid).square().sum() / batch.valid.sum()


class Mean(Loss):
    """The mean absolute difference."""

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        difference = (prediction - batch.filled_depth()) * batch.valid
        return difference.abs().sum() / batch.valid.sum()


def whole() -> Protocol:
    """Everything, whatever it is."""
    return Protocol("whole", "a test", min_depth_m=0.5, max_depth_m=7.0, clamp_low_m=1.5, clamp_high_m=4.0)


def part() -> Protocol:
    """A centre, shrunk and cropped."""
    return Protocol(
        "part", "a test", view=View(0.75, (9, 12)), crop=Crop(1, 8, 2, 12, frame=(9, 12)), delta_inclusive=True
    )
