"""Point clouds: depth and its image as points in space, in a binary .ply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.ExifTags import IFD, Base
from torch import Tensor

from cliffkit import cameras
from cliffkit.errors import UserError
from cliffkit.images import open_image, size_of

Floats = NDArray[np.floating[Any]]

HEAD = b"ply\nformat binary_little_endian 1.0\ncomment cliffkit\n"
"""Every file that is written here begins with it."""

AXES, COLOURS = ("x", "y", "z"), ("red", "green", "blue")
VERTEX = np.dtype([(axis, "<f4") for axis in AXES] + [(colour, "u1") for colour in COLOURS])

FILM_DIAGONAL_MM = math.hypot(36, 24)


@dataclass(frozen=True)
class Cloud:
    """How images become points: the camera that took them, and which of their pixels are kept."""

    camera: tuple[float, float, float, float] | None
    """fx, fy, cx, cy of all images, in pixels from the top left corner; None where `fov_degrees` is given."""
    fov_degrees: float | None
    """Angle from an image's left edge to its right edge, with square pixels and the centre in the middle."""
    stride: int
    """Every how manieth row and column is kept."""

    def of(self, size: tuple[int, int], place: str) -> Tensor:
        """Give the camera of an image of `size` (height, width), (1, 4).

        Raises UserError, which begins with `place`, where the camera's centre lies outside of the image.
        """
        if self.camera is None:
            assert self.fov_degrees is not None
            return cameras.complete(None, size, 1, self.fov_degrees)
        cx, cy = self.camera[2:]
        height, width = size
        if not (0 <= cx <= width and 0 <= cy <= height):
            raise UserError(
                f"{place}: has {width}x{height} pixels, and the camera's centre (cx, cy) = ({cx:g}, {cy:g}) lies "
                "outside of it; is the camera of another size? Scale fx and cx by the width, fy and cy by the height"
            )
        return torch.tensor([self.camera])


def make_cloud(
    points: bool, camera: Sequence[float] | None, fov: float | None, stride: int, images: Sequence[Path]
) -> Cloud | None:
    """Check what is said of point clouds; None where none are wanted.

    Raises UserError where the camera is missing, said twice or impossible, or does not fit images of several sizes.
    """
    if not points:
        if camera is not None or fov is not None or stride != 1:
            raise UserError("camera, fov and stride say how point clouds are made; add --points, or leave them out")
        return None
    if (camera is None) == (fov is None):
        raise UserError(_no_camera(images) if camera is None else "--camera and --fov both name the camera; give one")
    if stride < 1:
        raise UserError(f"--stride {stride}: write 1 for every pixel, 2 for every second row and column")
    if fov is not None and not 0 < fov < 180:
        raise UserError(f"--fov {fov:g}: a camera sees more than 0 and less than 180 degrees from left to right")
    if camera is None:
        return Cloud(None, fov, stride)
    if len(camera) != 4 or not all(map(math.isfinite, camera)) or min(camera[:2]) <= 0:
        raise UserError(
            f"--camera {','.join(f'{value:g}' for value in camera)}: write fx,fy,cx,cy in pixels, fx and fy above 0"
        )
    fx, fy, cx, cy = map(float, camera)
    cloud = Cloud((fx, fy, cx, cy), None, stride)
    _check_sizes(images, cloud)
    return cloud


def _check_sizes(images: Sequence[Path], cloud: Cloud) -> None:
    """Raise UserError where images differ in size, or are not of the camera's: it cannot have taken them all."""
    sizes: dict[tuple[int, int], Path] = {}
    for path in images:
        with open_image(path) as image:
            sizes.setdefault(size_of(image), path)
        if len(sizes) > 1:
            (one, first), (other, second) = ((path, "x".join(map(str, size))) for size, path in sizes.items())
            raise UserError(
                f"{one} has {first} pixels and {other} has {second}, and --camera is of one size; predict them apart, "
                "or give --fov"
            )
    for (width, height), path in sizes.items():
        cloud.of((height, width), str(path))


def _no_camera(images: Sequence[Path]) -> str:
    """Say what a point cloud needs, and what the first image's EXIF says of its lens: nothing is assumed."""
    said = _exif_fov(images[0]) if images else ""
    return (
        "a point cloud needs the camera; give --camera fx,fy,cx,cy (pixels of the image, counted from its top left "
        f"corner) or --fov DEGREES (from the left edge of the image to the right edge){said}"
    )


def _exif_fov(path: Path) -> str:
    with open_image(path) as image:
        film_mm = image.getexif().get_ifd(IFD.Exif).get(Base.FocalLengthIn35mmFilm)
        width, height = size_of(image)
    if not isinstance(film_mm, int | float) or not film_mm > 0:
        return ""
    across_mm = FILM_DIAGONAL_MM * width / math.hypot(width, height)
    fov = 2 * math.degrees(math.atan(across_mm / 2 / film_mm))
    return f"; the EXIF data of {path} say {film_mm:g} mm as on 35 mm film, which is about --fov {fov:.0f}"


def write_ply(path: Path, image: NDArray[np.uint8], depth_m: Floats, cloud: Cloud) -> None:
    """Write the points of all pixels that have depth: x, y, z in float32 metres, and the image's colours.

    x is right, y down and z forward of the camera. `image` is (H, W, 3) RGB, `depth_m` (H, W).
    """
    height, width = depth_m.shape
    camera = cloud.of((height, width), str(path))
    depth = torch.from_numpy(np.ascontiguousarray(depth_m, np.float32))[None, None]
    space = cameras.points(depth, camera)[0].permute(1, 2, 0).numpy()[:: cloud.stride, :: cloud.stride]
    valid = np.isfinite(space).all(axis=2) & (space[..., 2] > 0)
    vertices = np.empty(np.count_nonzero(valid), VERTEX)
    for axis, values in zip(AXES, space[valid].T, strict=True):
        vertices[axis] = values
    for colour, shades in zip(COLOURS, image[:: cloud.stride, :: cloud.stride][valid].T, strict=True):
        vertices[colour] = shades
    header = [
        "comment metres; x right, y down, z forward of the camera",
        f"comment camera fx fy cx cy: {' '.join(f'{value:.9g}' for value in camera[0].tolist())} pixels",
        f"comment image {width}x{height}, its top left corner at 0 0; stride {cloud.stride}",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in AXES),
        *(f"property uchar {colour}" for colour in COLOURS),
        "end_header\n",
    ]
    with path.open("wb") as file:
        file.write(HEAD + "\n".join(header).encode("ascii"))
        vertices.tofile(file)


def is_cloud(path: Path) -> bool:
    """Say whether a file was written by `write_ply`. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return file.read(len(HEAD)) == HEAD
