"""What the two files of the labelled NYU-Depth V2 set must look like, and what to say where they do not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit_datasets.mat5 import read_arrays

LABELED = "nyu_depth_v2_labeled.mat"
SPLITS_FILE = "splits.mat"
PUBLISHED = "the NYU-Depth V2 authors' page"
LONGEST_STRING = 1000
"""Characters; published names have some 30."""
AGAIN = f"download it again from {PUBLISHED}"


def find(root: Path | None) -> tuple[Path, Path]:
    """Find the two files in a folder."""
    if root is None:
        raise UserError(
            f"nyu: no folder given; say --data nyu=DIR or set CLIFFKIT_DATA_NYU, where DIR holds {LABELED} and "
            f"{SPLITS_FILE} from {PUBLISHED}"
        )
    for name in (LABELED, SPLITS_FILE):
        if not (root / name).is_file():
            raise UserError(
                f"{root / name}: there is no such file; put it there, or name the folder that holds {LABELED} "
                f"and {SPLITS_FILE}, both from {PUBLISHED}"
            )
    return root / LABELED, root / SPLITS_FILE


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open the HDF5 file at `path`, or raise a UserError that says what lies there instead.

    Whatever a damaged file provokes in the body of the `with` becomes a UserError too.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(_why_unopened(path, error)) from error
    try:
        with file:
            yield file
    except UserError:
        raise
    except Exception as error:  # of h5py, which names no set of them
        raise UserError(f"{path}: is damaged ({error or type(error).__name__}); {AGAIN}") from error


def _why_unopened(path: Path, error: OSError) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(128)
    except OSError as unreadable:
        return f"{path}: cannot be read ({unreadable.strerror}); mend its permissions"
    if head.startswith(b"MATLAB 5"):
        return f"{path}: is a MATLAB v5 file, where MATLAB v7.3 (HDF5) is published; {AGAIN}"
    if "truncated" in str(error) or head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        return f"{path}: is truncated or damaged at {path.stat().st_size} bytes ({error}); {AGAIN}"
    return f"{path}: is no MATLAB v7.3 (HDF5) file; {AGAIN}"


def _variable(path: Path, file: Any, name: str) -> Any:
    """Find an array of the file that is stored in the file itself, whole: no link is followed."""
    names = list(file)  # `in file` would follow links
    if name not in names:
        there = ", ".join(sorted(key for key in names if not key.startswith("#"))) or "nothing"
        raise UserError(f"{path}: {name}: there is no such variable, only {there}; take {LABELED} as published")
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise UserError(f"{path}: {name}: is a link, which is never followed; take {LABELED} as published")
    if not isinstance(file[name], h5py.Dataset):
        raise UserError(f"{path}: {name}: is a struct or sparse array, not an array; take {LABELED} as published")
    _check_stored(path, name, file[name])
    return file[name]


def _check_stored(path: Path, name: str, data: Any) -> None:
    """Raise UserError for an array whose values lie in other files, or not in this file."""
    if data.is_virtual or data.external:
        raise UserError(f"{path}: {name}: its values lie in other files, which are never opened; {AGAIN}")
    if data.chunks is None:
        whole = data.id.get_storage_size() == data.nbytes
    else:
        counts = (-(-side // chunk) for side, chunk in zip(data.shape, data.chunks, strict=True))
        whole = data.id.get_num_chunks() == math.prod(counts)
    if not whole:
        raise UserError(f"{path}: {name}: some of its values are not in the file; it is damaged: {AGAIN}")


def check_arrays(path: Path, file: Any, depths_name: str) -> int:
    """Count the images, or raise a UserError where images and depths are not laid out as published."""
    images = _variable(path, file, "images")
    depths = _variable(path, file, depths_name)
    layout = f"published are images (N, 3, W, H) and {depths_name} (N, W, H); take {LABELED} as published, not repacked"
    for data, dtype in ((images, "uint8"), (depths, "float32")):
        if data.dtype != np.dtype(dtype):
            raise UserError(f"{path}: {data.name[1:]}: is {data.dtype}, where {dtype} is published; {AGAIN}")
    if images.ndim != 4 or images.shape[1] != 3:
        order = ", the colours last" if images.ndim == 4 and images.shape[-1] == 3 else ""
        raise UserError(f"{path}: images: has shape {images.shape}{order}; {layout}")
    count, _, width, height = images.shape
    if width < height:
        raise UserError(f"{path}: images: has shape {images.shape}, width and height swapped; {layout}")
    if depths.shape == (count, height, width) and width != height:
        raise UserError(f"{path}: {depths_name}: has shape {depths.shape}, width and height swapped; {layout}")
    if depths.ndim != 3 or depths.shape[1:] != (width, height):
        raise UserError(f"{path}: {depths_name}: has shape {depths.shape} beside images {images.shape}; {layout}")
    if depths.shape[0] != count:
        raise UserError(f"{path}: {depths_name}: holds {depths.shape[0]} images, images {count}; {AGAIN}")
    return int(count)


def read_strings(path: Path, file: Any, name: str, count: int) -> list[str]:
    """Read a cell array of `count` strings."""
    cells = _variable(path, file, name)
    if h5py.check_ref_dtype(cells.dtype) is not h5py.Reference:
        raise UserError(f"{path}: {name}: is {cells.dtype}, where a cell array of strings is published; {AGAIN}")
    if cells.size != count:
        raise UserError(f"{path}: {name}: holds {cells.size} strings for {count} images; {AGAIN}")
    return [_string(path, file, name, place, cell) for place, cell in enumerate(cells[()].ravel(), start=1)]


def _string(path: Path, file: Any, name: str, place: int, reference: Any) -> str:
    """Read a string of a cell array: UTF-16 codes, as MATLAB has them. Raises UserError where there is none."""
    try:
        cell = file[reference]
        if cell.attrs.get("MATLAB_empty", 0):  # stored as its size
            return ""
        if cell.dtype.kind != "u" or cell.shape != (cell.size, 1) or cell.size > LONGEST_STRING:
            raise ValueError(f"{cell.dtype} of shape {cell.shape}")
        _check_stored(path, name, cell)
        text: str = cell[()].astype("<u2", casting="safe").tobytes().decode("utf-16-le")
    except UserError:
        raise
    except Exception as error:  # of h5py, which names no set of them
        raise UserError(
            f"{path}: {name}: the string of image {place} cannot be read ({error}); each is a reference to (n, 1) "
            f"character codes; {AGAIN}"
        ) from error
    if not text.isprintable():
        raise UserError(
            f"{path}: {name}: the string of image {place}, {text!a}, has characters that no name has; {AGAIN}"
        )
    return text


def read_lists(path: Path, count: int) -> tuple[list[int], list[int]]:
    """Read training and test images, each a list of one-based indices, ascending; the two share none."""
    try:
        with path.open("rb") as file:
            hdf5 = b"MATLAB 7.3" in file.read(16)
        content = {} if hdf5 else read_arrays(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a MATLAB v5 file ({error}); {AGAIN}") from error
    if hdf5:
        raise UserError(f"{path}: is a MATLAB v7.3 file, where MATLAB v5 is published; {AGAIN}")
    train, test = (_indices(path, content, name, count) for name in ("trainNdxs", "testNdxs"))
    if shared := sorted(set(train) & set(test)):
        raise UserError(f"{path}: trainNdxs and testNdxs share {len(shared)} images, {first(shared)}; {AGAIN}")
    return train, test


def _indices(path: Path, content: dict[str, NDArray[Any] | None], name: str, count: int) -> list[int]:
    """Read a list of one-based indices, ascending."""
    if name not in content:
        there = ", ".join(content) or "nothing"
        raise UserError(f"{path}: {name}: there is no such variable, only {there}; {AGAIN}")
    values = content[name]
    if values is None:
        raise UserError(f"{path}: {name}: is no list of numbers; {AGAIN}")
    if not values.size:
        raise UserError(f"{path}: {name}: is empty; {AGAIN}")
    if values.size != max(values.shape):
        raise UserError(f"{path}: {name}: is a matrix of shape {values.shape}, not a list; {AGAIN}")
    if np.any(values != np.floor(values)):
        raise UserError(f"{path}: {name}: holds fractions where images are counted; {AGAIN}")
    if values.min() == 0:
        raise UserError(f"{path}: {name}: holds index 0: zero-based? As published it counts from 1; add 1, or {AGAIN}")
    if values.min() < 1 or values.max() > count:
        wrong = values.min() if values.min() < 1 else values.max()
        raise UserError(f"{path}: {name}: holds index {wrong:.0f}, but {LABELED} beside it has {count} images; {AGAIN}")
    indices = sorted(values.ravel().astype(int).tolist())
    if doubles := [i for i, times in Counter(indices).items() if times > 1]:
        raise UserError(f"{path}: {name}: holds {len(doubles)} images twice, {first(doubles)}; {AGAIN}")
    return indices


def first(things: Sequence[object]) -> str:
    """Write out the first three of a list, for a message."""
    return ", ".join(map(str, things[:3])) + (", ..." if len(things) > 3 else "")
