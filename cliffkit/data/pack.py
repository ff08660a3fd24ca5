"""A split at training size as plain arrays on disk, written once, gathered a batch at a time."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cliffkit.data.read import read_in_order
from cliffkit.data.resize import at_training_size
from cliffkit.errors import UserError
from cliffkit.interfaces import Batch, Dataset, Sample
from cliffkit.store.artifacts import PackFacts, damaged
from cliffkit.store.files import make_folder, reserve, writing

STEPS = 65535
"""Depth is stored as 1 to 65535 steps of 1/65535 of its image's deepest pixel; 0 is invalid."""

EXTRA = "extra-"
"""Before the name of an extra in the name of its file."""

PACKED_PIXEL_BYTES = 5
"""Bytes of a pixel: three colours, and two bytes of depth."""

MEDIAN_BINS = 10_000_000
"""Bins of the histogram of depth, at most: 80 MB."""


class Pack:
    """One packed split. Depth differs from the data set's by at most 1/131070 of its image's deepest pixel."""

    def __init__(self, folder: Path) -> None:
        self.facts = PackFacts.read(folder)
        self._image = _Rows(folder / "image.npy")
        self._depth = _Rows(folder / "depth.npy")
        self._metres = np.load(folder / "metres.npy")
        self._scene = np.load(folder / "scene.npy")
        self._images = np.arange(len(self._scene))
        camera = folder / "intrinsics.npy"
        self._intrinsics = np.load(camera) if camera.exists() else None
        extras = sorted(folder.glob(f"{EXTRA}*.npy"))
        self._extras = {path.stem.removeprefix(EXTRA): _Rows(path) for path in extras}

    def __len__(self) -> int:
        return len(self._images)

    @property
    def labelled(self) -> bool:
        """Whether any image has a scene type."""
        return bool((self.scenes() >= 0).any())

    def scenes(self) -> NDArray[np.int64]:
        """Give the index of each image's scene type, -1 where unknown."""
        return np.asarray(self._scene[self._images])

    def with_depth(self) -> Pack:
        """Give the same pack without the images that have no valid pixel."""
        return self.only(np.flatnonzero(self._metres[self._images] > 0))

    def only(self, images: NDArray[np.int64]) -> Pack:
        """Give the same pack with some of its images alone, in their order."""
        part = copy(self)
        part._images = self._images[images]
        return part

    def batch(self, indices: NDArray[np.int64]) -> Sample:
        """Gather images by index into one collated sample in memory."""
        indices = self._images[indices]
        depth = self._depth.gather(indices)
        metres = depth.astype(np.float32) * self._metres[indices][:, None, None, None]
        return Sample(
            torch.from_numpy(self._image.gather(indices)),
            torch.from_numpy(metres),
            torch.from_numpy(depth > 0),
            torch.from_numpy(self._scene[indices]),
            None if self._intrinsics is None else torch.from_numpy(self._intrinsics[indices]),
            {name: torch.from_numpy(rows.gather(indices)) for name, rows in self._extras.items()},
        )


