from __future__ import annotations

import csv
import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cliffkit.errors import UserError
from cliffkit_datasets import files as files_module
from cliffkit_datasets.pairs import Pairs

from ..engine_fixtures import same
from .layout_files import save_turned

REAL = Path(__file__).resolve().parents[2] / "../shared/data/real_rgbd"
SPLITS = ("train", "val", "test")
SCENES = ("a", "a", "b", "c", "d", "d", "e", "f")
HOLE = (1, 2)


def picture(i: int) -> np.ndarray:
    """(H, W, 3), of another size for every image."""
    row, column, colour = np.ogrid[: 5 + i, :7, :3]
    return (i * 20 + row * 3 + column * 5 + colour).astype(np.uint8)


def millimetres(i: int) -> np.ndarray:
    """(H, W), a hole at HOLE."""
    row, column = np.ogrid[: 5 + i, :7]
    depth = (1000 + 100 * i + 10 * row + column).astype(np.uint16)
    depth[HOLE] = 0
    return depth


def rows(scenes: tuple[str, ...] = SCENES) -> list[dict[str, str]]:
    kinds = {"a": "attic", "b": "bath", "c": "", "d": "den"}
    return [
        {"rgb": f"rgb/{i}.png", "depth": f"depth/{i}.png", "scene_id": s, "scene_type": kinds.get(s, "exit")}
        for i, s in enumerate(scenes)
    ]


