"""Make tiny folders in the layouts of public data sets, by NumPy, Pillow and h5py alone."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
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


def save_turned(path: Path, array: np.ndarray, turn: int, behind: bool = False) -> None:
    """An image file with an EXIF orientation; with `behind`, of a PNG whose tag stands behind its pixels."""
    exif = Image.Exif()
    exif[0x0112] = turn
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, exif=exif)
    if behind:
        data, end = path.read_bytes(), b"\0\0\0\0IEND"
        start = data.index(b"eXIf") - 4
        stop = start + 12 + int.from_bytes(data[start : start + 4], "big")
        path.write_bytes((data[:start] + data[stop:]).replace(end, data[start:stop] + end))


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


def write_h5(root: Path) -> Path:
    """Two files of each training scene, and two official test files."""
    names = [f"train/{scene}/{i:05d}" for scene in NYU_TRAIN for i in (1, 61)]
    for i, name in enumerate([*names, "val/official/00001", "val/official/00002"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(root / f"{name}.h5", "w") as file:
            file["rgb"] = picture(i).transpose(2, 0, 1)
            file["depth"] = depth_of(i).astype(np.float32)
    return root


def write_diode(root: Path) -> Path:
    """Two scenes of each kind to train on and one to test on; where the mask is 0, depth is 300 m and wrong."""
    i = 0
    for half, scenes in (("train", ("scene_00000", "scene_00001")), ("val", ("scene_00019",))):
        for domain in ("indoors", "outdoor"):
            for scene in scenes:
                folder = root / half / domain / scene / "scan_00000"
                stem = folder / f"{i:05d}_{domain}_000_010"
                save(stem.with_suffix(".png"), picture(i))
                depth, mask = depth_of(i), depth_of(i) > 0
                np.save(f"{stem}_depth.npy", np.where(mask, depth, 300).astype(np.float32)[..., None])
                np.save(f"{stem}_depth_mask.npy", mask.astype(np.float64))
                i += 1
    return root


HYPERSIM = {"ai_001_001": "train", "ai_002_001": "val", "ai_003_001": "test"}
ACROSS = 512 / 886.81


def write_hypersim(root: Path, cameras: bool = True) -> Path:
    """A scene for each split: a wall at planar depth `depth_of`, seen through a camera of 60 degrees, or tilted."""
    rows, tables = [], []
    for i, (scene, split) in enumerate(HYPERSIM.items()):
        m = np.diag([ACROSS, ACROSS * HEIGHT / WIDTH, -1.0])
        if split == "test" and cameras:
            m[1, 2], m[2, 1] = 0.1, 0.2
        tables.append({"scene_name": scene, **{f"M_cam_from_uv_{r}{c}": m[r, c] for r in range(3) for c in range(3)}})
        for frame in (0, 7, 8):
            released = frame != 8
            rows.append(
                {
                    "scene_name": scene,
                    "camera_name": "cam_00",
                    "frame_id": frame,
                    "included_in_public_release": released,
                    "exclude_reason": "",
                    "split_partition_name": split if released else "",
                }
            )
            if not released:
                continue
            distance = np.full((HEIGHT, WIDTH), np.nan)
            for row in range(HEIGHT):
                for column in range(WIDTH):
                    place = np.array([(column + 0.5) / WIDTH * 2 - 1, 1 - (row + 0.5) / HEIGHT * 2, 1])
                    ray = m @ place
                    depth = depth_of(i)[row, column]
                    distance[row, column] = np.linalg.norm(ray * depth / abs(ray[2])) if depth else np.nan
            images = root / scene / "images"
            save(images / f"scene_cam_00_final_preview/frame.{frame:04d}.tonemap.jpg", picture(i + frame))
            folder = images / "scene_cam_00_geometry_hdf5"
            folder.mkdir(parents=True, exist_ok=True)
            with h5py.File(folder / f"frame.{frame:04d}.depth_meters.hdf5", "w") as file:
                file["dataset"] = distance.astype(np.float32)
    write_table(root / "metadata_images_split_scene_v1.csv", rows)
    if cameras:
        write_table(root / "metadata_camera_parameters.csv", tables)
    return root


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


VKITTI = ("Scene01", "Scene02", "Scene18", "Scene20")


def write_vkitti2(root: Path, apart: bool = False) -> Path:
    """Two variants of each scene; the first row is sky, the second lies beyond 80 m."""
    for i, scene in enumerate(VKITTI):
        for variant in ("clone", "fog"):
            frames = f"{scene}/{variant}/frames"
            depth = np.rint(depth_of(i) * 100).astype(np.uint16)
            depth[0], depth[1] = 65535, 9000
            save(root / ("vkitti_2.0.3_rgb" if apart else "") / frames / "rgb/Camera_0/rgb_00003.jpg", picture(i))
            save(root / ("vkitti_2.0.3_depth" if apart else "") / frames / "depth/Camera_0/depth_00003.png", depth)
    return root


SUN = (
    "kv1/NYUdata/NYU0001",
    "kv1/NYUdata/NYU0002",
    "kv2/kinect2data/000002",
    "xtion/sun3ddata/mit/a",
    "xtion/sun3ddata/mit/b",
)
SUN_TEST = "realsense/lg/2014"


def write_sunrgbd(root: Path) -> Path:
    """A folder for each image; depth in millimetres, its bits rotated by three to the left."""
    for i, folder in enumerate((*SUN, SUN_TEST)):
        mm = np.rint(depth_of(i) * 1000).astype(np.uint32)
        mm[0, 0] = 9000 if i else 12000
        rotated = ((mm << 3) | (mm >> 13)) & 0xFFFF
        base = root / "SUNRGBD" / folder
        save(base / f"image/{i}.jpg", picture(i))
        save(base / f"depth_bfx/{i}.png", rotated.astype(np.uint16))
        save(base / f"depth/{i}.png", np.where(mm > 2000, rotated, 0).astype(np.uint16))
        (base / "scene.txt").write_text("office\n" if i % 2 else "kitchen")
    number = len(SUN)
    test = f"SUNRGBD/{SUN_TEST}"
    write_lines(root / "SUNRGBD_val_splits.txt", [f"{test}/image/{number}.jpg {test}/depth/{number}.png"])
    return root


def write_ultralytics(root: Path) -> Path:
    """Three films to train on, one for val and one for test, depth as .npy or, in test, PNG of 500 units a metre."""
    films = (("train", "a"), ("train", "b"), ("train", "c"), ("val", "d"), ("test", "e"))
    for i, (split, film) in enumerate(films):
        for frame in (1, 2):
            stem = f"{split}/{film}_{frame:03d}"
            save(root / f"images/{stem}.png", picture(i + 5 * frame))
            depth = depth_of(i)
            depth[3, 3] = 40
            if split == "test":
                save(root / f"depth/{stem}.png", np.rint(depth * 500).astype(np.uint16))
            else:
                (root / f"depth/{split}").mkdir(parents=True, exist_ok=True)
                np.save(root / f"depth/{stem}.npy", np.where(depth > 0, depth, -1).astype(np.float32))
    lines = ["path: /somewhere/else", "train: images/train", "val: images/val", "test: images/test", "max_depth: 20"]
    write_lines(root / "data.yaml", [*lines, "depth_scale: 500"])
    return root


def write_mix(root: Path) -> Path:
    """Two data sets, each in a folder of its name."""
    write_nyu_sync(root / "nyu_sync")
    write_kitti(root / "kitti")
    return root
