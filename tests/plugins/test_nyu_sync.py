from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cliffkit.errors import UserError
from cliffkit_datasets.nyu_sync import NYUSync

from .layout_files import NYU_TEST, NYU_TRAIN, depth_of, picture, save, write_lines, write_nyu_sync

TRAIN_LIST = "train_test_inputs/nyudepthv2_train_files_with_gt.txt"
TEST_LIST = "train_test_inputs/nyudepthv2_test_files_with_gt.txt"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nyu_sync(tmp_path_factory.mktemp("nyu"))


def names(data: NYUSync) -> list[str]:
    return [data.name(i) for i in range(len(data))]


def test_images_and_depth_are_those_of_the_list_though_its_paths_begin_with_a_slash(root: Path) -> None:
    for split in ("train", "val"):
        data = NYUSync(split, root)
        for k, name in enumerate(names(data)):
            i = int(name[-5:])
            sample = data[k]
            depth = np.rint(depth_of(i) * 1000) / 1000
            assert np.allclose(sample.depth[0].numpy(), depth, atol=1e-6)
            assert np.array_equal(sample.valid[0].numpy(), depth > 0)
            assert np.abs(sample.image.numpy().transpose(1, 2, 0).astype(int) - picture(i)).max() <= 4, "JPEG"
            assert data.scene_types[int(sample.scene)] == name.rpartition("_00")[0].split("/")[0].rpartition("_")[0]
    assert any("12 paths" in note and "begin with /" in note for note in NYUSync("train", root).notes())


def test_test_is_the_test_list_and_val_is_cut_from_whole_scenes(root: Path) -> None:
    train, val, test = (NYUSync(split, root, val_share=0.4) for split in ("train", "val", "test"))
    assert names(test) == list(NYU_TEST)
    assert len(train) + len(val) == 2 * len(NYU_TRAIN)
    scenes = [{name.split("/")[0].rstrip("ab") for name in names(data)} for data in (train, val)]
    assert not scenes[0] & scenes[1], "kitchen_0028a and kitchen_0028b are one scene"
    assert train.scene_types == test.scene_types == ("bath", "bathroom", "kitchen", "nyu_office", "office")


def test_raw_and_filled_truth_are_told_apart(root: Path) -> None:
    assert any("raw" in note and "97.9%" in note for note in NYUSync("train", root).notes())
    assert any("filled" in note for note in NYUSync("test", root).notes())


def test_the_camera_is_known_at_the_published_size_alone(tmp_path: Path, root: Path) -> None:
    assert NYUSync("test", root)[0].intrinsics is None
    write_nyu_sync(tmp_path)
    save(tmp_path / "official_splits/test/kitchen/rgb_00000.jpg", picture(0, 480, 640))
    save(tmp_path / "official_splits/test/kitchen/sync_depth_00000.png", np.full((480, 640), 2000, np.uint16))
    camera = NYUSync("test", tmp_path)[0].intrinsics
    assert camera is not None
    assert camera.tolist() == pytest.approx([518.8579, 519.46961, 325.08245, 253.23617])


def test_folders_and_lists_of_the_toolbox_are_read_too(tmp_path: Path) -> None:
    write_nyu_sync(tmp_path)
    for folder in (tmp_path / "sync", tmp_path / "official_splits/test"):
        for child in folder.iterdir():
            child.rename(tmp_path / child.name)
    (tmp_path / TRAIN_LIST).rename(tmp_path / "nyu_train.txt")
    (tmp_path / TEST_LIST).rename(tmp_path / "nyu_test.txt")
    assert len(NYUSync("test", tmp_path)) == 2
    assert float(NYUSync("train", tmp_path)[0].depth.max()) > 1


def test_lines_without_truth_and_lines_given_twice_are_left_out_and_named(tmp_path: Path) -> None:
    write_nyu_sync(tmp_path)
    lines = (tmp_path / TEST_LIST).read_text().splitlines()
    write_lines(tmp_path / TEST_LIST, [*lines, lines[0], "kitchen/rgb_00009.jpg None 518.8579"])
    data = NYUSync("test", tmp_path)
    assert names(data) == list(NYU_TEST)
    notes = " ".join(data.notes())
    assert "1 samples are listed more than once" in notes
    assert "1 lines of nyudepthv2_test_files_with_gt.txt have no truth (None)" in notes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / TRAIN_LIST).unlink(), ["no list of samples", "nyu_train.txt", "train_list"]),
        (lambda root: write_lines(root / TRAIN_LIST, []), ["is empty", "copy the list again"]),
        (lambda root: write_lines(root / TRAIN_LIST, ["a.jpg"]), [f"{TRAIN_LIST}:1:", "1 columns"]),
        (lambda root: write_lines(root / TRAIN_LIST, ["../a.jpg b.png 1"]), [":1:", "leaves the folder"]),
        (
            lambda root: (root / "sync/kitchen_0028a/rgb_00000.jpg").unlink(),
            ["nyudepthv2_train_files_with_gt.txt:1:", "kitchen_0028a/rgb_00000.jpg does not exist"],
        ),
        (
            lambda root: write_lines(
                root / TEST_LIST, ["kitchen_0028a/rgb_00000.jpg kitchen_0028a/sync_depth_00000.png 1"]
            ),
            ["train and test", "share 1 names", "scores would count"],
        ),
    ],
)
def test_a_list_that_is_missing_or_wrong_is_named_with_cause_and_remedy(tmp_path: Path, change, words) -> None:
    write_nyu_sync(tmp_path)
    change(tmp_path)
    with pytest.raises(UserError) as caught:
        [NYUSync(split, tmp_path) for split in ("train", "val")]
    for word in words:
        assert word in str(caught.value)


def test_a_picture_of_depth_in_8_bits_is_refused(tmp_path: Path) -> None:
    write_nyu_sync(tmp_path)
    Image.new("L", (8, 6), 7).save(tmp_path / "official_splits/test/kitchen/sync_depth_00000.png")
    with pytest.raises(UserError, match=r"sync_depth_00000\.png: is an 8-bit PNG of mode L"):
        NYUSync("test", tmp_path)[0]


def test_millimetres_read_as_metres_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match="are these millimetres"):
        NYUSync("test", root, depth_scale=1.0)[0]


def test_the_fingerprint_follows_pixels_names_and_the_scale(tmp_path: Path, root: Path) -> None:
    write_nyu_sync(tmp_path)
    data = NYUSync("test", tmp_path)
    assert data.fingerprint() == NYUSync("test", root).fingerprint(), "not of the folder"
    assert data.fingerprint() != NYUSync("test", tmp_path, depth_scale=500).fingerprint()
    save(tmp_path / "official_splits/test/kitchen/rgb_00000.jpg", picture(3))
    assert data.fingerprint() != NYUSync("test", root).fingerprint()
