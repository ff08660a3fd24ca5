from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from cliffkit.errors import UserError
from cliffkit.images import open_image, orientation, read_rgb, size_of, to_rgb

PIXELS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_an_image_is_turned_upright_as_its_exif_orientation_says(tmp_path: Path, turn: int, suffix: str) -> None:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = turn
    path = tmp_path / f"image.{suffix}"
    image.save(path, exif=exif)
    with open_image(path) as stored:
        found, size = orientation(stored), size_of(stored)
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened)
    assert found == turn
    assert size == upright.size
    assert np.array_equal(read_rgb(path), np.asarray(upright))
    with Image.open(path) as opened:
        assert np.array_equal(to_rgb(opened), read_rgb(path)), "an opened image is read as its file is"


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_is_upright(tmp_path: Path, value: int) -> None:
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = value
    image.save(tmp_path / "image.png", exif=exif)
    assert np.array_equal(read_rgb(tmp_path / "image.png"), PIXELS)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_images_of_8_bits_a_channel_are_read_as_rgb(tmp_path: Path, mode: str) -> None:
    black_and_white = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert(mode)
    black_and_white.save(tmp_path / "image.tiff")
    assert read_rgb(tmp_path / "image.tiff").tolist() == [[[0] * 3, [255] * 3], [[255] * 3, [0] * 3]]


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_grey_of_more_than_8_bits_is_refused_with_the_reason(tmp_path: Path, dtype: str) -> None:
    Image.fromarray(np.full((4, 4), 4095, dtype)).save(tmp_path / "image.tiff")
    with pytest.raises(UserError, match=r"image\.tiff: is of mode .*which of its values is white.*store an 8-bit RGB"):
        read_rgb(tmp_path / "image.tiff")


def test_messages_begin_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^list:3: a\.png does not exist; put it there or leave it out$"):
        read_rgb(tmp_path / "a.png", "list:3: a.png")


def test_what_is_no_regular_file_is_refused_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path, kind in ((tmp_path / "pipe.png", "a pipe"), (tmp_path, "a folder"), (Path("/dev/zero"), "a pipe, a")):
        with pytest.raises(UserError, match=f"is {kind}.*name a file"):
            read_rgb(path)


def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "bomb.png")
    content = (tmp_path / "bomb.png").read_bytes()
    header = b"IHDR" + struct.pack(">II", 100_000, 100_000) + content[24:29]
    (tmp_path / "bomb.png").write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    with pytest.raises(UserError, match=r"bomb\.png: has more than 178956970 pixels.*scale it down"):
        read_rgb(tmp_path / "bomb.png")


def test_a_damaged_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(PIXELS).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(200):
        content = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            read_rgb(path)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert [message for message in messages if not message.startswith(f"{path}: ")] == []
