"""Predictions as files hold them: arrays of NumPy, 16-bit PNG, TIFF and OpenEXR."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.images import check_file, open_image

KINDS = (".npy", ".npz", ".exr", ".tif", ".tiff", ".png")
"""Ends of the names of predictions. Of several kinds in a folder the first is read."""

IMAGES = (".tif", ".tiff", ".png")

_MODES = ("I;16", "I;16B", "I;16L", "I", "F", "L")
"""Pillow's modes of one channel."""


@dataclass(frozen=True)
class Entry:
    """Where a prediction lies."""

    path: Path
    position: int | None = None
    """Its place in a stack of predictions, an array (N, H, W); None for a file of its own."""

    def __str__(self) -> str:
        return f"{self.path}" if self.position is None else f"{self.path}[{self.position}]"


@dataclass(frozen=True, eq=False)
class Stored:
    """A prediction as its file holds it."""

    values: NDArray[np.float32]
    """(H, W), in the file's own unit."""
    dtype: str
    """Type of the file's numbers: `float32`, `uint16`, `uint8`."""
    digest: bytes
    """Hash of values and shape: the same predictions in a file of another kind or type are no others."""


def read_stored(entry: Entry, key: str | None = None) -> Stored:
    """Read a prediction; `key` names the array of a .npz, which may be left out where the file has but one.

    Raises UserError where the file is damaged, or is no map of one channel.
    """
    check_file(entry.path)
    if entry.position is not None:
        return _stored(entry, _open_stack(entry.path)[entry.position])
    suffix = entry.path.suffix.lower()
    if suffix in IMAGES:
        return _stored(entry, _read_image(entry.path))
    if suffix == ".exr":
        return _stored(entry, _read_exr(entry.path))
    return _stored(entry, _read_array(entry.path, key))


def count_stack(path: Path) -> int:
    """Count the predictions of a stack: a .npy of shape (N, H, W), or with an axis of length 1 for the channel."""
    return len(_open_stack(path))


def _open_stack(path: Path) -> NDArray[Any]:
    remedy = "give a folder of predictions, or one .npy of shape (images, height, width)"
    if path.suffix.lower() != ".npy":
        raise UserError(f"{path}: is a file, and no .npy; {remedy}")
    try:
        stack: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a damaged header provokes many
        raise UserError(f"{path}: cannot be read as a .npy ({error}); {remedy}") from error
    if stack.ndim == 4 and 1 in (stack.shape[1], stack.shape[3]):
        stack = stack[:, 0] if stack.shape[1] == 1 else stack[..., 0]
    if stack.ndim != 3:
        raise UserError(f"{path}: is an array of shape {stack.shape}; {remedy}")
    return stack


def _stored(entry: Entry, values: NDArray[Any]) -> Stored:
    """Check that values are a map (H, W) of numbers, an axis of length 1 for its channel taken away."""
    shape = values.shape
    while values.ndim > 2 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiu":
        raise UserError(
            f"{entry}: is {values.dtype} of shape {shape}; a prediction is one number per pixel, (height, width)"
        )
    numbers: NDArray[np.float32] = np.array(values, np.float32, order="C")  # a copy: a stack is mapped, read-only
    digest = blake2b(f"{numbers.shape}".encode(), digest_size=16)
    digest.update(numbers.data)
    return Stored(numbers, str(values.dtype), digest.digest())


def _read_array(path: Path, key: str | None) -> NDArray[Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; mend that or leave it out") from error
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = loaded.files
            if key is None and len(names) == 1:
                key = names[0]
            if key is not None and key in names:
                return np.asarray(loaded[key])
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path}: cannot be read as {path.suffix} ({error}); replace the file or leave it out"
        ) from error
    wanted = "several arrays" if key is None else f"no array '{key}'"
    raise UserError(f"{path}: holds {wanted}; it has {', '.join(names) or 'none'}; name one of them as the key")


def _read_image(path: Path) -> NDArray[Any]:
    with open_image(path) as image:
        if image.mode not in _MODES:
            raise UserError(
                f"{path}: is a picture of mode {image.mode}, not one number per pixel: depth in colours cannot be read "
                "back; store 16-bit grey PNG, or float32 .npy"
            )
        return np.asarray(image)


def _read_exr(path: Path) -> NDArray[Any]:
    """Read the first channel among Z, Y and R of an OpenEXR file, or its only one."""
    try:
        import OpenEXR
    except ImportError as error:
        raise UserError(f"{path}: OpenEXR is not installed; `pip install 'cliffkit[exr]'`") from error
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    except Exception as error:  # the library raises plain exceptions of its own
        raise UserError(f"{path}: cannot be read as OpenEXR ({error}); replace the file or leave it out") from error
    names = [name for name in ("Z", "Y", "R", *channels) if name in channels]
    return channels[names[0]]
