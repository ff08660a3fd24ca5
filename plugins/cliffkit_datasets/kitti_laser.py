"""KITTI's laser scans, projected into a camera: the raw truth of Eigen's split.

Source of frames and matrices: Geiger et al., "Vision meets Robotics: The KITTI Dataset", 2013, section III: a point x
of the scanner appears at P_rect R_rect_00 (R x + T), its depth is the third coordinate.

The raw truth of published scores is another: monodepth, SfMLearner and monodepth2 call their `generate_depth_map` with
`vel_depth=True`, which gives the point's own forward coordinate in the frame of the scanner. The scanner stands 0.27 m
behind the cameras, so that is some 0.27 m more than the depth ahead of the camera.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError

CAMERAS = "calib_cam_to_cam.txt"
SCANNER = "calib_velo_to_cam.txt"


class Calibration(NamedTuple):
    """What the calibration of a date says of its colour cameras and scanner."""

    projections: dict[int, NDArray[np.float64]]
    """P_rect of camera 2 and 3, (3, 4)."""
    rectified: NDArray[np.float64] | None
    """(4, 4) from the scanner to rectified camera 0; None where the file of the scanner is missing."""

    def as_text(self) -> str:
        """Write every number, for a fingerprint."""
        scanner = None if self.rectified is None else self.rectified.tolist()
        return repr(({number: p.tolist() for number, p in self.projections.items()}, scanner))


def read_calibration(folder: Path) -> Calibration | None:
    """Read the two files of a date; None where that of the cameras is missing. Raises UserError for a damaged file."""
    if not (folder / CAMERAS).is_file():
        return None
    cameras = _numbers(folder / CAMERAS)
    projections = {number: _matrix(folder / CAMERAS, cameras, f"P_rect_0{number}", (3, 4)) for number in (2, 3)}
    if not (folder / SCANNER).is_file():
        return Calibration(projections, None)

    scanner = _numbers(folder / SCANNER)
    moved, turned = np.eye(4), np.eye(4)
    moved[:3, :3] = _matrix(folder / SCANNER, scanner, "R", (3, 3))
    moved[:3, 3:] = _matrix(folder / SCANNER, scanner, "T", (3, 1))
    turned[:3, :3] = _matrix(folder / CAMERAS, cameras, "R_rect_00", (3, 3))
    return Calibration(projections, turned @ moved)


def project(path: Path, calibration: Calibration, camera: int, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Project a scan into an image of (height, width): metres ahead of the scanner, 0 where no point falls.

    The value is the scanner's forward coordinate, as in published scores, not the depth ahead of the camera. A point
    counts for the pixel to which the development kit rounds it, the smallest value of a pixel for that pixel, and
    points behind the scanner or the camera for none. Raises UserError for a damaged scan.
    """
    if calibration.rectified is None:
        raise UserError(f"{path}: cannot be projected without {SCANNER} in the folder of its date; put it there")
    values = np.fromfile(path, "<f4")
    if not values.size or values.size % 4:
        raise UserError(f"{path}: is no scan, of four numbers a point; take it as published")
    points = values.reshape(-1, 4).astype(np.float64)
    points = points[points[:, 0] >= 0]
    forward = points[:, 0]
    points[:, 3] = 1
    x, y, depth = calibration.projections[camera] @ calibration.rectified @ points.T

    ahead = depth > 0
    depth, forward = depth[ahead], forward[ahead]
    # The kit counts pixels from one.
    column = np.rint(x[ahead] / depth).astype(np.int64) - 1
    row = np.rint(y[ahead] / depth).astype(np.int64) - 1
    height, width = size[:2]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    smallest = np.full((height, width), np.inf)
    np.minimum.at(smallest, (row[inside], column[inside]), forward[inside])
    return np.where(np.isfinite(smallest), smallest, 0).astype(np.float32)


def _numbers(path: Path) -> dict[str, list[float]]:
    """Read lines `name: number number ...`; lines of words, as the date's, are passed over."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(":")
        try:
            found[name.strip()] = [float(word) for word in rest.split()]
        except ValueError:
            continue
    return found


def _matrix(path: Path, found: dict[str, list[float]], name: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    if len(found.get(name, ())) != shape[0] * shape[1]:
        raise UserError(
            f"{path}: {name} is missing or has not {shape[0] * shape[1]} numbers; take the file as published"
        )
    return np.array(found[name]).reshape(shape)
