"""A folder of RGB-D pairs: images and depth maps of any and differing sizes, listed in an `index.csv`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit_datasets import pairs_index
from cliffkit_datasets.pairs_index import Faults, Pair
from cliffkit_datasets.samples import to_sample
from cliffkit_datasets.splits import check_shares, check_split

LIMIT_M = 1000.0
"""Deeper than any sensor sees: what lies beyond was declared in wrong units."""
HASHED_WHOLE_BYTES = 256 * 2**20
HASHED_END_BYTES = 64 * 2**10


@final
class Pairs(Dataset):
    """The pairs of one split, in the index's order.

    `index.csv` has the columns `rgb` and `depth` (paths within the folder), `scene_id`, and optionally `scene_type`
    (empty where unknown), `id` (else the path of the image names the pair), `split`, and the camera's `fx`, `fy`, `cx`
    and `cy` in pixels of the image, as `Sample.intrinsics` counts them (all empty where unknown); others are passed
    over.

    Images are whatever Pillow reads with 8 bits a channel, as they are stored: an EXIF rotation is not applied, for
    the depth map would not turn with it. Depth is a 16-bit grey PNG in units of 1 / `depth_scale` metres, or a `.npy`
    of float32 metres; 0 is missing in both.

    Where the index has no column `split`, scenes are dealt out whole, by a fixed hash of their `scene_id` (see
    `cut_by_scene`).

    Construction checks the whole index and, by their headers, the files of this split, some 0.1 ms a pair, and raises
    one UserError for all that is wrong. Reading a pair raises UserError for what only its pixels show.

    Options:
        depth_scale: Units of the 16-bit PNGs per metre; 1000 where they hold millimetres.
        val_share: Share of the images that becomes the validation split, where the index has no column `split`.
        test_share: Share of the images that becomes the test split, where the index has no column `split`.
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
        self._number = {name: i for i, name in enumerate(self.scene_types)}

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self._pairs[index]
        image = self._load(pair, "rgb", pair.rgb, _load_image)
        depth_m = self._load(pair, "depth", pair.depth, self._load_depth)
        if image.shape[1:] != depth_m.shape:  # replaced since construction
            fault = _size_fault(pair, image.shape[:0:-1], depth_m.shape[::-1])
            raise UserError(f"{self._index}:{pair.line}: {fault}")
        return to_sample(
            image,
            depth_m,
            self._number.get(pair.scene_type, -1),
            pair.camera,
            place=f"{self._index}:{pair.line}: depth: {pair.depth}",
            limit_m=LIMIT_M,
            remedy="set depth_scale to the file's units per metre"
            if not _is_npy(pair.depth)
            else "store metres, and 0 where depth is missing",
        )

    def name(self, index: int) -> str:
        """Give the pair's `id`, or the path of its image where the index has no such column."""
        return self._pairs[index].name

    def fingerprint(self) -> str:
        """Hash this split's lines (name, scene, scene type, camera), its files' contents and `depth_scale`.

        Files are hashed whole where they come to less than 256 MiB together, else by size and their first and last
        64 KiB. Of paths only those in the index count, where they name the pairs.
        """
        files = [self._index.parent / path for pair in self._pairs for path in (pair.rgb, pair.depth)]
        whole = sum(file.stat().st_size for file in files) < HASHED_WHOLE_BYTES
        seen = blake2b(repr(("pairs 1", self._scale, self.scene_types)).encode(), digest_size=16)
        for pair in self._pairs:
            seen.update(repr((pair.name, pair.scene_id, pair.scene_type, *(pair.camera or ()))).encode())
            for path in (pair.rgb, pair.depth):
                seen.update(_digest(self._index.parent / path, whole))
        return seen.hexdigest()

    def _load(self, pair: Pair, column: str, path: str, load: Callable[[Path], NDArray[Any]]) -> NDArray[Any]:
        try:
            return load(self._index.parent / path)
        except UserError as error:
            raise UserError(f"{self._index}:{pair.line}: {column}: {path} {error}") from error

    def _load_depth(self, path: Path) -> NDArray[np.float32]:
        if _is_npy(path.name):
            return np.array(_opened_npy(path))
        with _opened(path) as image:
            return np.asarray(image).astype(np.float32) / np.float32(self._scale)


def _load_image(path: Path) -> NDArray[np.uint8]:
    with _opened(path) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _file_faults(root: Path, pair: Pair) -> Iterator[str]:
    """Find faults of a pair's two files by their headers."""
    sizes = []
    for column, path, measure in (("rgb", pair.rgb, _image_size), ("depth", pair.depth, _depth_size)):
        try:
            sizes.append(measure(root / path))
        except UserError as error:
            yield f"{column}: {path} {error}"
    if len(sizes) == 2 and sizes[0] != sizes[1]:
        yield _size_fault(pair, sizes[0], sizes[1])


def _size_fault(pair: Pair, image: tuple[int, int], depth: tuple[int, int]) -> str:
    """Describe two sizes that differ, each (width, height) in pixels."""
    return (
        f"depth: {pair.depth} is {depth[0]} x {depth[1]} pixels, its image {pair.rgb} {image[0]} x {image[1]}; give "
        f"the depth map that was registered to this image"
    )


def _image_size(path: Path) -> tuple[int, int]:
    with _opened(path) as image:
        if image.mode.startswith(("I", "F")):
            raise UserError(f"is of mode {image.mode}, not 8 bits a channel; store an 8-bit RGB image")
        return image.size


def _depth_size(path: Path) -> tuple[int, int]:
    if _is_npy(path.name):
        data = _opened_npy(path)
        if data.ndim != 2 or data.dtype != np.float32:
            raise UserError(f"is {data.dtype} of shape {data.shape}; store (H, W) float32 metres")
        return data.shape[1], data.shape[0]
    with _opened(path) as image:
        # Pillow calls the mode of a 16-bit grey PNG I;16, before version 11.3 or so I
        if image.format != "PNG" or not image.mode.startswith("I"):
            bits = "8-bit " if image.mode in ("L", "P", "RGB", "RGBA", "LA") else ""
            raise UserError(
                f"is a {bits}{image.format} of mode {image.mode}; depth must be a 16-bit grey PNG, or a .npy of "
                f"float32 metres: a picture of depth in colours or 256 greys is not depth"
            )
        return image.size


def _is_npy(path: str) -> bool:
    return path.lower().endswith(".npy")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file, its pixels not yet decoded. A failure to open or to decode becomes a UserError."""
    try:
        with Image.open(path) as image:
            yield image
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError("does not exist; put it there or remove the line") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow raises SyntaxError for a broken PNG
        cause = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        raise UserError(f"cannot be read as an image ({cause}); replace the file or remove the line") from error


def _opened_npy(path: Path) -> NDArray[Any]:
    """Open a `.npy`, memory-mapped."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise UserError("does not exist; put it there or remove the line") from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read as a .npy ({error}); replace the file or remove the line") from error


def _digest(path: Path, whole: bool) -> bytes:
    with path.open("rb") as file:
        if whole:
            return blake2b(file.read()).digest()
        size = path.stat().st_size
        ends = file.read(HASHED_END_BYTES)
        file.seek(max(0, size - HASHED_END_BYTES))
        return blake2b(repr(size).encode() + ends + file.read()).digest()