def write_index(root: Path, lines: list[dict[str, str]]) -> None:
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def write_pairs(root: Path, lines: list[dict[str, str]]) -> Path:
    for folder in ("rgb", "depth"):
        (root / folder).mkdir(parents=True)
    for i in range(len(lines)):
        Image.fromarray(picture(i)).save(root / f"rgb/{i}.png")
        Image.fromarray(millimetres(i)).save(root / f"depth/{i}.png")
    write_index(root, lines)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "pairs", rows())


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Pairs of which lines 2 and 3 are test, 4 is val, the others train."""
    assigned = ("test", "test", "val", "train", "train", "train", "train", "train")
    lines = [row | {"split": split, "id": f"#{i}"} for i, (row, split) in enumerate(zip(rows(), assigned, strict=True))]
    return write_pairs(tmp_path / "listed", lines)


def numbers(dataset: Pairs) -> list[int]:
    return [int(Path(dataset.name(i)).stem) for i in range(len(dataset))]


def test_splits_share_no_scene_and_hold_every_pair(root: Path) -> None:
    held = {split: numbers(Pairs(split, root)) for split in SPLITS}
    assert sorted(i for held_by_one in held.values() for i in held_by_one) == list(range(len(SCENES)))
    scenes = [{SCENES[i] for i in held[split]} for split in SPLITS]
    assert sum(map(len, scenes)) == len(set(SCENES))
    assert all(scenes)
    assert len(held["train"]) >= max(map(len, held.values()))


def test_a_test_share_of_one_takes_every_pair(root: Path) -> None:
    whole = Pairs("test", root, test_share=1)
    parts = [Pairs(split, root) for split in SPLITS]
    assert sorted(whole.name(i) for i in range(len(whole))) == sorted(
        part.name(i) for part in parts for i in range(len(part))
    )
    assert "shares" not in whole.dealt()
    with pytest.raises(UserError, match="test_share is 1, so that no image is left for 'val'; lower it"):
        Pairs("val", root, test_share=1)


def test_shares_change_the_cut(root: Path) -> None:
    assert len(Pairs("test", root, test_share=0.5)) > len(Pairs("test", root, test_share=0.1))


def test_column_split_is_obeyed(listed: Path) -> None:
    names = {split: [d.name(i) for i in range(len(d))] for split in SPLITS for d in [Pairs(split, listed)]}
    assert names == {"test": ["#0", "#1"], "val": ["#2"], "train": ["#3", "#4", "#5", "#6", "#7"]}


@pytest.mark.parametrize("split", SPLITS)
def test_every_pixel_is_where_it_belongs(root: Path, split: str) -> None:
    dataset = Pairs(split, root)
    for i, number in enumerate(numbers(dataset)):
        image, depth, valid, scene = dataset[i][:4]
        assert (image.dtype, depth.dtype, valid.dtype, scene.dtype) == (
            torch.uint8,
            torch.float32,
            torch.bool,
            torch.int64,
        )
        assert image.shape == (3, 5 + number, 7)
        assert np.array_equal(image.permute(1, 2, 0), picture(number))
        assert np.allclose(depth[0], millimetres(number) / 1000, rtol=1e-6)
        assert [tuple(hole) for hole in (~valid).nonzero().tolist()] == [(0, *HOLE)]
        kind = rows()[number]["scene_type"]
        assert scene == (dataset.scene_types.index(kind) if kind else -1)
        assert dataset.name(i) == f"rgb/{number}.png"


def test_scene_types_are_those_of_the_whole_index(root: Path) -> None:
    for split in SPLITS:
        assert list(Pairs(split, root).scene_types) == ["attic", "bath", "den", "exit"]


def test_scene_types_may_be_absent(root: Path) -> None:
    write_index(root, [{key: row[key] for key in ("scene_id", "depth", "rgb")} for row in rows()])
    dataset = Pairs("train", root)
    assert list(dataset.scene_types) == []
    assert dataset[0].scene == -1


def test_depth_scale_is_units_per_metre(root: Path) -> None:
    a, b = Pairs("train", root)[0], Pairs("train", root, depth_scale=5000)[0]
    assert torch.allclose(a.depth, 5 * b.depth)


def test_depth_may_be_metres_in_npy(listed: Path) -> None:
    depth_m = (millimetres(2) / 1000).astype(np.float32)
    np.save(listed / "depth/2.npy", depth_m)
    replace(listed, 2, depth="depth/2.npy")
    sample = Pairs("val", listed, depth_scale=7)[0]
    assert np.array_equal(sample.depth[0], depth_m)
    assert np.array_equal(sample.valid[0], depth_m > 0)


def test_image_without_valid_depth_is_a_sample(listed: Path) -> None:
    Image.fromarray(0 * millimetres(2)).save(listed / "depth/2.png")
    assert not Pairs("val", listed)[0].valid.any()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_image_may_be_of_any_8_bit_mode(listed: Path, mode: str) -> None:
    Image.fromarray(picture(2)).convert(mode).save(listed / "rgb/2.png")
    assert Pairs("val", listed)[0].image.shape == (3, 7, 7)


def with_exif(path: Path, array: np.ndarray, orientation: int) -> None:
    image = Image.fromarray(array)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


def test_images_and_depth_are_turned_upright_by_their_exif_orientation(listed: Path) -> None:
    image, depth = picture(2), millimetres(2)[:5]  # 5 x 7 beside an image of 7 x 7
    with_exif(listed / "rgb/2.png", np.rot90(image[:5]), 6)  # 6: turn it by 90 degrees clockwise
    Image.fromarray(depth).save(listed / "depth/2.png")
    sample = Pairs("val", listed)[0]
    assert np.array_equal(sample.image.permute(1, 2, 0), image[:5])
    assert np.array_equal(sample.depth[0], depth.astype(np.float32) / np.float32(1000))
    with_exif(listed / "depth/2.png", np.rot90(depth), 6)
    assert np.array_equal(Pairs("val", listed)[0].depth, sample.depth)


def test_a_turned_image_beside_depth_that_is_not_turned_is_refused(listed: Path) -> None:
    with_exif(listed / "rgb/2.png", np.rot90(picture(2)[:5]), 6)
    Image.fromarray(np.ascontiguousarray(np.rot90(millimetres(2)[:5]))).save(listed / "depth/2.png")
    with pytest.raises(
        UserError, match=r"depth/2\.png is 5 x 7 pixels, its image .* 7 x 5, turned upright by .*, 6; turn"
    ):
        Pairs("val", listed)


@pytest.mark.parametrize("orientation", [2, 3, 4, 6])  # at 7 x 7 pixels none of these changes the size
def test_a_turned_image_is_refused_where_its_size_does_not_show_whether_depth_is_turned(
    listed: Path, orientation: int
) -> None:
    with_exif(listed / "rgb/2.png", picture(2), orientation)
    with pytest.raises(UserError, match=rf"csv:4: rgb: rgb/2\.png is turned .* orientation, {orientation}, .*without"):
        Pairs("val", listed)
    with_exif(listed / "depth/2.png", millimetres(2), orientation)
    assert len(Pairs("val", listed)) == 1, "both are turned"


def test_a_turn_that_only_the_pixels_end_shows_is_refused_as_the_pair_is_read(listed: Path) -> None:
    save_turned(listed / "rgb/2.png", picture(2), 3, behind=True)
    with pytest.raises(UserError, match=r"csv:4: rgb: rgb/2\.png is turned by its EXIF orientation, 3, "):
        Pairs("val", listed)[0]


def test_colours_of_16_bits_are_read_by_their_upper_8(listed: Path) -> None:
    write_png16(listed / "rgb/2.png", picture(2).astype(np.uint16) * 256 + 99)
    assert np.array_equal(Pairs("val", listed)[0].image.permute(1, 2, 0), picture(2))


def test_index_as_spreadsheets_write_it(listed: Path) -> None:
    before = Pairs("val", listed).fingerprint()
    text = (listed / "index.csv").read_text(encoding="utf-8")
    spread = "\ufeff" + text.replace("\r\n", "\n").replace(",", " , ").replace("\n", "\r\n") + "\r\n\r\n"
    (listed / "index.csv").write_text(spread, encoding="utf-8", newline="")
    assert Pairs("val", listed).fingerprint() == before


CAMERA = {"fx": "7.25", "fy": "7.5", "cx": "3.5", "cy": "2.875"}


def with_cameras(root: Path) -> Path:
    """Give every pair but the first a camera."""
    write_index(root, [row | (CAMERA if i else dict.fromkeys(CAMERA, "")) for i, row in enumerate(rows())])
    return root


def test_cameras_are_those_of_the_index_and_may_be_unknown(root: Path) -> None:
    assert all(Pairs(split, root)[0].intrinsics is None for split in SPLITS)
    with_cameras(root)
    for split in SPLITS:
        dataset = Pairs(split, root)
        for i, number in enumerate(numbers(dataset)):
            camera = dataset[i].intrinsics
            if number == 0:
                assert camera is None
            else:
                assert camera is not None
                assert camera.dtype == torch.float32
                assert camera.tolist() == [7.25, 7.5, 3.5, 2.875]


def test_samples_are_writable(root: Path) -> None:
    sample = Pairs("train", root)[0]
    sample.image.zero_()
    sample.depth.zero_()
    assert Pairs("train", root)[0].image.any()


def test_pickles(root: Path) -> None:
    dataset = Pairs("train", root)
    again = pickle.loads(pickle.dumps(dataset))
    assert same(dataset[1], again[1])
    assert again.fingerprint() == dataset.fingerprint()


class TestFingerprint:
    @pytest.mark.parametrize("whole", [True, False])
    def test_knows_no_path_and_no_date(
        self, root: Path, tmp_path: Path, whole: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not whole:
            monkeypatch.setattr(files_module, "HASHED_WHOLE_BYTES", 0)
        copy = shutil.copytree(root, tmp_path / "elsewhere", copy_function=shutil.copyfile)
        prints = [Pairs(split, folder).fingerprint() for folder in (root, copy) for split in SPLITS]
        assert prints[:3] == prints[3:]
        assert len(set(prints)) == 3

    @pytest.mark.parametrize("whole", [True, False])
    @pytest.mark.parametrize("file", ["rgb/2.png", "depth/2.png"])
    def test_sees_changed_content(self, listed: Path, file: str, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        if not whole:
            monkeypatch.setattr(files_module, "HASHED_WHOLE_BYTES", 0)
        before = [Pairs(split, listed).fingerprint() for split in SPLITS]
        with Image.open(listed / file) as image:
            changed = np.array(image)
        changed[0, 0] += 1
        Image.fromarray(changed).save(listed / file)
        after = [Pairs(split, listed).fingerprint() for split in SPLITS]
        assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]

    @pytest.mark.parametrize(("column", "value"), [("scene_id", "z"), ("scene_type", "exit"), ("id", "new")])
    def test_sees_a_changed_line(self, listed: Path, column: str, value: str) -> None:
        before = Pairs("val", listed).fingerprint()
        replace(listed, 2, **{column: value})
        assert Pairs("val", listed).fingerprint() != before

    @pytest.mark.parametrize("column", ["fx", "fy", "cx", "cy"])
    def test_sees_a_changed_camera(self, root: Path, column: str) -> None:
        without = [Pairs(split, root).fingerprint() for split in SPLITS]
        before = [Pairs(split, with_cameras(root)).fingerprint() for split in SPLITS]
        assert not {*without} & {*before}
        holds = [3 in numbers(Pairs(split, root)) for split in SPLITS]
        replace(root, 3, **{column: "4"})
        after = [Pairs(split, root).fingerprint() for split in SPLITS]
        assert [a != b for a, b in zip(before, after, strict=True)] == holds

    def test_a_focal_length_alone_is_no_camera(self, root: Path) -> None:
        before = [Pairs(split, root).fingerprint() for split in SPLITS]
        write_index(root, [row | {"fx": "518.86"} for row in rows()])
        assert [Pairs(split, root).fingerprint() for split in SPLITS] == before
        assert Pairs("train", root)[0].intrinsics is None

    def test_sees_the_scale(self, root: Path) -> None:
        assert Pairs("val", root).fingerprint() != Pairs("val", root, depth_scale=500).fingerprint()

    def test_columns_that_say_nothing_do_not_count(self, root: Path) -> None:
        before = Pairs("val", root).fingerprint()
        write_index(root, [row | {"licence": "CC0", "note": "a, b"} for row in rows()])
        assert Pairs("val", root).fingerprint() == before


def replace(root: Path, pair: int, **cells: str) -> None:
    """Change cells of the line of a pair, counted from 0; it stands on line `pair + 2`."""
    with (root / "index.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    lines[pair] |= cells
    write_index(root, lines)


def line(pair: int, **cells: str) -> Callable[[Path], None]:
    return lambda root: replace(root, pair, **cells)


def saved(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda root: Image.fromarray(array).save(root / name)


def npy(content: Any) -> Callable[[Path], None]:
    """Give pair 3 a `.npy`."""

    def damage(root: Path) -> None:
        if isinstance(content, bytes):
            (root / "depth/3.npy").write_bytes(content)
        else:
            np.save(root / "depth/3.npy", content)
        replace(root, 3, depth="depth/3.npy")

    return damage


def write_png16(path: Path, colours: np.ndarray) -> None:
    """Write (H, W, 3) uint16 as PNG, which Pillow cannot."""
    height, width, _ = colours.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    )


def text(edit: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda root: (root / "index.csv").write_bytes(edit((root / "index.csv").read_text()).encode()) and None


def camera(**cells: str) -> Callable[[Path], None]:
    """Give every pair a camera, that of pair 3 with these cells."""

    def damage(root: Path) -> None:
        with (root / "index.csv").open(newline="") as file:
            lines = [row | CAMERA for row in csv.DictReader(file)]
        lines[3] |= cells
        write_index(root, lines)

    return damage


def cut_file(name: str, size: int) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:size]) and None


def pipe(name: str) -> Callable[[Path], None]:
    """Put a pipe in a file's place: whoever opens it waits for ever."""
    return lambda root: (root / name).unlink() or os.mkfifo(root / name)


