"""A split at full size, as the data set gives it: written once, then read by position as often as it is needed.

Networks of a study are all scored on the same test images. So the images are drawn, or decoded, once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from cliffkit.data.read import read_in_order
from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit.store.artifacts import FullSizeFacts, damaged, read_array
from cliffkit.store.files import make_folder, writing

PIXELS = "pixels.bin"
"""Of each image: depth as little-endian float32, the colours, and a bit for each pixel that is valid."""

INDEX = "index.npy"
"""Of each image: first byte in PIXELS, height, width, scene type; int64."""

CAMERAS = "intrinsics.npy"
"""Intrinsics of each image, float32; NaN where unknown."""

_DEPTH = np.dtype("<f4")


class FullSize(Dataset):
    """A split that was written by `write_full_size`: the bits of the data set's own samples, without their extras."""

    def __init__(self, folder: Path) -> None:
        self.facts = FullSizeFacts.read(folder)
        self.scene_types = self.facts.scene_types
        self._pixels = folder / PIXELS
        self._index = read_array(folder / INDEX)
        self._cameras = read_array(folder / CAMERAS)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Sample:
        """Read the index-th image. Raises UserError where the file is cut off."""
        start, height, width, scene = map(int, self._index[index])
        count = height * width
        content = np.fromfile(self._pixels, np.uint8, bytes_of(height, width), offset=start)
        if len(content) < bytes_of(height, width):
            raise damaged(self._pixels, "is cut off")
        depth, image, bits = np.split(content, [_DEPTH.itemsize * count, (_DEPTH.itemsize + 3) * count])
        camera = torch.from_numpy(self._cameras[index].copy())
        return Sample(
            torch.from_numpy(image.reshape(3, height, width)),
            torch.from_numpy(depth.view(_DEPTH).astype(np.float32, copy=False).reshape(1, height, width)),
            torch.from_numpy(np.unpackbits(bits, count=count).view(np.bool_).reshape(1, height, width)),
            torch.tensor(scene),
            None if camera.isnan().all() else camera,
        )

    def name(self, index: int) -> str:
        """Give the name that the data set gives the image."""
        return self.facts.names[index]

    def fingerprint(self) -> str:
        """Give the fingerprint of the data set's split."""
        return self.facts.fingerprint


def bytes_of(height: int, width: int) -> int:
    """Count the bytes of an image in PIXELS."""
    count = height * width
    return (_DEPTH.itemsize + 3) * count + (count + 7) // 8


def write_full_size(dataset: Dataset, folder: Path, progress: Callable[[int], None]) -> None:
    """Write a split into `folder`; `progress` hears how many images are written.

    Images may differ in size. Raises UserError where an image cannot be read or is not what a `Sample` promises, and
    where the files cannot be written.
    """
    make_folder(folder)
    index = np.zeros((len(dataset), 4), np.int64)
    cameras = np.full((len(dataset), 4), np.nan, np.float32)
    end = 0
    with writing(folder / PIXELS), (folder / PIXELS).open("wb") as file:
        for start, chunk in read_in_order(dataset, _without_extras):
            for i, sample in enumerate(chunk, start):
                _check(sample, dataset.name(i), len(dataset.scene_types))
                height, width = sample.image.shape[-2:]
                index[i] = end, height, width, int(sample.scene)
                if sample.intrinsics is not None:
                    cameras[i] = sample.intrinsics.numpy()
                file.write(sample.depth.numpy().astype(_DEPTH, copy=False).tobytes())
                file.write(sample.image.numpy().tobytes())
                file.write(np.packbits(sample.valid.numpy()).tobytes())
                end += bytes_of(height, width)
            progress(start + len(chunk))
    with writing(folder):
        np.save(folder / INDEX, index)
        np.save(folder / CAMERAS, cameras)
    names = tuple(map(dataset.name, range(len(dataset))))
    FullSizeFacts(names, tuple(dataset.scene_types), dataset.fingerprint()).write(folder)


def _without_extras(sample: Sample) -> Sample:
    """Leave out what only training sees."""
    return sample._replace(extras={})


def _check(sample: Sample, name: str, scene_types: int) -> None:
    """Raise UserError for a sample whose tensors are not of the types and shapes that the file holds."""
    size = sample.image.shape[-2:]
    for field, tensor, shape, dtype in (
        ("image", sample.image, (3, *size), torch.uint8),
        ("depth", sample.depth, (1, *size), torch.float32),
        ("valid", sample.valid, (1, *size), torch.bool),
    ):
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise UserError(
                f"{name}: {field} is {tuple(tensor.shape)} {tensor.dtype}, expected {shape} {dtype}; mend the data "
                "set: `cliffkit.testing.check_dataset` shows where"
            )
    if not -1 <= int(sample.scene) < scene_types:
        raise UserError(
            f"{name}: scene is {int(sample.scene)}, and the data set names {scene_types} scene types; write an index "
            "into them, or -1 where unknown"
        )
