"""A folder of RGB-D pairs: images and depth maps of any and differing sizes, listed in an `index.csv`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.images import check_file, check_mode, open_image
from cliffkit.interfaces import Dataset, Sample
from cliffkit_datasets import pairs_index
from cliffkit_datasets.files import digests
from cliffkit_datasets.pairs_index import Faults, Pair
from cliffkit_datasets.samples import to_sample
from cliffkit_datasets.splits import check_shares, check_split
from cliffkit_datasets.turned import Seen, look, pair_fault, read_depth, read_image

LIMIT_M = 1000.0
"""Deeper than any sensor sees: what lies beyond was declared in wrong units."""
HASHED_END_BYTES = 64 * 2**10


@final
class Pairs(Dataset):
    """The pairs of one split, in the index's order.

    `index.csv` has the columns `rgb` and `depth` (paths within the folder), `scene_id`, and optionally `scene_type`
    (empty where unknown), `id` (else the path of the image names the pair), `split`, and the camera's `fx`, `fy`, `cx`
    and `cy` in pixels of the image, as `Sample.intrinsics` counts them (all empty where unknown); others are passed
    over.

    Images are whatever Pillow reads with 8 bits a channel, or colours of 16. Images and PNGs of depth are turned
    upright by their EXIF orientation, so a depth map without the tag must be upright as it is. An image whose tag keeps
    its size is refused where the depth map has another: nothing shows whether that is upright. Depth is a 16-bit grey
    PNG in units of 1 / `depth_scale` metres, or a `.npy` of float32 metres; 0 is missing in both.

    Where the index has no column `split`, scenes are dealt out whole, by a fixed hash of their `scene_id` (see
    `cut_by_scene`).

    Construction checks the whole index and, by their headers, the files of this split, some 0.1 ms a pair, and raises
    one UserError for all that is wrong. Reading a pair raises UserError for what only its pixels show.

    Options:
        depth_scale: Units of the 16-bit PNGs per metre; 1000 where they hold millimetres.
        val_share: Share of the images that becomes the validation split, where the index has no column `split`.
        test_share: Share of the images that becomes the test split, where the index has no column `split`; 1: all of
            them, for data that only score.
    """

    def __init__(
        self,
        split: str,
        root: Path | None,
        *,
        depth_scale: float = 1000.0,
        val_share: float = 0.1,
        test_share: float = 0.2,
    ) -> None:
        check_split("pairs", split)
        if test_share == 1:
            check_shares("pairs", val_share=val_share)
        else:
            check_shares("pairs", val_share=val_share, test_share=test_share)
        if not (depth_scale > 0 and math.isfinite(depth_scale)):
            raise UserError(f"pairs: depth_scale is {depth_scale}; it is the PNGs' units per metre, above 0, as 1000")
        faults = Faults(pairs_index.find(root))
        self._index = faults.index
        self._scale = float(depth_scale)
        pairs = pairs_index.read(faults)
        self.scene_types: tuple[str, ...] = tuple(sorted({pair.scene_type for pair in pairs} - {""}))
        self._pairs = pairs_index.of_split(pairs, split, {"test": test_share, "val": val_share}, faults)
        for pair in self._pairs:
            for message in _file_faults(self._index.parent, pair):
                faults.add(pair.line, message)
        faults.check()
        self._dealt = pairs_index.dealt(pairs, self._pairs)
        self._number = {name: i for i, name in enumerate(self.scene_types)}

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self._pairs[index]
        place = f"{self._index}:{pair.line}:"
        root = self._index.parent
        rgb_place = f"{place} rgb: {pair.rgb}"
        with open_image(root / pair.rgb, rgb_place) as opened:
            image, seen = read_image(opened, rgb_place, pair.rgb)
        depth_m, lies = self._load_depth(root / pair.depth, f"{place} depth: {pair.depth}", pair.depth)
        if fault := pair_fault(seen, lies):  # replaced since construction, or with a tag behind the pixels
            raise UserError(fault)
        return to_sample(
            image.transpose(2, 0, 1),
            depth_m,
            self._number.get(pair.scene_type, -1),
            pair.camera,
            place=f"{place} depth: {pair.depth}",
            limit_m=LIMIT_M,
            remedy="set depth_scale to the file's units per metre"
            if not _is_npy(pair.depth)
            else "store metres, and 0 where depth is missing",
        )

    def name(self, index: int) -> str:
        """Give the pair's `id`, or the path of its image where the index has no such column."""
        return self._pairs[index].name

    def dealt(self) -> str:
        """Say of how many scenes this split is, and by what it was chosen."""
        return self._dealt

    def fingerprint(self) -> str:
        """Hash this split's lines (name, scene, scene type, camera), its files' contents and `depth_scale`.

        Files are hashed whole where they come to less than 256 MiB together, else by size and their first and last
        64 KiB. Of paths only those in the index count, where they name the pairs.
        """
        files = [self._index.parent / path for pair in self._pairs for path in (pair.rgb, pair.depth)]
        hashes = iter(digests(files, HASHED_END_BYTES))
        seen = blake2b(repr(("pairs 1", self._scale, self.scene_types)).encode(), digest_size=16)
        for pair in self._pairs:
            seen.update(repr((pair.name, pair.scene_id, pair.scene_type, *(pair.camera or ()))).encode())
            seen.update(next(hashes) + next(hashes))
        return seen.hexdigest()

    def _load_depth(self, path: Path, place: str, name: str) -> tuple[NDArray[np.float32], Seen]:
        if _is_npy(path.name):
            depth_m = np.array(_open_npy(path, place))
            return depth_m, Seen(place, name, depth_m.shape[::-1])
        with open_image(path, place) as image:
            stored, seen = read_depth(image, place, name)
        return stored.astype(np.float32) / np.float32(self._scale), seen


