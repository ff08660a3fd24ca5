from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cliffkit.errors import UserError
from cliffkit_datasets.kitti import KITTI
from cliffkit_datasets.kitti_laser import Calibration, project

from .layout_files import CENTRE, DRIVES, FOCAL, SIZES, TEST_DRIVE, scan_of, sparse_depth, write_kitti, write_lines

TRAIN_LIST, TEST_LIST = "eigen_train_files_with_gt.txt", "eigen_test_files_with_gt.txt"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kitti(tmp_path_factory.mktemp("kitti"))


def number(name: str) -> int:
    """The number that the fixture gave a frame."""
    drive = name.split("/")[0]
    return 10 * (*DRIVES, TEST_DRIVE).index(drive) + int(name[-10:]) // 5


def check_truth(data: KITTI) -> None:
    for k in range(len(data)):
        name = data.name(k)
        height, width = SIZES[name[:10]]
        sample = data[k]
        stored = sparse_depth(number(name), height, width)
        assert sample.image.shape == (3, height, width), "sizes vary by date"
        assert np.array_equal(sample.depth[0].numpy(), stored / np.float32(256))
        assert np.array_equal(sample.valid[0].numpy(), stored > 0)


def test_improved_truth_is_read_in_metres_and_stays_sparse(root: Path) -> None:
    for split in ("train", "val", "test"):
        check_truth(KITTI(split, root))


def test_lines_whose_truth_is_none_are_left_out_and_named(root: Path) -> None:
    data = KITTI("test", root)
    assert [data.name(i)[-2:] for i in range(len(data))] == ["05", "10", "15"]
    assert "1 lines have no improved truth, 1 of them None in the list: their images are left out" in data.notes()
    assert "4 lines of eigen_test_files_with_gt.txt, 3 with improved truth" in data.notes()


def test_truth_as_published_below_train_and_val_is_found(tmp_path: Path) -> None:
    write_kitti(tmp_path, merged=False)
    for split in ("train", "val", "test"):
        check_truth(KITTI(split, tmp_path))


def test_lists_of_monodepth2_name_the_same_frames(tmp_path: Path, root: Path) -> None:
    write_kitti(tmp_path, style="monodepth2")
    for split in ("train", "val", "test"):
        one, other = KITTI(split, tmp_path), KITTI(split, root)
        assert [one.name(i) for i in range(len(one))] == [other.name(i) for i in range(len(other))]
        assert one.fingerprint() == other.fingerprint()


def test_paths_without_the_date_and_with_a_leading_slash_are_read(tmp_path: Path, root: Path) -> None:
    write_kitti(tmp_path)
    text = (tmp_path / TEST_LIST).read_text()
    lines = ["/" + line.split("/", 1)[1] for line in text.splitlines()]
    write_lines(tmp_path / TEST_LIST, lines)
    data = KITTI("test", tmp_path)
    assert data.fingerprint() == KITTI("test", root).fingerprint()
    assert any("begin with /" in note for note in data.notes())


def test_val_is_cut_by_drive(root: Path) -> None:
    train, val = KITTI("train", root, val_share=0.3), KITTI("val", root, val_share=0.3)
    drives = [{data.name(i).split("/")[0] for i in range(len(data))} for data in (train, val)]
    assert drives[0] | drives[1] == set(DRIVES)
    assert not drives[0] & drives[1]


