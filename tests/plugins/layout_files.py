"""Make tiny folders in the layouts of public data sets, by NumPy, Pillow and h5py alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 6, 8


def picture(i: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(H, W, 3) uint8, of one colour, which JPEG keeps nearly."""
    return np.full((height, width, 3), (10 * i % 250, 100, 200 - i), np.uint8)


def depth_of(i: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(H, W) float64 metres, every pixel another, a hole at row 1, column 2."""
    row, column = np.mgrid[:height, :width]
    depth = 1 + i / 4 + row / 8 + column / 64
    depth[1, 2] = 0
    return depth


def save(path: Path, array: np.ndarray) -> Path:
    """An image file, of 8 or 16 bits by the array's type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


NYU_TRAIN = ("kitchen_0028a", "kitchen_0028b", "office_0003", "nyu_office_1", "bath_0001", "bath_0002a")
NYU_TEST = ("kitchen/rgb_00000", "bathroom/rgb_00045")


def write_nyu_sync(root: Path) -> Path:
    """The folders and lists of BTS: two images of each training scene, paths of the training list with a leading /."""
    lines = []
    for i, scene in enumerate(scene for scene in NYU_TRAIN for _ in range(2)):
        image, depth = f"{scene}/rgb_{i:05d}.jpg", f"{scene}/sync_depth_{i:05d}.png"
        save(root / "sync" / image, picture(i))
        save(root / "sync" / depth, np.rint(depth_of(i) * 1000).astype(np.uint16))
        lines.append(f"/{image} /{depth} 518.8579")
    write_lines(root / "train_test_inputs/nyudepthv2_train_files_with_gt.txt", lines)
    lines = []
    for i, name in enumerate(NYU_TEST):
        depth = name.replace("rgb", "sync_depth")
        filled = np.maximum(depth_of(i), 1)
        save(root / f"official_splits/test/{name}.jpg", picture(i))
        save(root / f"official_splits/test/{depth}.png", np.rint(filled * 1000).astype(np.uint16))
        lines.append(f"{name}.jpg {depth}.png 518.8579")
    write_lines(root / "train_test_inputs/nyudepthv2_test_files_with_gt.txt", lines)
    return root


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


DRIVES = ("2011_09_26_drive_0001_sync", "2011_09_28_drive_0002_sync", "2011_10_03_drive_0034_sync")
TEST_DRIVE = "2011_09_26_drive_0009_sync"
SIZES = {"2011_09_26": (10, 30), "2011_09_28": (9, 31), "2011_10_03": (10, 30)}
FOCAL, CENTRE = 12.0, (14.5, 4.5)


def scan_of(i: int) -> np.ndarray:
    """(N, 4) float32: points ahead of the scanner, which looks along x, with y to the left and z up, and two behind."""
    forward = np.linspace(4, 20 + i, 25)
    left, up = np.linspace(-3, 3, 25), np.linspace(-1, 1, 25)
    behind = np.array([[-5, 0, 0, 0.5], [-1, 1, 0, 0.5]])
    return np.concatenate([np.stack([forward, left, up, np.ones(25)], 1), behind]).astype(np.float32)


def sparse_depth(i: int, height: int, width: int) -> np.ndarray:
    """(H, W) uint16, metres times 256, one pixel of five known."""
    row, column = np.mgrid[:height, :width]
    return np.where((row * 3 + column) % 5 == 0, (5 + i + row + column) * 256, 0).astype(np.uint16)


def write_kitti(root: Path, merged: bool = True, style: str = "bts") -> Path:
    """Raw drives, improved truth (merged, or in train/ and val/ as published), and lists of BTS or monodepth2.

    The first of four test frames has no improved truth. Frames lie 5 apart.
    """
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for d, drive in enumerate((*DRIVES, TEST_DRIVE)):
        date, half = drive[:10], "test" if drive == TEST_DRIVE else "train"
        write_calibration(root / date)
        for i in range(4):
            size, frame = SIZES[date], 5 * i
            save(root / date / drive / f"image_02/data/{frame:010d}.png", picture(10 * d + i, *size))
            scan = root / date / drive / f"velodyne_points/data/{frame:010d}.bin"
            scan.parent.mkdir(parents=True, exist_ok=True)
            scan.write_bytes(scan_of(10 * d + i).tobytes())
            truth = f"{drive}/proj_depth/groundtruth/image_02/{frame:010d}.png"
            missing = half == "test" and i == 0
            where = "" if merged else ("val/" if d == 1 else "train/")
            if not missing:
                save(root / "data_depth_annotated" / where / truth, sparse_depth(10 * d + i, *size))
            image = f"{date}/{drive}/image_02/data/{frame:010d}.png"
            if style == "bts":
                lists[half].append(f"{image} {'None' if missing else truth} 721.5377")
            else:
                lists[half].append(f"{date}/{drive} {frame if half == 'train' else f'{frame:010d}'} l")
    for half, lines in lists.items():
        bts = root / f"eigen_{half}_files_with_gt.txt"
        write_lines(
            bts if style == "bts" else root / f"splits/eigen{'_zhou' * (half == 'train')}/{half}_files.txt", lines
        )
    return root


def write_calibration(folder: Path) -> None:
    """The two files of a date: the scanner's axes turned to the camera's and moved by (0.1, 0.2, -0.3) m."""
    projection = f"{FOCAL} 0 {CENTRE[0]} 0.5 0 {FOCAL} {CENTRE[1]} 0 0 0 1 0"
    write_lines(
        folder / "calib_cam_to_cam.txt",
        ["calib_time: 09-Jan-2012 13:57:47", "R_rect_00: 1 0 0 0 1 0 0 0 1", "S_rect_02: 30 10"]
        + [f"P_rect_0{camera}: {projection}" for camera in (2, 3)],
    )
    write_lines(folder / "calib_velo_to_cam.txt", ["R: 0 -1 0 0 0 -1 1 0 0", "T: 0.1 0.2 -0.3"])