def _file_faults(root: Path, pair: Pair) -> Iterator[str]:
    """Find faults of a pair's two files by their headers."""
    files = []
    for column, path, look_at in (("rgb", pair.rgb, _look_at_image), ("depth", pair.depth, _look_at_depth)):
        try:
            files.append(look_at(root / path, f"{column}: {path}", path))
        except UserError as error:
            yield str(error)
    if len(files) == 2 and (fault := pair_fault(*files)):
        yield fault


def _look_at_image(path: Path, place: str, name: str) -> Seen:
    with open_image(path, place) as image:
        check_mode(image, place)
        return look(image, place, name)


def _look_at_depth(path: Path, place: str, name: str) -> Seen:
    if _is_npy(path.name):
        data = _open_npy(path, place)
        if data.ndim != 2 or data.dtype != np.float32:
            raise UserError(f"{place} is {data.dtype} of shape {data.shape}; store (H, W) float32 metres")
        return Seen(place, name, data.shape[::-1])
    with open_image(path, place) as image:
        # Pillow calls the mode of a 16-bit grey PNG I;16, before version 11.3 or so I
        if image.format != "PNG" or not image.mode.startswith("I"):
            bits = "8-bit " if image.mode in ("L", "P", "RGB", "RGBA", "LA") else ""
            raise UserError(
                f"{place} is a {bits}{image.format} of mode {image.mode}; depth must be a 16-bit grey PNG, or a .npy "
                f"of float32 metres: a picture of depth in colours or 256 greys is not depth"
            )
        return look(image, place, name)


def _is_npy(path: str) -> bool:
    return path.lower().endswith(".npy")


def _open_npy(path: Path, place: str) -> NDArray[Any]:
    """Open a `.npy`, memory-mapped."""
    check_file(path, place)
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a damaged header provokes many
        objects = "objects" in str(error)
        cause = "it holds Python objects, not numbers" if objects else error
        remedy = "store (H, W) float32 metres" if objects else "replace the file or leave it out"
        raise UserError(f"{place} cannot be read as a .npy ({cause}); {remedy}") from error