def bomb(name: str) -> Callable[[Path], None]:
    """Make a PNG say that it has 10^10 pixels."""

    def damage(root: Path) -> None:
        content = (root / name).read_bytes()
        header = b"IHDR" + struct.pack(">II", 100_000, 100_000) + content[24:29]
        (root / name).write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])

    return damage


def npy_header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


SHAPE = (8, 7)
DAMAGE: dict[str, tuple[Callable[[Path], Any], str, list[str]]] = {
    # what is done to the listed pairs, of which pair 3 stands on line 5: the place, and words of cause and remedy
    "no index": (
        lambda r: (r / "index.csv").unlink(),
        "index.csv: ",
        ["no such file", "name a folder that holds", "scene_id"],
    ),
    "no folder": (shutil.rmtree, "index.csv: ", ["no such file", "name a folder that holds"]),
    "empty index": (text(lambda t: ""), "index.csv:1: ", ["header", "empty", "rgb, depth, scene_id"]),
    "header alone": (text(lambda t: t.splitlines()[0]), "index.csv: ", ["no line below the header", "list"]),
    "semicolons": (
        text(lambda t: t.replace(",", ";")),
        "index.csv:1: ",
        ["columns are separated by ';'; separate them by"],
    ),
    "tabs": (
        text(lambda t: t.replace(",", "\t")),
        "index.csv:1: ",
        ["columns are separated by a tab; separate them by"],
    ),
    "no column": (text(lambda t: t.replace("scene_id", "room")), "index.csv:1: ", ["without the column scene_id"]),
    "column twice": (text(lambda t: t.replace("scene_type", "rgb")), "index.csv:1: ", ["column twice", "once"]),
    "open quote": (text(lambda t: t.replace("rgb/3.png", '"rgb/3.png')), "index.csv:5: ", ["no CSV", "close quotes"]),
    "not UTF-8": (lambda r: (r / "index.csv").write_bytes(b"rgb\xff"), "index.csv: ", ["UTF-8", "byte 3", "save it"]),
    "too many fields": (text(lambda t: t.replace("depth/3", "x,y")), "index.csv:5: ", ["7 fields under 6", "quote"]),
    "no image": (
        lambda r: (r / "rgb/3.png").unlink(),
        "index.csv:5: rgb: rgb/3.png ",
        ["does not exist", "leave it out"],
    ),
    "no depth": (lambda r: (r / "depth/3.png").unlink(), "index.csv:5: depth: depth/3.png ", ["does not exist"]),
    "no image named": (line(3, rgb=""), "index.csv:5: rgb: ", ["is empty", "name a file"]),
    "no scene named": (line(3, scene_id=""), "index.csv:5: scene_id: ", ["is empty", "splits are cut by it"]),
    "no id": (line(3, id=""), "index.csv:5: id: ", ["is empty", "leave the column out"]),
    "image a folder": (line(3, rgb="rgb"), "index.csv:5: rgb: rgb ", ["is a folder", "name a file"]),
    "image a text": (line(3, rgb="index.csv"), "index.csv:5: rgb: index.csv ", ["cannot be read as an image"]),
    "image emptied": (cut_file("rgb/3.png", 0), "index.csv:5: rgb: rgb/3.png ", ["cannot be read as an image"]),
    "image of 16 bits": (saved("rgb/3.png", millimetres(3)), "index.csv:5: rgb: rgb/3.png ", ["I;16", "8-bit RGB"]),
    "image a pipe": (pipe("rgb/3.png"), "index.csv:5: rgb: rgb/3.png ", ["is a pipe", "name a file"]),
    "depth a pipe": (pipe("depth/3.png"), "index.csv:5: depth: depth/3.png ", ["is a pipe", "name a file"]),
    "npy a pipe": (
        lambda r: (os.mkfifo(r / "3.npy"), replace(r, 3, depth="3.npy")),
        "index.csv:5: depth: 3.npy ",
        ["is a pipe", "name a file"],
    ),
    "image named too long": (line(3, rgb="a" * 300), "index.csv:5: rgb: aaa", ["cannot be read", "too long"]),
    "image named with a null": (line(3, rgb="a\0.png"), "index.csv:5: rgb: a", ["cannot be read", "null"]),
    "image a bomb": (bomb("rgb/3.png"), "index.csv:5: rgb: rgb/3.png ", ["more than", "pixels", "scale it down"]),
    "depth a bomb": (bomb("depth/3.png"), "index.csv:5: depth: depth/3.png ", ["more than", "pixels"]),
    "npy of a shape that it does not hold": (
        npy(npy_header("(1000000, 1000000)")),
        "index.csv:5: depth: depth/3.npy ",
        ["cannot be read as a .npy", "replace"],
    ),
    "npy of an impossible shape": (npy(npy_header("(-1, 10**80)")), "index.csv:5: depth: ", ["cannot be read"]),
    "depth of 8 bits": (saved("depth/3.png", picture(3)[..., 0]), "index.csv:5: depth: depth/3.png ", ["8-bit PNG"]),
    "depth in colours": (saved("depth/3.png", picture(3)), "index.csv:5: depth: depth/3.png ", ["RGB", "16-bit grey"]),
    "depth in JPEG": (line(3, depth="rgb/3.jpg"), "index.csv:5: depth: rgb/3.jpg ", ["does not exist"]),
    "depth a TIFF": (
        lambda r: (Image.fromarray(millimetres(3)).save(r / "d.tiff"), replace(r, 3, depth="d.tiff")),
        "index.csv:5: depth: d.tiff ",
        ["TIFF", "16-bit grey PNG"],
    ),
    "sizes differ": (saved("depth/3.png", millimetres(4)), "index.csv:5: depth: ", ["7 x 9", "7 x 8", "registered"]),
    "npy sizes differ": (npy(np.ones((7, 8), "f4")), "index.csv:5: depth: ", ["8 x 7 pixels", "7 x 8", "registered"]),
    "npy of doubles": (npy(np.ones(SHAPE)), "index.csv:5: depth: depth/3.npy ", ["float64", "float32 metres"]),
    "npy of millimetres": (npy(np.ones(SHAPE, "u2")), "index.csv:5: depth: depth/3.npy ", ["uint16", "float32"]),
    "npy of two axes more": (npy(np.ones((1, *SHAPE), "f4")), "index.csv:5: depth: ", ["(1, 8, 7)", "(H, W)"]),
    "npy of objects": (
        npy(np.array([[None]])),
        "index.csv:5: depth: depth/3.npy ",
        ["Python objects", "store (H, W)"],
    ),
    "npy a text": (npy(b"depth"), "index.csv:5: depth: depth/3.npy ", ["cannot be read as a .npy", "replace"]),
    "npy missing": (line(3, depth="3.npy"), "index.csv:5: depth: 3.npy ", ["does not exist", "leave it out"]),
    "absolute": (line(3, rgb="/etc/3.png"), "index.csv:5: rgb: /etc/3.png ", ["absolute", "relative"]),
    "absolute on Windows": (line(3, rgb="C:/3.png"), "index.csv:5: rgb: C:/3.png ", ["absolute", "relative"]),
    "backslash": (line(3, rgb="rgb\\3.png"), "index.csv:5: rgb: rgb\\3.png ", ["backslash", "write /"]),
    "outside": (line(3, depth="depth/../../3.png"), "index.csv:5: depth: ", ["leaves the folder", "keep every file"]),
    "image twice": (
        line(3, rgb="rgb/1.png", depth="depth/1.png"),
        "index.csv:5: rgb: rgb/1.png ",
        ["line 3's image too", "remove"],
    ),
    "id twice": (line(3, id="#1"), "index.csv:5: id: '#1' ", ["line 3's too", "its own"]),
    "unknown split": (line(3, split="eval"), "index.csv:5: split: 'eval' ", ["train, val, test", "drop the column"]),
    "split left out": (line(3, split=""), "index.csv:5: split: '' ", ["train, val, test"]),
    "camera incomplete": (camera(cy=""), "index.csv:5: cy: ", ["is empty", "fx, fy, cx, cy", "leave all empty"]),
    "camera in words": (camera(fx="518.86 px"), "index.csv:5: fx: '518.86 px' ", ["no number", "no unit"]),
    "camera negative": (camera(fy="-7.5"), "index.csv:5: fy: -7.5 ", ["above 0", "top left corner"]),
    "camera infinite": (camera(cx="inf"), "index.csv:5: cx: inf ", ["above 0"]),
    "scene in two splits": (line(5, split="test"), "index.csv:7: split: scene 'd' ", ["test here", "train on line 6"]),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_with_place_cause_and_remedy(listed: Path, case: str) -> None:
    damage, place, words = DAMAGE[case]
    damage(listed)
    with pytest.raises(UserError) as caught:
        Pairs("train", listed)
    message = str(caught.value)
    assert message.startswith(f"{listed}/{place}"), message
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message


def test_every_fault_is_told_at_once_in_the_order_of_lines(listed: Path) -> None:
    (listed / "rgb/7.png").unlink()
    for name in ("unknown split", "depth in colours", "id twice"):
        DAMAGE[name][0](listed)
    line(4, rgb="../4.png", scene_id="")(listed)
    with pytest.raises(UserError) as caught:
        Pairs("train", listed)
    places = [fault.removeprefix(f"{listed}/index.csv:").split(": ")[:2] for fault in str(caught.value).splitlines()]
    assert places == [["5", "split"], ["6", "rgb"], ["6", "scene_id"], ["9", "rgb"]]


def test_many_faults_are_counted(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "many", rows(tuple("abc" * 8)))
    shutil.rmtree(root / "depth")
    (root / "index.csv").write_text((root / "index.csv").read_text().replace("depth/", "../"))
    with pytest.raises(UserError) as caught:
        Pairs("train", root)
    assert len(str(caught.value).splitlines()) == 21
    assert str(caught.value).endswith("and 4 more faults in index.csv")


def test_files_of_other_splits_are_not_opened(listed: Path) -> None:
    (listed / "rgb/0.png").unlink()
    assert len(Pairs("train", listed)) == 5
    with pytest.raises(UserError, match=r"index\.csv:2: rgb"):
        Pairs("test", listed)


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "NaN"), (np.inf, "infinite"), (-0.5, "negative"), (1500.0, "millimetres")]
)
def test_metres_that_are_none_are_named_upon_reading(listed: Path, value: float, words: str) -> None:
    depth_m = np.ones(SHAPE, np.float32)
    depth_m[2, 3] = value
    npy(depth_m)(listed)
    dataset = Pairs("train", listed)
    with pytest.raises(UserError, match=rf"index\.csv:5: depth: depth/3\.npy: .*{words}.*store metres"):
        dataset[0]


