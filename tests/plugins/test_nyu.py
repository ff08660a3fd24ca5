from __future__ import annotations

import multiprocessing
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from cliffkit.errors import UserError
from cliffkit_datasets import nyu, nyu_layout
from cliffkit_datasets.nyu import NYU

from ..engine_fixtures import same
from . import nyu_file
from .nyu_file import HEIGHT, SCENES, TEST, TRAIN, TYPES, WIDTH, pictures, write_labeled, write_nyu, write_splits

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
LABELED = "nyu_depth_v2_labeled.mat"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_nyu(tmp_path / "nyu")


def frames(dataset: NYU) -> list[int]:
    """One-based places in the file."""
    return [int(dataset.name(i).removeprefix("nyu/")) for i in range(len(dataset))]


def scenes(dataset: NYU) -> set[str]:
    return {SCENES[i - 1] for i in frames(dataset)}


def test_splits_are_one_based_and_share_no_scene(root: Path) -> None:
    train, val, test = (NYU(split, root) for split in ("train", "val", "test"))
    assert frames(test) == list(TEST)
    assert sorted(frames(train) + frames(val)) == list(TRAIN)
    assert len(train) > len(val) > 0
    assert not scenes(train) & scenes(val)
    assert not scenes(test) & (scenes(train) | scenes(val))
    assert test.name(0) == "nyu/0007"


def test_val_share_moves_scenes_between_train_and_val_only(root: Path) -> None:
    assert len(NYU("val", root, val_share=0.5)) > len(NYU("val", root))
    assert frames(NYU("test", root, val_share=0.5)) == list(TEST)


def test_splits_listed_in_any_order_are_read_in_the_files_order(root: Path) -> None:
    write_splits(root / "splits.mat", TRAIN[::-1], TEST[::-1])
    assert frames(NYU("test", root)) == list(TEST)


@pytest.mark.parametrize("chunk", [0, 1, 4, 10])
@pytest.mark.parametrize("raw", [False, True])
def test_every_pixel_is_where_it_belongs(tmp_path: Path, chunk: int, raw: bool) -> None:
    root = write_nyu(tmp_path / "nyu", chunk=chunk)
    images, *depths = pictures()
    for split in ("train", "val", "test"):
        dataset = NYU(split, root, raw=raw)
        for i in reversed(range(len(dataset))):
            image, depth, valid, scene = dataset[i][:4]
            frame = frames(dataset)[i] - 1
            assert (image.dtype, depth.dtype, valid.dtype, scene.dtype) == (
                torch.uint8,
                torch.float32,
                torch.bool,
                torch.int64,
            )
            assert image.shape == (3, HEIGHT, WIDTH)
            assert np.array_equal(image.permute(1, 2, 0), images[frame])
            assert np.array_equal(depth[0], depths[raw][frame])
            assert valid.shape == (1, HEIGHT, WIDTH)
            assert [tuple(hole) for hole in (~valid).nonzero().tolist()] == ([(0, 1, 2)] if raw else [])
            assert dataset.scene_types[scene] == TYPES[frame]


def test_the_camera_is_the_toolboxs_with_pixels_counted_from_the_corner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nyu_file, "HEIGHT", 480)
    monkeypatch.setattr(nyu_file, "WIDTH", 640)
    camera = NYU("test", write_nyu(tmp_path / "nyu", chunk=0))[0].intrinsics
    assert camera is not None
    assert camera.dtype == torch.float32
    # MATLAB's first pixel has its centre at 1, ours at 0.5
    torch.testing.assert_close(camera.double(), torch.tensor([518.8579, 519.46961, 325.08245, 253.23617]).double())


def test_images_of_another_size_have_no_known_camera(root: Path) -> None:
    assert NYU("test", root)[0].intrinsics is None


def test_scene_types_are_those_of_the_whole_file(root: Path) -> None:
    for split in ("train", "val", "test"):
        assert list(NYU(split, root).scene_types) == ["bath", "den", "hall", "office"]