def test_drives_that_both_lists_have_are_refused_by_name(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    with (tmp_path / TRAIN_LIST).open("a") as file:
        file.write((tmp_path / TEST_LIST).read_text().splitlines()[1] + "\n")
    with pytest.raises(UserError, match=f"train and test of kitti share 1 scenes.*{TEST_DRIVE}.*take their lines out"):
        KITTI("train", tmp_path)


def test_raw_truth_is_how_far_the_scanners_points_are_ahead_of_it_smallest_first(root: Path) -> None:
    data = KITTI("test", root, truth="raw")
    assert len(data) == 4, "frames without improved truth have a scan"
    for k in range(len(data)):
        expected = np.zeros(SIZES[TEST_DRIVE[:10]])
        for forward, left, up, _ in scan_of(number(data.name(k))).astype(float):
            # The axes of the camera: right, down, forward; its place as the calibration of the fixture has it.
            right, down, ahead = -left + 0.1, -up + 0.2, forward - 0.3
            if forward < 0:
                continue
            column = round((FOCAL * right + CENTRE[0] * ahead + 0.5) / ahead) - 1
            row = round((FOCAL * down + CENTRE[1] * ahead) / ahead) - 1
            if 0 <= row < expected.shape[0] and 0 <= column < expected.shape[1]:
                old = expected[row, column]
                expected[row, column] = min(old, forward) if old else forward
        assert (expected > 0).sum() > 5
        assert np.allclose(data[k].depth[0].numpy(), expected, atol=1e-5)
        assert np.array_equal(data[k].valid[0].numpy(), expected > 0)
    assert data.fingerprint() != KITTI("test", root).fingerprint()
    said = "raw truth counts from the scanner, as published scores: some 0.27 m more than depth ahead of the camera"
    assert said in data.notes()
    assert said not in KITTI("test", root).notes()


def test_of_several_points_in_a_pixel_the_smallest_forward_coordinate_counts_not_the_nearest_point(
    tmp_path: Path,
) -> None:
    """A camera that is turned aside by 0.3 rad orders points otherwise than the scanner does."""
    rng = np.random.default_rng(0)
    scan = np.stack([*rng.uniform([-4, -9, -2], [20, 9, 2], (20_000, 3)).T, np.ones(20_000)], 1).astype("<f4")
    (tmp_path / "scan.bin").write_bytes(scan.tobytes())
    turn = 0.3
    to_camera = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    aside = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    rectified = np.eye(4)
    rectified[:3, :3], rectified[:3, 3] = np.array(aside) @ to_camera, (0.1, 0.2, -0.3)
    camera = np.array([[40.0, 0, 60, 0.5], [0, 40, 20, 0], [0, 0, 1, 0]])
    points = project(tmp_path / "scan.bin", Calibration({2: camera}, rectified), 2, (40, 120))

    found: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for forward, left, up, _ in scan.tolist():
        right = -left * np.cos(turn) + forward * np.sin(turn) + 0.1
        down = -up + 0.2
        ahead = left * np.sin(turn) + forward * np.cos(turn) - 0.3
        if forward >= 0 and ahead > 0:
            pixel = round(40 * down / ahead + 20) - 1, round((40 * right + 0.5) / ahead + 60) - 1
            found.setdefault(pixel, []).append((forward, ahead))
    for row in range(40):
        for column in range(120):
            seen = found.get((row, column), [])
            assert points[row, column] == np.float32(min((forward for forward, _ in seen), default=0))
    inside = [seen for (row, column), seen in found.items() if 0 <= row < 40 and 0 <= column < 120]
    assert sum(min(seen) != min(seen, key=lambda point: point[1]) for seen in inside) > 3, "else they agree"


def test_the_camera_is_that_of_the_date(root: Path) -> None:
    camera = KITTI("test", root)[0].intrinsics
    assert camera is not None
    assert camera.tolist() == [FOCAL, FOCAL, CENTRE[0] + 0.5, CENTRE[1] + 0.5], "from the corner of the image"


def test_a_missing_truth_that_the_list_names_is_an_error_with_its_line(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    truth = f"{TEST_DRIVE}/proj_depth/groundtruth/image_02/0000000005.png"
    (tmp_path / "data_depth_annotated" / truth).unlink()
    with pytest.raises(UserError, match=f"{TEST_LIST}:2: {truth} does not exist"):
        KITTI("test", tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a/image_02/data/1.png b.png 7", "names no drive"),
        (f"2011_09_26/{TEST_DRIVE} first l", "is neither `image truth focal` nor `DATE/DRIVE frame side`"),
    ],
)
def test_a_line_of_neither_layout_is_named(tmp_path: Path, line: str, words: str) -> None:
    write_kitti(tmp_path)
    write_lines(tmp_path / TEST_LIST, [line])
    with pytest.raises(UserError, match=f"{TEST_LIST}:1: .*{words}"):
        KITTI("test", tmp_path)


def test_a_damaged_calibration_or_scan_is_named(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    date = tmp_path / TEST_DRIVE[:10]
    (date / TEST_DRIVE / "velodyne_points/data/0000000000.bin").write_bytes(b"12345678")
    with pytest.raises(UserError, match=r"0000000000\.bin: is no scan"):
        KITTI("test", tmp_path, truth="raw")[0]
    (date / "calib_velo_to_cam.txt").unlink()
    with pytest.raises(UserError, match="without calib_velo_to_cam"):
        KITTI("test", tmp_path, truth="raw")[1]
    write_lines(date / "calib_cam_to_cam.txt", ["P_rect_02: 1 2"])
    with pytest.raises(UserError, match="P_rect_02 is missing or has not 12 numbers"):
        KITTI("test", tmp_path)[0]
