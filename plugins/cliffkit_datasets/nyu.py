"""NYU-Depth V2, the labelled set: `nyu_depth_v2_labeled.mat` and `splits.mat` as their authors publish them.

The first is MATLAB v7.3, hence HDF5, and h5py sees every axis reversed: images (N, 3, W, H), depths (N, W, H). Its
strings are references to (n, 1) arrays of character codes. The second is MATLAB v5 and counts images from one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, final

import h5py  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit_datasets import nyu_layout as layout
from cliffkit_datasets.samples import to_sample
from cliffkit_datasets.splits import check_shares, check_split, cut_by_scene

LIMIT_M = 100.0
"""No depth of this data set comes near; what lies beyond is not in metres."""
BLOCK_BYTES = 256 * 2**20
"""The most memory that one process keeps of one variable, decompressed."""
INTRINSICS = (518.85790, 519.46961, 325.58245 - 0.5, 253.73617 - 0.5)
"""fx, fy, cx, cy of the colour camera at INTRINSICS_SIZE, to which depth is registered, in pixels.

Source: `camera_params.m` of the NYU-Depth V2 toolbox (fx_rgb, fy_rgb, cx_rgb, cy_rgb). MATLAB counts pixels from one,
so the centre of the first stands at 1 there and at 0.5 here.
"""
INTRINSICS_SIZE = (480, 640)
"""Height and width of the published images."""
PROBES = 256
"""How many stored chunks of each variable the fingerprint reads."""


@final
class NYU(Dataset):
    """The labelled images of one split, in the file's order.

    Test is `testNdxs`. Validation is cut from the scenes of `trainNdxs`, about `val_share` of its images by a fixed
    hash of the scenes' names (see `cut_by_scene`), and training is the rest. Scene types are those of the whole file.
    The camera is known for images of the published size, 480x640.

    Raises UserError for a missing, damaged or foreign file and for splits that do not fit it; upon reading an image,
    for data that cannot be decompressed and depth that is no depth in metres.

    Options:
        raw: Whether depth is the sensor's, holes invalid (`rawDepths`), instead of the in-painted (`depths`).
        val_share: Share of the images of `trainNdxs` that becomes the validation split, in whole scenes.
    """

    protocol = "eigen"

    def __init__(self, split: str, root: Path | None, *, raw: bool = False, val_share: float = 0.1) -> None:
        check_split("nyu", split)
        check_shares("nyu", val_share=val_share)
        self._path, splits_path = layout.find(root)
        self._variables = ("images", "rawDepths" if raw else "depths")
        with layout.opened(self._path) as file:
            count = layout.check_arrays(self._path, file, self._variables[1])
            scenes = layout.read_strings(self._path, file, "scenes", count)
            types = layout.read_strings(self._path, file, "sceneTypes", count)
        if "" in scenes:
            raise UserError(f"{self._path}: scenes: image {scenes.index('') + 1} has no scene; {layout.AGAIN}")
        self.scene_types: tuple[str, ...] = tuple(sorted(set(types) - {""}))
        self._frames = _split_frames(splits_path, split, scenes, val_share)
        number = {name: i for i, name in enumerate(self.scene_types)}
        self._types = [number.get(types[frame], -1) for frame in self._frames]
        self._scenes = [scenes[frame] for frame in self._frames]
        self._file: Any = None
        self._process = 0
        self._blocks: dict[str, tuple[int, Any]] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        """Read the index-th image with its depth.

        Stored chunks span several images. The last such block of each variable is kept decompressed, so reading in
        order decompresses every chunk once; reading in any other order works and is slower.
        """
        frame = self._frames[index]
        image, depth = (self._read(variable, frame) for variable in self._variables)
        return to_sample(
            image.transpose(0, 2, 1),  # (3, W, H) to (3, H, W)
            depth.T,
            self._types[index],
            INTRINSICS if depth.T.shape == INTRINSICS_SIZE else None,
            place=f"{self._path}: {self._variables[1]}: {self.name(index)}",
            limit_m=LIMIT_M,
            remedy=f"the file is not as published; {layout.AGAIN}",
        )

    def name(self, index: int) -> str:
        """Name an image by its place in the file: `nyu/0001` for the first."""
        return f"nyu/{self._frames[index] + 1:04d}"

    def fingerprint(self) -> str:
        """Hash the file's size, layout and scene types, this split's images with their scenes, and pixels.

        Pixels of 2.8 GB are not read: every chunk's place and compressed size enters, which few changes leave as they
        are, and the bytes of some 256 chunks of each variable, evenly spaced.
        """
        seen = blake2b(digest_size=16)

        def add(*facts: object) -> None:
            seen.update(repr(facts).encode() + b"\n")

        add("nyu 1", self._path.stat().st_size, self.scene_types)
        for frame, scene, kind in zip(self._frames, self._scenes, self._types, strict=True):
            add(frame, scene, kind)
        with layout.opened(self._path) as file:
            for variable in self._variables:
                data = file[variable]
                add(variable, data.shape, data.dtype.str, data.chunks, data.compression, data.shuffle)
                if data.chunks is None:
                    for frame in _evenly(range(len(data))):
                        seen.update(data[frame].tobytes())
                    continue
                stored: list[Any] = []
                data.id.chunk_iter(stored.append)
                stored.sort(key=lambda chunk: chunk.chunk_offset)
                for chunk in stored:
                    add(chunk.chunk_offset, chunk.size)
                for chunk in _evenly(stored):
                    seen.update(data.id.read_direct_chunk(chunk.chunk_offset)[1])
        return seen.hexdigest()

    def _read(self, variable: str, frame: int) -> NDArray[Any]:
        """Read one image of a variable as stored, from the block of whole chunks around it."""
        start, block = self._blocks.get(variable, (0, ()))
        if not start <= frame < start + len(block):
            try:
                data = self._open()[variable]
                of_one = data.dtype.itemsize * int(np.prod(data.shape[1:]))
                span = max(1, min(data.chunks[0] if data.chunks else 1, BLOCK_BYTES // of_one))
                start = frame - frame % span
                block = data[start : start + span]
            except Exception as error:  # of h5py, which names no set of them
                raise UserError(
                    f"{self._path}: {variable}: nyu/{frame + 1:04d} cannot be read ({error}); the file is damaged, "
                    f"{layout.AGAIN}"
                ) from error
            self._blocks[variable] = (start, block)
        image: NDArray[Any] = block[frame - start]
        return image

    def _open(self) -> Any:
        """Open this process's own handle: HDF5's state does not survive a fork."""
        if self._file is None or self._process != os.getpid():
            self._file = None
            self._file, self._process = h5py.File(self._path, "r"), os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_process": 0, "_blocks": {}}


def _evenly(items: Sequence[Any]) -> list[Any]:
    """Choose at most PROBES of the items, evenly spaced, first and last among them."""
    if len(items) <= PROBES:
        return list(items)
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, PROBES).round()]


def _split_frames(path: Path, split: str, scenes: list[str], val_share: float) -> list[int]:
    """Give zero-based indices of a split's images, ascending."""
    train, test = layout.read_lists(path, len(scenes))
    if leaks := sorted({scenes[i - 1] for i in train} & {scenes[i - 1] for i in test}):
        raise UserError(
            f"{path}: trainNdxs and testNdxs share {len(leaks)} scenes, {layout.first(leaks)}; the lists do not belong "
            f"to {layout.LABELED} beside them; {layout.AGAIN}"
        )
    if split == "test":
        return [i - 1 for i in test]
    frames = Counter(scenes[i - 1] for i in train)
    if len(frames) < 2:
        raise UserError(
            f"{path}: trainNdxs: all images are of scene '{scenes[train[0] - 1]}', nothing "
            f"to cut val from; {layout.AGAIN}"
        )
    split_of = cut_by_scene(frames, {"val": val_share})
    return [i - 1 for i in train if split_of[scenes[i - 1]] == split]
