"""A split at training size as plain arrays on disk, written once, gathered a batch at a time."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit.workers import available_cores, begin_worker, without_main

STEPS = 65535
"""Depth is stored as 1..65535 sixty-five-thousandths of its image's deepest pixel; 0 is invalid."""

CHUNK = 36
"""Images read by a process at a time: a multiple of how many a chunk of the usual HDF5 files holds, as 3 or 6."""

IMAGES_PER_PROCESS = 64
"""Fewer than this and starting another process takes longer than it saves."""


class Pack:
    """One packed split. Depth differs from the data set's by at most 1/131070 of its image's deepest pixel."""

    def __init__(self, folder: Path) -> None:
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self._image = _Rows(folder / "image.npy")
        self._depth = _Rows(folder / "depth.npy")
        self._metres = np.load(folder / "metres.npy")
        self._scene = np.load(folder / "scene.npy")

    def __len__(self) -> int:
        return len(self._scene)

    def batch(self, indices: NDArray[np.int64]) -> Sample:
        """Gather images by index into one collated sample in memory."""
        depth = self._depth.gather(indices)
        metres = depth.astype(np.float32) * self._metres[indices][:, None, None, None]
        return Sample(
            torch.from_numpy(self._image.gather(indices)),
            torch.from_numpy(metres),
            torch.from_numpy(depth > 0),
            torch.from_numpy(self._scene[indices]),
        )