def test_wrong_scale_is_named_upon_reading(listed: Path) -> None:
    with pytest.raises(UserError, match=r"index\.csv:5: depth: depth/3\.png: depth of 1376 m.*set depth_scale"):
        Pairs("train", listed, depth_scale=1)[0]


@pytest.mark.parametrize("column", ["rgb", "depth"])
def test_truncated_file_is_named_upon_reading(listed: Path, column: str) -> None:
    cut_file(f"{column}/3.png", 50)(listed)
    dataset = Pairs("train", listed)
    with pytest.raises(UserError, match=rf"index\.csv:5: {column}: {column}/3\.png cannot be read .*replace"):
        dataset[0]


def test_file_changed_since_is_named_upon_reading(listed: Path) -> None:
    dataset = Pairs("train", listed)
    saved("depth/3.png", millimetres(4))(listed)
    with pytest.raises(UserError, match=r"index\.csv:5: depth: depth/3\.png .*7 x 9"):
        dataset[0]


def test_too_few_scenes_to_cut(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "two", rows(("a", "b", "b")))
    with pytest.raises(UserError, match=r"index\.csv: scene_id: 2 scenes cannot be cut .*column `split`"):
        Pairs("train", root)


def test_split_without_lines(listed: Path) -> None:
    replace(listed, 2, split="train")
    assert len(Pairs("train", listed)) == 6
    with pytest.raises(UserError, match=r"index\.csv: split: no line is of split 'val'; give"):
        Pairs("val", listed)


