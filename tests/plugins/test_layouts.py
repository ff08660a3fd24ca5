from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset
from cliffkit_datasets.diode import DIODE
from cliffkit_datasets.h5 import H5
from cliffkit_datasets.hypersim import Hypersim
from cliffkit_datasets.sunrgbd import SUNRGBD
from cliffkit_datasets.ultralytics import Ultralytics
from cliffkit_datasets.vkitti2 import VKITTI2

from .layout_files import (
    HEIGHT,
    HYPERSIM,
    SUN,
    SUN_TEST,
    WIDTH,
    depth_of,
    picture,
    save,
    save_turned,
    write_diode,
    write_h5,
    write_hypersim,
    write_lines,
    write_sunrgbd,
    write_ultralytics,
    write_vkitti2,
)


def names(data: Dataset) -> list[str]:
    return [data.name(i) for i in range(len(data))]


def check_depth(data: Dataset, index: int, expected: np.ndarray, atol: float = 1e-5) -> None:
    """Depth in metres, valid where the expected is above 0."""
    sample = data[index]
    assert np.array_equal(sample.valid[0].numpy(), expected > 0)
    known = expected > 0
    assert np.allclose(sample.depth[0].numpy()[known], expected[known], atol=atol)


def noise(seed: int) -> np.ndarray:
    """(H, W, 3) uint8, every pixel another."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def notes(data: Dataset) -> str:
    return "\n".join(data.notes())


class TestH5:
    def test_arrays_are_read_and_the_published_val_is_test(self, tmp_path):
        root = write_h5(tmp_path)
        test = H5("test", root)
        assert names(test) == ["val/official/00001", "val/official/00002"]
        check_depth(test, 1, depth_of(13))
        train, val = H5("train", root), H5("val", root)
        assert len(train) + len(val) == 12
        assert test.scene_types == ("bath", "kitchen", "nyu_office", "office")
        assert "it is test here" in notes(test)

    def test_tars_that_were_not_unpacked_are_told(self, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data/train-000000.tar").write_bytes(b"")
        with pytest.raises(UserError, match=r"no folder train/ in it; unpack its \.tar files"):
            H5("train", tmp_path)

    def test_a_file_without_the_arrays_is_named(self, tmp_path):
        root = write_h5(tmp_path)
        with h5py.File(root / "val/official/00001.h5", "w") as file:
            file["rgb"] = np.zeros((4, 4, 3), np.uint8)
        with pytest.raises(UserError, match=r"00001\.h5: cannot be read as HDF5 with rgb and depth"):
            H5("test", root)[0]
        with h5py.File(root / "val/official/00001.h5", "w") as file:
            file["rgb"], file["depth"] = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4))
        with pytest.raises(UserError, match=r"00001\.h5: rgb is uint8 of shape \(4, 4, 3\)"):
            H5("test", root)[0]


class TestDIODE:
    def test_depth_is_valid_where_the_mask_is_one_and_its_third_axis_is_dropped(self, tmp_path):
        test = DIODE("test", write_diode(tmp_path))
        for i in range(2):
            check_depth(test, i, depth_of(4 + i))
        assert test.scene_types == ("indoors", "outdoor")
        assert "mask" in notes(test)

    def test_one_half_is_read_alone(self, tmp_path):
        root = write_diode(tmp_path)
        data = DIODE("test", root, domain="outdoor")
        assert len(data) == 1
        assert data.name(0).startswith("val/outdoor/scene_00019/scan_00000/")


class TestHypersim:
    def test_distance_becomes_planar_depth_by_the_rays_of_the_scene_tilted_or_not(self, tmp_path):
        root = write_hypersim(tmp_path)
        for i, split in enumerate(HYPERSIM.values()):
            data = Hypersim(split, root)
            assert len(data) == 2, "a frame that was not released is left out"
            check_depth(data, 0, depth_of(i))
        camera = Hypersim("train", root)[0].intrinsics
        focal = 886.81 * WIDTH / 1024
        assert camera is not None
        assert camera.tolist() == pytest.approx([focal, focal, WIDTH / 2, HEIGHT / 2])
        assert Hypersim("test", root)[0].intrinsics is None, "tilted: no pinhole"
        assert "planar depth" in notes(data)

    def test_without_cameras_every_scene_is_taken_for_60_degrees_and_that_is_told(self, tmp_path):
        data = Hypersim("test", write_hypersim(tmp_path, cameras=False))
        check_depth(data, 0, depth_of(2))
        assert "metadata_camera_parameters.csv is missing" in notes(data)

    def test_frames_that_are_not_there_are_left_out_and_counted(self, tmp_path):
        root = write_hypersim(tmp_path)
        next(root.glob("ai_003_001/**/frame.0007.tonemap.jpg")).unlink()
        data = Hypersim("test", root)
        assert names(data) == ["ai_003_001/cam_00/frame.0000"]
        assert "1 images of the published split are not in the folder" in notes(data)

    def test_a_missing_list_is_named(self, tmp_path):
        root = write_hypersim(tmp_path)
        (root / "metadata_images_split_scene_v1.csv").unlink()
        with pytest.raises(UserError, match=r"no metadata_images_split_scene_v1\.csv in it; copy it"):
            Hypersim("train", root)


class TestVKITTI2:
    @pytest.mark.parametrize("apart", [False, True])
    def test_centimetres_are_read_without_sky_and_far_depth(self, tmp_path, apart):
        root = write_vkitti2(tmp_path, apart)
        test = VKITTI2("test", root)
        assert names(test) == ["Scene20/clone/Camera_0/00003", "Scene20/fog/Camera_0/00003"]
        expected = np.rint(depth_of(3) * 100) / 100
        expected[:2] = 0
        check_depth(test, 0, expected)
        expected[1] = 90
        check_depth(VKITTI2("test", root, far_m=1000), 0, expected)
        assert "sky" in notes(test)

    def test_the_camera_looks_through_the_middle_of_the_image_so_that_a_mirrored_image_has_it_too(self, tmp_path):
        root = write_vkitti2(tmp_path)
        frames = root / "Scene20/clone/frames"
        save(frames / "rgb/Camera_0/rgb_00003.jpg", picture(3, 375, 1242))
        save(frames / "depth/Camera_0/depth_00003.png", np.full((375, 1242), 900, np.uint16))
        sample, resized = (VKITTI2("test", root)[i] for i in (0, 1))
        assert sample.intrinsics is not None
        _, _, cx, cy = sample.intrinsics.tolist()
        assert (1242 - cx, 375 - cy) == (cx, cy), "counted from the corner of the first pixel"
        assert resized.intrinsics is None

    def test_variants_of_a_scene_are_in_one_split(self, tmp_path):
        root = write_vkitti2(tmp_path)
        scenes = {split: {name.split("/")[0] for name in names(VKITTI2(split, root))} for split in ("train", "val")}
        assert scenes == {"train": {"Scene01", "Scene02"}, "val": {"Scene18"}}
        with pytest.raises(UserError, match="splits val and test of vkitti2 share 1 scenes"):
            VKITTI2("val", root, test_scenes=("Scene18", "Scene20"))


class TestSUNRGBD:
    def test_rotated_bits_are_turned_back_and_far_depth_is_not_valid(self, tmp_path):
        root = write_sunrgbd(tmp_path)
        test = SUNRGBD("test", root)
        assert names(test) == [SUN_TEST]
        expected = np.rint(depth_of(5) * 1000) / 1000
        expected[0, 0] = 9
        check_depth(test, 0, expected)
        expected[0, 0] = 0
        check_depth(SUNRGBD("test", root, max_depth_m=8), 0, expected)
        raw = np.where(expected > 2, expected, 0)
        raw[0, 0] = 9
        check_depth(SUNRGBD("test", root, truth="depth"), 0, raw)
        assert "rotated by three" in notes(test)
        assert test.scene_types == ("kitchen", "office")

    def test_train_is_every_other_image_and_films_are_not_cut(self, tmp_path):
        root = write_sunrgbd(tmp_path)
        train, val = (set(names(SUNRGBD(split, root, val_share=0.4))) for split in ("train", "val"))
        assert train | val == set(SUN)
        assert len({"xtion/sun3ddata/mit/a", "xtion/sun3ddata/mit/b"} & val) != 1

    def test_a_test_list_whose_images_are_not_there_is_refused(self, tmp_path):
        root = write_sunrgbd(tmp_path)
        write_lines(root / "SUNRGBD_val_splits.txt", ["SUNRGBD/kv1/x/image/1.jpg SUNRGBD/kv1/x/depth/1.png"])
        with pytest.raises(UserError, match="1 of its 1 images are not below"):
            SUNRGBD("test", root)


class TestUltralytics:
    def test_both_kinds_of_depth_are_read_in_metres_to_max_depth(self, tmp_path):
        root = write_ultralytics(tmp_path)
        for split, i, grid in (("val", 3, 1e9), ("test", 4, 500)):
            data = Ultralytics(split, root)
            assert names(data) == [f"images/{split}/{'de'[i - 3]}_00{k}" for k in (1, 2)]
            expected = np.rint(depth_of(i) * grid) / grid
            expected[3, 3] = 0
            check_depth(data, 0, expected)
        assert "max_depth, 20 m" in notes(data)

    def test_without_test_the_val_of_the_yaml_is_test_and_val_is_cut_from_train_by_film(self, tmp_path):
        root = write_ultralytics(tmp_path)
        write_lines(root / "data.yaml", ["train: images/train", "val: images/val"])
        assert names(Ultralytics("test", root))[0] == "images/val/d_001"
        train, val = (names(Ultralytics(split, root)) for split in ("train", "val"))
        assert {name[-5] for name in train}.isdisjoint({name[-5] for name in val})
        assert "its val is test here" in notes(Ultralytics("val", root))

    @pytest.mark.parametrize("turn", [2, 3, 6])
    def test_images_and_depth_are_turned_upright_by_the_tag_of_each(self, tmp_path, turn):
        root = write_ultralytics(tmp_path)
        rgb, stored = noise(turn), np.rint(depth_of(4) * 500).astype(np.uint16)
        save_turned(root / "images/test/e_001.png", rgb, turn)
        save_turned(root / "depth/test/e_001.png", stored, turn)
        upright = {2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1)}[turn]
        sample = Ultralytics("test", root)[0]
        assert np.array_equal(sample.image.permute(1, 2, 0), upright(rgb))
        assert np.array_equal(sample.depth[0], upright(stored).astype(np.float32) / np.float32(500))

    def test_depth_that_is_stored_upright_beside_an_image_on_its_side_is_read(self, tmp_path):
        root = write_ultralytics(tmp_path)
        save_turned(root / "images/val/d_001.png", np.rot90(noise(6)), 6)
        assert np.array_equal(Ultralytics("val", root)[0].image.permute(1, 2, 0), noise(6))

    @pytest.mark.parametrize("behind", [False, True])
    @pytest.mark.parametrize("split", ["val", "test"])
    def test_a_turned_image_is_refused_where_nothing_shows_that_its_depth_is_turned(self, tmp_path, split, behind):
        root = write_ultralytics(tmp_path)
        name, end = {"val": ("val/d_001", "npy"), "test": ("test/e_001", "png")}[split]
        image, depth = root / f"images/{name}.png", f"depth/{name}.{end}"
        save_turned(image, noise(3), 3, behind)
        words = f"{image}: is turned by its EXIF orientation, 3, .* whether the depth map {depth} is turned too; store"
        with pytest.raises(UserError, match=words):
            Ultralytics(split, root)[0]
        save_turned(image, noise(3), 6, behind)
        words = (
            rf"{root / depth}: is 8 x 6 pixels, its image images/{name}\.png 6 x 8, turned .*, 6; turn the depth map"
        )
        with pytest.raises(UserError, match=words):
            Ultralytics(split, root)[0]

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("max_depth: ten", "max_depth is ten; give the largest valid depth in metres, as 20, or leave the key out"),
            ("max_depth: -1", "max_depth is -1; give"),
            ("max_depth: [20]", r"max_depth is \[20\]; give"),
            ("depth_scale:", "depth_scale is empty; give units of the PNGs per metre, as 1000, or leave the key out"),
            ("depth_scale: 0", "depth_scale is 0; give"),
            ("depth_scale: true", "depth_scale is True; give"),
            ("depth_scale: .nan", "depth_scale is nan; give"),
        ],
    )
    def test_a_number_of_the_yaml_that_is_none_is_named_with_file_and_key(self, tmp_path, line, words):
        root = write_ultralytics(tmp_path)
        write_lines(root / "data.yaml", ["train: images/train", "val: images/val", line])
        with pytest.raises(UserError, match=rf"{root}/data\.yaml: {words}"):
            Ultralytics("val", root)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda root: write_lines(root / "data.yaml", ["train: images/train"]), "has not the keys train and val"),
            (lambda root: write_lines(root / "data.yaml", ["a: ["]), "cannot be read as YAML"),
            (lambda root: write_lines(root / "b.yaml", ["a: 1"]), r"holds several YAMLs \(b.yaml, data.yaml\)"),
            (lambda root: (root / "depth/val/d_001.npy").unlink(), r"depth/val/d_001\.npy: does not exist"),
        ],
    )
    def test_a_folder_that_is_not_whole_is_named(self, tmp_path, change: Callable[[Path], None], words):
        root = write_ultralytics(tmp_path)
        change(root)
        with pytest.raises(UserError, match=words):
            Ultralytics("val", root)
