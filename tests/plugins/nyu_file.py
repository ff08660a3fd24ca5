"""Make a tiny `nyu_depth_v2_labeled.mat` and `splits.mat` with the published layout, by h5py and scipy alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

SCENES = ("bath_1", "bath_1", "den_1", "den_2", "hall_1", "hall_1", "hall_2", "office_1", "office_2", "office_2")
TYPES = tuple(scene.split("_")[0] for scene in SCENES)
TRAIN = (1, 2, 3, 4, 5, 6, 8)
TEST = (7, 9, 10)
HEIGHT, WIDTH = 6, 8


def pictures(count: int = len(SCENES)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N, H, W, 3), filled and raw depth (N, H, W), every pixel telling its image, row and column.

    Raw depth has a hole at row 1, column 2.
    """
    n, row, column = np.ogrid[:count, :HEIGHT, :WIDTH]
    red, green, blue = n * 20 + 0 * row + 0 * column, row * 10 + 0 * n + 0 * column, column * 10 + 0 * n + 0 * row
    filled = (1 + n / 4 + row / 64 + column / 1024).astype(np.float32)
    raw = filled.copy()
    raw[:, 1, 2] = 0
    return np.stack([red, green, blue], axis=-1).astype(np.uint8), filled, raw


def strings(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    """An (N, 1) cell array of strings, as MATLAB stores one."""
    references = file.create_dataset(name, (1, len(texts)), dtype=h5py.ref_dtype)
    references.attrs["MATLAB_class"] = np.bytes_("cell")
    for i, text in enumerate(texts):
        codes = (
            np.array([[code] for code in np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")], np.uint16)
            if text
            else np.zeros(2, np.uint64)
        )
        cell = file.create_dataset(f"#refs#/{name}{i}", data=codes)
        cell.attrs["MATLAB_class"] = np.bytes_("char")
        if not text:
            cell.attrs["MATLAB_empty"] = np.uint8(1)
        references[0, i] = cell.ref


def write_labeled(path: Path, scenes: Sequence[str] = SCENES, types: Sequence[str] = TYPES, chunk: int = 4) -> None:
    """The MATLAB v7.3 file: axes reversed, chunks of `chunk` images (0: stored in one piece), gzip."""
    images, filled, raw = pictures(len(scenes))
    stored = {
        "images": images.transpose(0, 3, 2, 1),
        "depths": filled.transpose(0, 2, 1),
        "rawDepths": raw.transpose(0, 2, 1),
    }
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, data in stored.items():
            how: dict[str, Any] = {"chunks": (chunk, *data.shape[1:-1], 3), "compression": 1} if chunk else {}
            file.create_dataset(name, data=data, **how)
        strings(file, "scenes", scenes)
        strings(file, "sceneTypes", types)
    with path.open("r+b") as out:
        out.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")


def write_splits(path: Path, train: Sequence[float] = TRAIN, test: Sequence[float] = TEST, dtype: Any = "u2") -> None:
    """The MATLAB v5 file of one-based columns."""
    columns = {"trainNdxs": train, "testNdxs": test}
    scipy.io.savemat(path, {name: np.array(list, dtype).reshape(-1, 1) for name, list in columns.items()})


def write_nyu(folder: Path, **labeled: Any) -> Path:
    """Both files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_labeled(folder / "nyu_depth_v2_labeled.mat", **labeled)
    write_splits(folder / "splits.mat")
    return folder
