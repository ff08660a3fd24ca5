"""Files of data sets: where they lie, what they hold, and whether they are the same as before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cliffkit.errors import UserError
from cliffkit.images import check_file, open_image

HASHED_WHOLE_BYTES = 256 * 2**20


def named_folder(dataset: str, root: Path | None, holds: str) -> Path:
    """Give the folder that the user named, or raise UserError: `holds` says in words what must lie in it."""
    if root is None:
        raise UserError(
            f"{dataset}: no folder given; say --data {dataset}=DIR or set CLIFFKIT_DATA_{dataset.upper()}, where DIR "
            f"holds {holds}"
        )
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder; --data {dataset}=DIR names the folder that holds {holds}")
    return root


class Finder:
    """Find files below the folders under which people keep them; the folder of the last find is tried first."""

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        self.root, self.folders = root, list(folders)

    def find(self, *paths: str) -> str:
        """Give the path, below the root, of the first of `paths` that is a file in a folder; empty where none is."""
        for folder in self.folders:
            for path in paths:
                below = f"{folder}/{path}" if folder else path
                if (self.root / below).is_file():
                    if folder != self.folders[0]:
                        self.folders.remove(folder)
                        self.folders.insert(0, folder)
                    return below
        return ""


def read_png16(path: Path, place: str, units_per_m: float) -> NDArray[np.float32]:
    """Read a 16-bit grey PNG as depth (H, W) in metres, 0 where it is 0. Raises UserError, beginning with `place`."""
    return (png16(path, place) / np.float32(units_per_m)).astype(np.float32)


def png16(path: Path, place: str) -> NDArray[np.uint16]:
    """Read a 16-bit grey PNG (H, W) as it is stored. Raises UserError, beginning with `place`."""
    with open_image(path, place) as image:
        check_png16(image, place)
        return np.asarray(image).astype(np.uint16)


def check_png16(image: Image.Image, place: str) -> None:
    """Raise UserError, beginning with `place`, where an image just opened is no 16-bit grey PNG."""
    # Pillow calls the mode of a 16-bit grey PNG I;16, before version 11.3 or so I
    if image.format != "PNG" or not image.mode.startswith("I"):
        kind = "an 8-bit" if image.mode in ("L", "P", "RGB", "RGBA", "LA") else "a"
        raise UserError(
            f"{place} is {kind} {image.format} of mode {image.mode}, and depth is a 16-bit grey PNG: a picture of "
            "depth in colours or 256 greys is not depth; take the depth maps as published"
        )


def read_npy(path: Path, place: str) -> NDArray[Any]:
    """Read a `.npy` of numbers. Raises UserError, beginning with `place`."""
    check_file(path, place)
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged header provokes many
        raise UserError(f"{place} cannot be read as a .npy ({error}); replace the file or leave it out") from error
    return array


def read_hdf5(path: Path, place: str, *names: str) -> list[NDArray[Any]]:
    """Read arrays of an HDF5 file by their names. Raises UserError, beginning with `place`."""
    import h5py  # type: ignore[import-untyped]

    check_file(path, place)
    try:
        with h5py.File(path, "r") as file:
            return [np.asarray(file[name][...]) for name in names]
    except Exception as error:  # of h5py, which names no set of them
        raise UserError(
            f"{place} cannot be read as HDF5 with {' and '.join(names)} ({error}); take the file as published"
        ) from error


def known(depth_m: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Give depth (H, W) in float32, 0 wherever it is NaN, infinite, not above 0, or not valid."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(depth_m) & (depth_m > 0)
    return np.where(good if valid is None else good & valid, depth_m, 0).astype(np.float32)


def size_bytes(path: Path) -> int:
    """Measure a file. Raises UserError where it is none."""
    check_file(path)
    return path.stat().st_size


def digests(files: Sequence[Path], end_bytes: int) -> Iterable[bytes]:
    """Hash each file: whole where all come to less than 256 MiB, else by its size and its first and last bytes.

    Raises UserError where a file cannot be read.
    """
    whole = sum(map(size_bytes, files)) < HASHED_WHOLE_BYTES
    for path in files:
        yield _digest(path, whole, end_bytes)


def _digest(path: Path, whole: bool, end_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            if whole:
                return blake2b(file.read()).digest()
            size = path.stat().st_size
            ends = file.read(end_bytes)
            file.seek(max(0, size - end_bytes))
            return blake2b(repr(size).encode() + ends + file.read()).digest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend that or leave it out") from error