def test_no_folder_named() -> None:
    with pytest.raises(UserError) as caught:
        Pairs("train", None)
    for words in ("--data pairs=DIR", "CLIFFKIT_DATA_PAIRS", "index.csv", "rgb, depth, scene_id"):
        assert words in str(caught.value)


def test_unknown_split(root: Path) -> None:
    with pytest.raises(UserError, match="no split 'dev'; the splits are train, val, test"):
        Pairs("dev", root)


@pytest.mark.parametrize("scale", [0, -1000, float("nan"), float("inf")])
def test_impossible_scale(root: Path, scale: float) -> None:
    with pytest.raises(UserError, match=r"depth_scale is .*units per metre"):
        Pairs("train", root, depth_scale=scale)


@pytest.mark.parametrize("shares", [(0, 0.2), (0.1, 1), (0.5, 0.5)])
def test_impossible_shares(root: Path, shares: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r"(val|test)_share"):
        Pairs("train", root, val_share=shares[0], test_share=shares[1])


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_real_pairs() -> None:
    splits = {split: Pairs(split, REAL) for split in SPLITS}
    assert sum(map(len, splits.values())) == 89
    assert len(splits["train"]) > 44
    scenes = [{pair.scene_id for pair in dataset._pairs} for dataset in splits.values()]
    assert sum(map(len, scenes)) == len(set.union(*scenes)) == 23
    for dataset in splits.values():
        for i in range(0, len(dataset), 5):
            sample = dataset[i]
            assert sample.image.shape[1:] == sample.depth.shape[1:] == sample.valid.shape[1:]
            assert sample.valid.any()
            assert 0 <= sample.scene < len(dataset.scene_types) == 11