def test_unnamed_scene_type_is_unknown(tmp_path: Path) -> None:
    dataset = NYU("test", write_nyu(tmp_path, types=("", *TYPES[1:9], "")))
    assert [int(sample.scene) for sample in (dataset[0], dataset[2])] == [2, -1]
    assert "" not in dataset.scene_types


def test_reading_in_order_decompresses_every_chunk_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = NYU("train", root)
    read: list[tuple[str, Any]] = []
    original = h5py.Dataset.__getitem__

    def counted(self: h5py.Dataset, key: Any) -> Any:
        read.append((self.name, key))
        return original(self, key)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    blocks = {(frame - 1) // 4 for frame in frames(dataset)}
    list(dataset)
    assert len(read) == len(set(map(str, read))) == 2 * len(blocks)


def test_a_block_never_exceeds_its_bound(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nyu, "BLOCK_BYTES", 3 * HEIGHT * WIDTH)
    dataset = NYU("test", root)
    assert np.array_equal(dataset[2].image.permute(1, 2, 0), pictures()[0][TEST[2] - 1])
    assert len(dataset._blocks["images"][1]) == 1


def test_samples_are_copies(root: Path) -> None:
    dataset = NYU("test", root)
    dataset[0].image.zero_()
    dataset[0].depth.zero_()
    assert dataset[0].image.any()
    assert dataset[0].depth.all()


def test_pickles_with_the_file_open(root: Path) -> None:
    dataset = NYU("train", root)
    before = dataset[1]
    again = pickle.loads(pickle.dumps(dataset))
    assert same(before, again[1])
    assert again.fingerprint() == dataset.fingerprint()
    assert len(pickle.dumps(dataset)) == len(pickle.dumps(NYU("train", root)))


def test_forked_process_opens_the_file_itself(root: Path) -> None:
    dataset = NYU("train", root)
    list(dataset)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        image, process = pool.apply(_read_in_child, (dataset,))
    assert image == dataset[0].image.numpy().tobytes()
    assert process != dataset._process
    inherited = pickle.loads(pickle.dumps(dataset))
    inherited[0]
    own, inherited._process = inherited._file, -1  # as a child finds it
    inherited._blocks.clear()
    inherited[0]
    assert inherited._file is not own


def _read_in_child(dataset: NYU) -> tuple[bytes, int]:
    return dataset[0].image.numpy().tobytes(), dataset._process


def test_index_out_of_range(root: Path) -> None:
    with pytest.raises(IndexError):
        NYU("test", root)[len(TEST)]


class TestFingerprint:
    def test_knows_no_path_and_no_date(self, root: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(root, tmp_path / "elsewhere", copy_function=shutil.copyfile)
        for split in ("train", "val", "test"):
            assert NYU(split, root).fingerprint() == NYU(split, copy).fingerprint()

    def test_differs_between_splits_and_depths(self, root: Path) -> None:
        every = [NYU(split, root, raw=raw).fingerprint() for split in ("train", "val", "test") for raw in (False, True)]
        assert len(set(every)) == 6

    def test_depends_on_val_share_where_the_split_does(self, root: Path) -> None:
        for split, equal in (("train", False), ("val", False), ("test", True)):
            a, b = (NYU(split, root, val_share=share).fingerprint() for share in (0.1, 0.5))
            assert (a == b) is equal, split

    @pytest.mark.parametrize("chunk", [0, 4])
    @pytest.mark.parametrize("variable", ["images", "depths"])
    def test_sees_a_changed_pixel(self, tmp_path: Path, chunk: int, variable: str) -> None:
        root = write_nyu(tmp_path, chunk=chunk)
        before = NYU("test", root).fingerprint()
        with h5py.File(root / LABELED, "r+") as file:
            file[variable][(8,) + (0,) * (file[variable].ndim - 1)] = 7
        assert NYU("test", root).fingerprint() != before

    @pytest.mark.parametrize("change", [{"scenes": (*SCENES[:9], "office_3")}, {"types": (*TYPES[:9], "porch")}])
    def test_sees_changed_words(self, root: Path, change: dict[str, Any]) -> None:
        before = NYU("test", root).fingerprint()
        assert NYU("test", write_nyu(root, **change)).fingerprint() != before

    def test_reads_few_chunks_of_many(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nyu, "PROBES", 3)
        few = NYU("test", root).fingerprint()
        assert few == NYU("test", root).fingerprint()
        with h5py.File(root / LABELED, "r+") as file:
            file["depths"][9] = 3
        assert NYU("test", root).fingerprint() != few


def change(name: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Store a variable anew."""

    def damage(root: Path) -> None:
        with h5py.File(root / LABELED, "r+") as file:
            data = edit(file[name][()])
            del file[name]
            file[name] = data

    return damage


def labeled(edit: Callable[[h5py.File], Any]) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        with h5py.File(root / LABELED, "r+") as file:
            edit(file)

    return damage


def with_bytes(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes(edit((root / name).read_bytes())) and None


def lists(train: Any = TRAIN, test: Any = TEST, dtype: Any = "u2") -> Callable[[Path], None]:
    return lambda root: write_splits(root / "splits.mat", train, test, dtype)


def splits(**variables: Any) -> Callable[[Path], None]:
    return lambda root: scipy.io.savemat(root / "splits.mat", variables)


def as_struct(file: h5py.File) -> None:
    del file["depths"]
    file.create_group("depths")


def without_reference(file: h5py.File) -> None:
    file["scenes"][0, 3] = h5py.Reference()


def linked(name: str, link: Any) -> Callable[[Path], None]:
    """Put a link in a variable's place, to a good file beside."""

    def damage(root: Path) -> None:
        shutil.copy(root / LABELED, root / "other.mat")
        with h5py.File(root / LABELED, "r+") as file:
            file[f"#refs#/{name}"] = file[name]
            del file[name]
            file[name] = link

    return damage


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(file["images"].shape, "u1")
    layout[...] = h5py.VirtualSource("other.mat", "images", file["images"].shape)
    del file["images"]
    file.create_virtual_dataset("images", layout)


def in_other_files(file: h5py.File) -> None:
    shape = file["images"].shape
    del file["images"]
    file.create_dataset("images", shape, "u1", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


def without_chunks(file: h5py.File) -> None:
    stored = file["depths"]
    del file["depths"]
    file.create_dataset("depths", stored.shape, "f4", chunks=stored.chunks, compression=1)[:4] = stored[:4]


def spelt(codes: np.ndarray) -> Callable[[Path], None]:
    """Spell the fourth scene type by these codes."""

    def edit(file: h5py.File) -> None:
        file["#refs#/odd"] = codes
        file["sceneTypes"][0, 3] = file["#refs#/odd"].ref

    return labeled(edit)


def claimed(file: h5py.File) -> None:
    """A string of 10^12 characters, none of them stored."""
    file.create_dataset("#refs#/long", (10**12, 1), "u2", chunks=(10**6, 1))
    file["scenes"][0, 3] = file["#refs#/long"].ref


DAMAGE: dict[str, tuple[Callable[[Path], Any], str, list[str]]] = {
    # what is done: the place, and words of cause and remedy
    "no labelled file": (
        lambda r: (r / LABELED).unlink(),
        LABELED,
        ["no such file", "name the folder that holds", "splits.mat"],
    ),
    "no splits file": (lambda r: (r / "splits.mat").unlink(), "splits.mat", ["no such file", "authors' page"]),
    "no folder": (shutil.rmtree, LABELED, ["no such file", "name the folder that holds"]),
    "truncated": (with_bytes(LABELED, lambda b: b[: len(b) // 2]), LABELED, ["truncated", "download it again"]),
    "truncated early": (with_bytes(LABELED, lambda b: b[:300]), LABELED, ["truncated", "300 bytes", "download"]),
    "emptied": (with_bytes(LABELED, lambda b: b""), LABELED, ["is no MATLAB v7.3", "download"]),
    "web page": (with_bytes(LABELED, lambda b: b"<html>" * 99), LABELED, ["is no MATLAB v7.3", "download"]),
    "v5": (lambda r: shutil.copy(r / "splits.mat", r / LABELED), LABELED, ["MATLAB v5", "v7.3", "download"]),
    "no images": (labeled(lambda f: f.pop("images")), f"{LABELED}: images", ["no such variable", "sceneTypes"]),
    "no depths": (labeled(lambda f: f.pop("depths")), f"{LABELED}: depths", ["no such variable", "rawDepths"]),
    "no scenes": (labeled(lambda f: f.pop("scenes")), f"{LABELED}: scenes", ["no such variable", "as published"]),
    "no types": (labeled(lambda f: f.pop("sceneTypes")), f"{LABELED}: sceneTypes", ["no such variable"]),
    "struct": (labeled(as_struct), f"{LABELED}: depths", ["struct", "as published"]),
    "float images": (change("images", lambda a: a / 255), f"{LABELED}: images", ["float64", "uint8", "download"]),
    "double depths": (change("depths", lambda a: a.astype("f8")), ": depths", ["float64", "float32", "download"]),
    "colours last": (change("images", lambda a: a.transpose(0, 3, 2, 1)), ": images", ["colours last", "repacked"]),
    "grey images": (change("images", lambda a: a[:, 0]), f"{LABELED}: images", ["(10, 8, 6)", "(N, 3, W, H)"]),
    "turned images": (change("images", lambda a: a.swapaxes(2, 3)), ": images", ["swapped", "(N, 3, W, H)"]),
    "turned depths": (change("depths", lambda a: a.swapaxes(1, 2)), ": depths", ["swapped", "(N, W, H)"]),
    "cropped depths": (change("depths", lambda a: a[:, 1:]), f"{LABELED}: depths", ["(10, 7, 6)", "as published"]),
    "fewer depths": (change("depths", lambda a: a[1:]), ": depths", ["holds 9 images, images 10", "download"]),
    "fewer scenes": (change("scenes", lambda a: a[:, 1:]), ": scenes", ["9 strings for 10 images", "download"]),
    "numbered scenes": (change("scenes", lambda a: np.arange(10)), ": scenes", ["int64", "cell array", "download"]),
    "null reference": (labeled(without_reference), ": scenes", ["image 4", "character codes", "download"]),
    "soft link": (linked("images", h5py.SoftLink("/#refs#/images")), ": images", ["is a link", "as published"]),
    "broken link": (linked("depths", h5py.SoftLink("/nowhere")), ": depths", ["is a link", "as published"]),
    "external link": (
        linked("scenes", h5py.ExternalLink("other.mat", "scenes")),
        ": scenes",
        ["is a link", "published"],
    ),
    "virtual": (labeled(virtual), ": images", ["other files, which are never opened", "download"]),
    "in other files": (labeled(in_other_files), ": images", ["other files, which are never opened", "download"]),
    "without chunks": (labeled(without_chunks), ": depths", ["not in the file", "download"]),
    "half a character": (spelt(np.array([[0xD83D]], "u2")), ": sceneTypes", ["image 4", "utf-16", "download"]),
    "control character": (spelt(np.array([[7], [10]], "u2")), ": sceneTypes", ["image 4", "'\\x07\\n'", "download"]),
    "wide character": (spelt(np.array([[0x110000]], "u4")), ": sceneTypes", ["image 4", "cannot be read", "download"]),
    "endless string": (labeled(claimed), ": scenes", ["image 4", "(1000000000000, 1)", "download"]),
    "unnamed scene": (lambda r: write_nyu(r, scenes=("a", "", *SCENES[2:])), ": scenes", ["image 2", "download"]),
    "splits v7.3": (lambda r: shutil.copy(r / LABELED, r / "splits.mat"), "splits.mat", ["v7.3", "v5", "download"]),
    "splits truncated": (with_bytes("splits.mat", lambda b: b[:140]), "splits.mat", ["cannot be read", "download"]),
    "splits emptied": (with_bytes("splits.mat", lambda b: b""), "splits.mat", ["cannot be read", "download"]),
    "splits a web page": (with_bytes("splits.mat", lambda b: b"<html>" * 99), "splits.mat", ["MATLAB v5", "download"]),
    "list misnamed": (splits(train=[[1]], testNdxs=[[2]]), ": trainNdxs", ["no such variable, only train, testNdxs"]),
    "list of words": (splits(trainNdxs=["a"], testNdxs=[[2]]), ": trainNdxs", ["no list of numbers", "download"]),
    "matrix": (splits(trainNdxs=np.ones((2, 2)), testNdxs=[[2]]), ": trainNdxs", ["matrix", "(2, 2)", "download"]),
    "test empty": (lists(test=()), "splits.mat: testNdxs", ["is empty", "download"]),
    "train empty": (lists(train=()), "splits.mat: trainNdxs", ["is empty", "download"]),
    "fractions": (lists(test=(7, 9.5), dtype="f8"), "splits.mat: testNdxs", ["fractions", "download"]),
    "not a number": (lists(test=(7, np.nan), dtype="f8"), "splits.mat: testNdxs", ["fractions", "download"]),
    "zero-based": (lists(train=range(7)), "splits.mat: trainNdxs", ["index 0", "zero-based?", "add 1"]),
    "negative": (lists(test=(-2, 7), dtype="i2"), "splits.mat: testNdxs", ["index -2", "10 images"]),
    "beyond the file": (lists(test=(7, 11)), "splits.mat: testNdxs", ["index 11", "10 images", "download"]),
    "repeated": (lists(test=(7, 7, 9)), "splits.mat: testNdxs", ["1 images twice, 7", "download"]),
    "shared image": (lists(train=(*TRAIN, 7)), "splits.mat: trainNdxs and testNdxs", ["share 1 images, 7"]),
    "shared scene": (
        lists(TRAIN[1:], (1, *TEST)),
        "splits.mat: trainNdxs and testNdxs",
        ["1 scenes, bath_1", "belong"],
    ),
    "one scene": (lists(train=(1, 2)), "splits.mat: trainNdxs", ["scene 'bath_1'", "val", "download"]),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_with_place_cause_and_remedy(root: Path, case: str) -> None:
    damage, place, words = DAMAGE[case]
    damage(root)
    with pytest.raises(UserError) as caught:
        NYU("train", root)
    message = str(caught.value)
    assert message.startswith(str(root))
    assert place in message
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message


def test_only_the_depth_asked_for_must_be_there(root: Path) -> None:
    labeled(lambda f: f.pop("rawDepths"))(root)
    assert len(NYU("test", root)) == 3
    with pytest.raises(UserError, match="rawDepths: there is no such variable"):
        NYU("test", root, raw=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "NaN"),
        (np.inf, "infinite in 1 of 48"),
        (-1.0, "negative, down to -1 m"),
        (2500.0, "millimetres"),
    ],
)
def test_depth_that_is_none_is_named_upon_reading(root: Path, value: float, words: str) -> None:
    with h5py.File(root / LABELED, "r+") as file:
        file["depths"][8, 0, 0] = value
    dataset = NYU("test", root)
    assert len(dataset[0].tensors()) >= 4
    with pytest.raises(UserError, match=words) as caught:
        dataset[1]
    assert "depths: nyu/0009" in str(caught.value)
    assert "download it again" in str(caught.value)


def test_damaged_chunk_is_named_upon_reading(root: Path) -> None:
    with h5py.File(root / LABELED, "r") as file:
        chunk = file["images"].id.get_chunk_info_by_coord((8, 0, 0, 0))
    with (root / LABELED).open("r+b") as out:
        out.seek(chunk.byte_offset)
        out.write(b"\xff" * chunk.size)
    with pytest.raises(UserError, match=r"images: nyu/0009 cannot be read .*damaged, download it again"):
        NYU("test", root)[1]


def test_a_name_beyond_the_first_plane_is_read(tmp_path: Path) -> None:
    root = write_nyu(tmp_path, types=("caf\u00e9", "\N{HOUSE BUILDING}", *TYPES[2:]))
    assert {"caf\u00e9", "\N{HOUSE BUILDING}"} < set(NYU("train", root).scene_types)


def test_a_damaged_byte_is_an_error_with_the_path_or_harmless(root: Path) -> None:
    whole = (root / LABELED).read_bytes()
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(512, len(whole), 5):
            content[place] = rng.integers(256)
        dataset = None  # HDF5 shares what it knows of a file that is open
        (root / LABELED).write_bytes(content)
        try:
            dataset = NYU("train", root)
            dataset.fingerprint()
            for index in range(len(dataset)):
                dataset[index]
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert [message for message in messages if not message.startswith(str(root))] == []


def test_no_folder_named() -> None:
    with pytest.raises(UserError) as caught:
        NYU("train", None)
    for words in ("--data nyu=DIR", "CLIFFKIT_DATA_NYU", LABELED, "splits.mat", "authors' page"):
        assert words in str(caught.value)


def test_unknown_split(root: Path) -> None:
    with pytest.raises(UserError, match="no split 'valid'; the splits are train, val, test"):
        NYU("valid", root)


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_share_out_of_range(root: Path, share: float) -> None:
    with pytest.raises(UserError, match=r"val_share is .*between 0 and 1"):
        NYU("val", root, val_share=share)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (SHARED / "build_nyu_mat.py").is_file():
        pytest.skip(f"{SHARED} with build_nyu_mat.py is not there")
    pytest.importorskip("hdf5storage", reason="build_nyu_mat.py writes with hdf5storage")
    out = tmp_path_factory.mktemp("real")
    subprocess.run([sys.executable, SHARED / "build_nyu_mat.py", out], check=True, capture_output=True)
    return out


def test_reads_what_an_independent_library_wrote(real: Path) -> None:
    from PIL import Image

    splits = {split: NYU(split, real) for split in ("train", "val", "test")}
    assert {len(splits["train"]) + len(splits["val"]), len(splits["test"])} == {37, 6}
    assert not {*splits["train"]._scenes} & {*splits["val"]._scenes}
    filled, raw = splits["test"][0], NYU("test", real, raw=True)[0]
    assert filled.image.shape == (3, 480, 640)
    assert filled.valid.all()
    assert not raw.valid.all()
    assert torch.equal(filled.depth[raw.valid], raw.depth[raw.valid])
    # the first test image of the file is the index's first
    with Image.open(SHARED / "real_rgbd/rgb/0000.jpg") as image:
        assert np.array_equal(filled.image.permute(1, 2, 0), np.asarray(image))
    with Image.open(SHARED / "real_rgbd/depth/0000.png") as depth:
        assert np.array_equal(raw.depth[0], np.asarray(depth).astype(np.float32) / 1000)
    assert splits["test"].scene_types[filled.scene] == "basement"


def test_layout_of_the_maker_is_that_of_the_library(real: Path, tmp_path: Path) -> None:
    write_labeled(tmp_path / LABELED)
    with nyu_layout.opened(real / LABELED) as theirs, nyu_layout.opened(tmp_path / LABELED) as ours:
        for name in ("images", "depths", "rawDepths", "scenes", "sceneTypes"):
            assert theirs[name].dtype == ours[name].dtype
            assert theirs[name].ndim == ours[name].ndim
        codes = [file[file["scenes"][0, 0]] for file in (theirs, ours)]
        assert codes[0].dtype == codes[1].dtype
        assert codes[0].shape[1] == codes[1].shape[1] == 1