class _Rows:
    """The rows of an array in a file, read where they lie: a memory map would count as memory of the process."""

    def __init__(self, path: Path) -> None:
        try:
            mapped = np.load(path, mmap_mode="r")
        except ValueError as error:
            raise damaged(path, f"is damaged, {error}") from error
        self._shape, self._dtype, self._offset = mapped.shape[1:], mapped.dtype, mapped.offset
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def gather(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Gather rows into memory, (len(indices), ...)."""
        rows = np.empty((len(indices), *self._shape), self._dtype)
        for k, index in enumerate(indices):
            row = rows[k : k + 1]  # a view, also where an image has a single number
            count = os.preadv(self._file, [row.data], self._offset + int(index) * row.nbytes)
            assert count == row.nbytes, "the file is as long as its header says"
        return rows


def write_pack(
    dataset: Dataset, folder: Path, size: tuple[int, int], crop: float, progress: Callable[[int], None]
) -> PackFacts:
    """Pack a split into `folder` and return its facts, which also stand in meta.json.

    Raises UserError where an image cannot be read, is not what a `Sample` promises, or none has a valid pixel, and
    where the pack cannot be written. Images without a valid pixel are packed and counted.
    """
    make_folder(folder)
    arrays = _Arrays(dataset, folder, size)
    for start, chunk in read_in_order(dataset, partial(at_training_size, size=size, crop=crop)):
        for i, sample in enumerate(chunk, start):
            arrays.put(i, sample)
        progress(start + len(chunk))
    if not arrays.valid_pixels.any():
        raise UserError("no image of the split has a pixel with a valid depth; `cliffkit data check` says more")
    arrays.save(folder)

    facts = PackFacts(
        images=len(dataset),
        size=size,
        median_m=_median(arrays.depth, arrays.metres),
        valid_share=float(arrays.valid_pixels.mean() / (size[0] * size[1])),
        without_depth=int((arrays.valid_pixels == 0).sum()),
        scene_types=tuple(dataset.scene_types),
    )
    facts.write(folder)
    return facts


class _Arrays:
    """The arrays of a pack while it is written."""

    def __init__(self, dataset: Dataset, folder: Path, size: tuple[int, int]) -> None:
        self.dataset, self.folder, n = dataset, folder, len(dataset)
        self.image = _map(folder / "image.npy", np.dtype(np.uint8), (n, 3, *size))
        self.depth = _map(folder / "depth.npy", np.dtype(np.uint16), (n, 1, *size))
        self.metres, self.scene = np.zeros(n, np.float32), np.full(n, -1, np.int64)
        self.intrinsics = np.full((n, 4), np.nan, np.float32)
        self.extras: dict[str, Any] = {}
        """Made when the first image has said which extras there are."""
        self.valid_pixels = np.zeros(n, np.int64)

    def put(self, i: int, sample: Sample) -> None:
        """Store the i-th image. Raises UserError for an unknown scene type, or extras unlike the first image's."""
        scene, types = int(sample.scene), len(self.dataset.scene_types)
        if not -1 <= scene < types:
            raise UserError(
                f"{self.dataset.name(i)}: scene is {scene}, and the data set names {types} scene types; write an index "
                "into them, or -1 where unknown"
            )
        self.image[i], self.scene[i] = sample.image.numpy(), scene
        if sample.intrinsics is not None:
            self.intrinsics[i] = sample.intrinsics.numpy()
        self._put_extras(i, {name: extra.numpy() for name, extra in sample.extras.items()})

        valid, values = sample.valid.numpy(), sample.depth.numpy()
        self.valid_pixels[i] = valid.sum()
        if self.valid_pixels[i]:
            self.metres[i] = values[valid].max() / STEPS
            steps = np.where(valid, values, 0) / self.metres[i]
            self.depth[i] = np.where(valid, np.clip(np.rint(steps), 1, STEPS), 0)

    def _put_extras(self, i: int, extras: dict[str, NDArray[Any]]) -> None:
        if i == 0:
            n = len(self.dataset)
            for name, extra in extras.items():
                self.extras[name] = _map(_extra(self.folder, name), extra.dtype, (n, *extra.shape))
        given = {name: (extra.dtype.name, extra.shape) for name, extra in extras.items()}
        first = {name: (array.dtype.name, array.shape[1:]) for name, array in self.extras.items()}
        if given != first:
            raise UserError(
                f"{self.dataset.name(i)}: extras are {given or 'none'}, and {first or 'none'} with the first image; "
                "give every image the same names, types and shapes"
            )
        for name, extra in extras.items():
            self.extras[name][i] = extra

    def save(self, folder: Path) -> None:
        """Write what is not in a file yet."""
        with writing(folder):
            for array in (self.image, self.depth, *self.extras.values()):
                array.flush()
            np.save(folder / "metres.npy", self.metres)
            np.save(folder / "scene.npy", self.scene)
            if not np.isnan(self.intrinsics).all():
                np.save(folder / "intrinsics.npy", self.intrinsics)


def _map(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """Map a new array file. Raises UserError where there is no room for all of it: a map cannot say so later."""
    needed = math.prod(shape) * dtype.itemsize
    with writing(path, needed):
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        reserve(path, array.offset + needed)
    return array


def _extra(folder: Path, name: str) -> Path:
    """Where an extra lies. Raises UserError for a name that is no identifier: it becomes a file's."""
    if not name.isidentifier() or name in Batch._fields:
        raise UserError(f"the data set gives an extra '{name}'; call it by a name of letters, digits and '_'")
    return folder / f"{EXTRA}{name}.npy"


def _median(depth: NDArray[np.uint16], metres: NDArray[np.float32]) -> float:
    """Give the median of all valid pixels, in metres, from a histogram: no copy of the data.

    Its bins are tenths of a millimetre, wider where depth reaches beyond a kilometre.
    """
    top = float(metres.max()) * STEPS
    bin_m = 1e-4 if top <= MEDIAN_BINS * 1e-4 else top / MEDIAN_BINS
    bins_per_m = 1e4 if top <= MEDIAN_BINS * 1e-4 else 1 / bin_m  # 1 / 1e-4 is not 1e4 to the last bit
    counts = np.zeros(1 + int(top * bins_per_m), np.int64)
    for i in range(len(depth)):
        values = depth[i][depth[i] > 0] * metres[i]
        counts += np.bincount((values * bins_per_m).astype(np.int64), minlength=len(counts))[: len(counts)]
    return float((np.searchsorted(np.cumsum(counts), counts.sum() / 2) + 0.5) * bin_m)