class _Rows:
    """The rows of an array in a file, read where they lie: a memory map would count as memory of the process."""

    def __init__(self, path: Path) -> None:
        try:
            mapped = np.load(path, mmap_mode="r")
        except ValueError as error:
            raise UserError(f"{path} is damaged, {error}; delete its folder and run again") from error
        self._shape, self._dtype, self._offset = mapped.shape[1:], mapped.dtype, mapped.offset
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def gather(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """(len(indices), ...) in memory."""
        rows = np.empty((len(indices), *self._shape), self._dtype)
        for row, index in zip(rows, indices, strict=True):
            count = os.preadv(self._file, [row], self._offset + int(index) * row.nbytes)
            assert count == row.nbytes, "the file is as long as its header says"
        return rows


def at_training_size(sample: Sample, size: tuple[int, int], crop: float) -> Sample:
    """Crop a sample's centre and resize it: the image with antialiasing, depth and validity to the nearest pixel.

    Depths are never averaged, so no depth appears that the sensor did not see.
    """
    height, width = sample.image.shape[-2:]
    h, w = max(1, round(crop * height)), max(1, round(crop * width))
    top, left = (height - h) // 2, (width - w) // 2
    image, depth, valid = (field[:, top : top + h, left : left + w] for field in sample[:3])
    if (h, w) != size:
        image = resize_image(image[None], size)[0]
        depth = F.interpolate(depth[None], size, mode="nearest-exact")[0]
        valid = F.interpolate(valid[None].float(), size, mode="nearest-exact")[0] > 0.5
    return Sample(image, depth, valid, sample.scene)


def resize_image(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(B, 3, H, W) uint8 to (B, 3, *size) uint8, bilinear with antialiasing."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    resized = F.interpolate(image.float(), size, mode="bilinear", align_corners=False, antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def read_sample(dataset: Dataset, index: int) -> Sample:
    """The index-th image at full size. Raises UserError that names it where it cannot be read."""
    try:
        return dataset[index]
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{dataset.name(index)}: {error}") from error


def write_pack(
    dataset: Dataset, folder: Path, size: tuple[int, int], crop: float, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Pack a split into `folder` and return its facts, which also stand in meta.json.

    Raises UserError where an image cannot be read or none has a valid pixel. Images without one are packed and counted.
    """
    folder.mkdir(exist_ok=True)
    n, (height, width) = len(dataset), size
    image = np.lib.format.open_memmap(folder / "image.npy", "w+", np.uint8, (n, 3, height, width))
    depth = np.lib.format.open_memmap(folder / "depth.npy", "w+", np.uint16, (n, 1, height, width))
    metres, scene = np.zeros(n, np.float32), np.full(n, -1, np.int64)
    valid_pixels = np.zeros(n, np.int64)
    for start, chunk in _chunks(dataset, size, crop):
        for i, sample in enumerate(chunk, start):
            valid = sample.valid.numpy()
            values = sample.depth.numpy()
            image[i] = sample.image.numpy()
            scene[i] = int(sample.scene)
            valid_pixels[i] = valid.sum()
            if valid_pixels[i]:
                metres[i] = values[valid].max() / STEPS
                steps = np.where(valid, values, 0) / metres[i]
                depth[i] = np.where(valid, np.clip(np.rint(steps), 1, STEPS), 0)
        progress(min(start + len(chunk), n))
    if not valid_pixels.any():
        raise UserError("no image of the split has a pixel with a valid depth; `cliffkit data check` says more")
    image.flush()
    depth.flush()
    np.save(folder / "metres.npy", metres)
    np.save(folder / "scene.npy", scene)
    meta = {
        "images": n,
        "size": [height, width],
        "median_m": _median(depth, metres),
        "valid_share": float(valid_pixels.mean() / (height * width)),
        "without_depth": int((valid_pixels == 0).sum()),
        "scene_types": list(dataset.scene_types),
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=2), encoding="utf-8")
    return meta


def _median(depth: NDArray[np.uint16], metres: NDArray[np.float32]) -> float:
    """Median over all valid pixels, in metres, from a histogram of tenths of a millimetre: no copy of the data."""
    top = float(metres.max()) * STEPS
    counts = np.zeros(1 + int(top * 1e4), np.int64)
    for i in range(len(depth)):
        values = depth[i][depth[i] > 0] * metres[i]
        counts += np.bincount((values * 1e4).astype(np.int64), minlength=len(counts))[: len(counts)]
    return float((np.searchsorted(np.cumsum(counts), counts.sum() / 2) + 0.5) * 1e-4)


def _chunks(dataset: Dataset, size: tuple[int, int], crop: float) -> Iterator[tuple[int, list[Sample]]]:
    """Runs of neighbouring images at training size, in order, read by as many processes as pay."""
    ranges = [(start, min(start + CHUNK, len(dataset))) for start in range(0, len(dataset), CHUNK)]
    processes = min(available_cores(), len(dataset) // IMAGES_PER_PROCESS)
    if processes < 2:
        for start, stop in ranges:
            yield start, _read(dataset, start, stop, size, crop)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin) as pool:
        with without_main():
            futures = [(start, pool.submit(_read_arrays, dataset, start, stop, size, crop)) for start, stop in ranges]
        try:
            for start, future in futures:
                arrays = future.result()
                yield start, [_sample(*fields) for fields in zip(*arrays, strict=True)]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _sample(image: NDArray[Any], depth: NDArray[Any], valid: NDArray[Any], scene: NDArray[Any]) -> Sample:
    return Sample(torch.from_numpy(image), torch.from_numpy(depth), torch.from_numpy(valid), torch.from_numpy(scene))


def _begin() -> None:
    begin_worker()
    torch.set_num_threads(1)


def _read(dataset: Dataset, start: int, stop: int, size: tuple[int, int], crop: float) -> list[Sample]:
    return [at_training_size(read_sample(dataset, i), size, crop) for i in range(start, stop)]


def _read_arrays(dataset: Dataset, start: int, stop: int, size: tuple[int, int], crop: float) -> list[NDArray[Any]]:
    """`_read` as stacked arrays: tensors sent between processes would each hold a file descriptor open."""
    samples = _read(dataset, start, stop, size, crop)
    image, depth, valid, scene = (
        np.stack([field.numpy() for field in fields])
        for fields in zip(*(sample[:4] for sample in samples), strict=True)
    )
    return [image, depth, valid, scene[:, None]]
