"""Point clouds, read back by trimesh: planes are flat, axes and colours are right, and no camera is made up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from PIL import Image

from cliffkit.errors import UserError
from cliffkit.prediction.points import Cloud, make_cloud, write_ply

CAMERA = (50.0, 40.0, 16.0, 12.0)


def cloud_of(
    path: Path, image: NDArray[np.uint8], depth_m: Any, cloud: Cloud
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Points and colours of a depth map, written here and read by trimesh."""
    write_ply(path, image, np.asarray(depth_m, np.float32), cloud)
    read = trimesh.load(path)
    assert isinstance(read, trimesh.PointCloud)
    return np.asarray(read.vertices), np.asarray(read.colors)[:, :3]


def grey(height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 90, np.uint8)


def test_a_slanted_plane_is_flat_and_where_it_is(tmp_path: Path) -> None:
    """The floor 1.5 m below the camera: in each row below the horizon depth is 1.5 m * fy / (row - cy)."""
    rows = np.arange(24)[:, None] + 0.5
    depth = np.where(rows > 12, 1.5 * 40 / np.maximum(rows - 12, 0.1), np.nan) + np.zeros((24, 32))
    points, _ = cloud_of(tmp_path / "a.ply", grey(), depth, Cloud(CAMERA, None, 1))
    assert len(points) == 12 * 32, "pixels without depth give no point"
    np.testing.assert_allclose(points[:, 1], 1.5, rtol=1e-6)
    assert points[:, 2].min() == pytest.approx(1.5 * 40 / 11.5)
    assert (points[:, 0].min(), points[:, 0].max()) == pytest.approx((-120 * 15.5 / 50, 120 * 15.5 / 50))


def test_x_is_right_y_down_and_z_forward_and_colours_are_the_pixels(tmp_path: Path) -> None:
    image = grey()
    image[0, 0], image[0, -1], image[-1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    points, colours = cloud_of(tmp_path / "a.ply", image, np.full((24, 32), 2.0), Cloud(CAMERA, None, 1))
    at = {tuple(colour): point for colour, point in zip(colours.tolist(), points.tolist(), strict=True)}
    assert at[255, 0, 0] == pytest.approx([2 * -15.5 / 50, 2 * -11.5 / 40, 2], rel=1e-6)
    assert at[0, 255, 0] == pytest.approx([2 * 15.5 / 50, 2 * -11.5 / 40, 2], rel=1e-6)
    assert at[0, 0, 255] == pytest.approx([2 * -15.5 / 50, 2 * 11.5 / 40, 2], rel=1e-6)


def test_a_field_of_view_spans_the_image_from_edge_to_edge(tmp_path: Path) -> None:
    points, _ = cloud_of(tmp_path / "a.ply", grey(2, 2000), np.ones((2, 2000)), Cloud(None, 90.0, 1))
    left, right = points[:, 0].min(), points[:, 0].max()
    assert (left, right) == pytest.approx((-0.9995, 0.9995)), "the centres of the outermost pixels"
    assert math.degrees(2 * math.atan(right * 2000 / 1999)) == pytest.approx(90)


def test_a_stride_keeps_every_nth_row_and_column_and_no_depth_that_is_none(tmp_path: Path) -> None:
    depth = np.ones((24, 32))
    depth[0, 0], depth[4, 4], depth[8, 8], depth[1, 1] = np.nan, 0, -1, np.inf
    points, _ = cloud_of(tmp_path / "a.ply", grey(), depth, Cloud(CAMERA, None, 4))
    assert len(points) == 6 * 8 - 3
    assert np.isfinite(points).all()


def photo(path: Path, size: tuple[int, int] = (32, 24), film_mm: int | None = None) -> Path:
    exif = Image.Exif()
    if film_mm:
        exif.get_ifd(0x8769)[0xA405] = film_mm
    Image.new("RGB", size).save(path, exif=exif)
    return path


def test_a_camera_that_is_not_named_is_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs the camera; give --camera fx,fy,cx,cy .* or --fov DEGREES [^;]*$"):
        make_cloud(True, None, None, 1, [photo(tmp_path / "a.jpg")])
    with pytest.raises(UserError, match=r"a\.jpg say 26 mm as on 35 mm film, which is about --fov 67"):
        make_cloud(True, None, None, 1, [photo(tmp_path / "a.jpg", film_mm=26)])


@pytest.mark.parametrize(
    ("camera", "fov", "stride", "message"),
    [
        (CAMERA, 60.0, 1, "both name the camera; give one"),
        (None, 180.0, 1, "--fov 180: a camera sees more than 0 and less than 180"),
        (None, 60.0, 0, "--stride 0: write 1"),
        ((50.0, 40.0, 16.0), None, 1, "--camera 50,40,16: write fx,fy,cx,cy"),
        ((-50.0, 40.0, 16.0, 12.0), None, 1, "fx and fy above 0"),
        ((500.0, 400.0, 320.0, 240.0), None, 1, r"a\.png: has 32x24 pixels, and the camera's centre .* outside of it"),
    ],
)
def test_an_impossible_camera_is_refused(
    tmp_path: Path, camera: tuple[float, ...] | None, fov: float | None, stride: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_cloud(True, camera, fov, stride, [photo(tmp_path / "a.png")])


def test_one_camera_is_of_one_size_of_images(tmp_path: Path) -> None:
    images = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png", (64, 48))]
    with pytest.raises(UserError, match=r"a\.png has 32x24 pixels and .*b\.png has 64x48, and --camera is of one size"):
        make_cloud(True, CAMERA, None, 1, images)
    assert make_cloud(True, None, 60.0, 2, images) == Cloud(None, 60.0, 2)


def test_a_camera_without_points_is_an_error() -> None:
    with pytest.raises(UserError, match="add --points"):
        make_cloud(False, CAMERA, None, 1, [])
    assert make_cloud(False, None, None, 1, []) is None
