"""Hypersim: rendered rooms, with distance to the camera's centre, which is not depth.

Source of the layout and of the published split: Roberts et al., "Hypersim", ICCV 2021, and its repository.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit_datasets.files import known, named_folder, read_hdf5
from cliffkit_datasets.listed import Frame, Listed

SPLIT_FILE = "metadata_images_split_scene_v1.csv"
CAMERAS_FILE = "metadata_camera_parameters.csv"
FOLDERS = ("", "metadata", "evermotion_dataset/analysis", "contrib/mikeroberts3000/metadata")
HOLDS = f"folders SCENE/images/, {SPLIT_FILE} and, for cameras of each scene, {CAMERAS_FILE}"
FOCAL_PX, WIDTH = 886.81, 1024
"""Focal length of nearly all scenes at the published width, pixels: 60 degrees across."""


@final
class Hypersim(Listed):
    """Hypersim by its published split, with planar depth: that of the axis, as every other data set has it.

    The files hold the distance to the camera's centre. It is turned into depth by the rays of the scene's camera, tilt
    and shift included, from `metadata_camera_parameters.csv`, or by a focal length of 886.81 pixels where that file is
    missing. Rays go through pixels at their centres. Depth is invalid where it is NaN.

    Frames of the list whose files are not in the folder are left out and counted: most people hold a part.

    Raises UserError for a missing or damaged list, and where no frame of it is there.
    """

    layout = "hypersim"
    limit_m = 10_000.0

    def __init__(self, split: str, root: Path | None) -> None:
        super().__init__(split, named_folder(self.layout, root, HOLDS))
        rows = [row for row in self._rows(SPLIT_FILE) if row["included_in_public_release"] == "True"]
        self._from_uv = {row["scene_name"]: _from_uv(row) for row in self._rows(CAMERAS_FILE, needed=False)}
        frames: dict[str, list[Frame]] = {"train": [], "val": [], "test": []}
        absent = 0
        for row in rows:
            frame = _frame(row)
            if all((self._root / path).is_file() for path in frame.files):
                frames[row["split_partition_name"]].append(frame)
            else:
                absent += row["split_partition_name"] == split
        self.deal(frames)
        self._notes.append("the files hold distance to the camera's centre: it is turned into planar depth by the rays")
        if absent:
            self._notes.append(f"{absent} images of the published split are not in the folder: left out")
        if not self._from_uv:
            self._notes.append(
                f"{CAMERAS_FILE} is missing: every camera is taken for one of 60 degrees, which some are not"
            )

    def _rows(self, name: str, needed: bool = True) -> list[dict[str, str]]:
        """Read a table, from wherever it lies; empty where it is missing and not needed."""
        path = next((self._root / folder / name for folder in FOLDERS if (self._root / folder / name).is_file()), None)
        if path is None:
            if not needed:
                return []
            raise UserError(f"{self._root}: there is no {name} in it; copy it there from the repository of Hypersim")
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = ("scene_name",) + (("camera_name", "frame_id", "split_partition_name") if needed else _UV)
        if not rows or any(column not in rows[0] for column in columns):
            raise UserError(f"{path}: has not the columns {', '.join(columns)}; copy it again")
        return rows

    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read the tone-mapped image, and depth from distance."""
        (distance,) = read_hdf5(self._root / frame.files[1], self.place(frame, 1), "dataset")
        height, width = distance.shape
        u = (2 * np.arange(width) + 1) / width - 1
        v = 1 - (2 * np.arange(height)[:, None] + 1) / height
        x, y, z = (row[0] * u + row[1] * v + row[2] for row in self._matrix(frame, height, width))
        return self.read_image(frame), known(distance * np.abs(z) / np.sqrt(x**2 + y**2 + z**2))

    def camera(self, frame: Frame, size: tuple[int, int]) -> Sequence[float] | None:
        """Give the camera of the scene; None where it is tilted: no pinhole looks straight through that image."""
        m, (height, width) = self._matrix(frame, *size), size
        if m[0, 1] or m[1, 0] or m[2, 0] or m[2, 1] or m[2, 2] >= 0:
            return None
        right, up, ahead = m[0, 0], m[1, 1], -m[2, 2]
        centre = (width / 2 * (1 - m[0, 2] / right), height / 2 * (1 + m[1, 2] / up))
        return width / 2 * ahead / right, height / 2 * ahead / up, *centre

    def _matrix(self, frame: Frame, height: int, width: int) -> NDArray[np.float64]:
        """Give the matrix from places of the image, from -1 to 1, to rays: right, up, backward."""
        if frame.scene in self._from_uv:
            return self._from_uv[frame.scene]
        if self._from_uv:
            raise UserError(f"{self._root}: {CAMERAS_FILE} has no line of {frame.scene}; copy it again")
        across = WIDTH / 2 / FOCAL_PX
        return np.diag([across, across * height / width, -1.0])

    def facts(self) -> Sequence[object]:
        """Give the rays of every scene of the split."""
        scenes = sorted({frame.scene for frame in self._frames})
        return [(scene, self._from_uv[scene].tolist()) for scene in scenes if scene in self._from_uv]


_UV = tuple(f"M_cam_from_uv_{row}{column}" for row in range(3) for column in range(3))


def _from_uv(row: dict[str, str]) -> NDArray[np.float64]:
    return np.array([float(row[column]) for column in _UV]).reshape(3, 3)


def _frame(row: dict[str, str]) -> Frame:
    scene, camera, number = row["scene_name"], row["camera_name"], int(row["frame_id"])
    images, frame = f"{scene}/images/scene_{camera}", f"frame.{number:04d}"
    files = (f"{images}_final_preview/{frame}.tonemap.jpg", f"{images}_geometry_hdf5/{frame}.depth_meters.hdf5")
    return Frame(f"{scene}/{camera}/{frame}", files, scene)
