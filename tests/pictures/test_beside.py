"""A photo beside its depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize
from PIL import Image

from cliffkit.pictures.beside import Beside, beside_png
from cliffkit.pictures.painted import painted
from cliffkit.pictures.png import depth_colour_png, is_marked

PHOTO = np.random.default_rng(0).integers(0, 256, (60, 300, 3), np.uint8)
DEPTH = np.linspace(1, 9, 60 * 300).reshape(60, 300)


def read(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_photo_stands_beside_the_colours_of_its_depth_pixel_by_pixel(tmp_path: Path) -> None:
    beside_png(tmp_path / "b.png", PHOTO, painted(DEPTH))
    depth_colour_png(tmp_path / "c.png", painted(DEPTH))
    picture, colours = read(tmp_path / "b.png"), read(tmp_path / "c.png")
    assert np.array_equal(picture[:60, :300], PHOTO)
    left = next(x for x in range(300, 330) if np.array_equal(picture[:60, x : x + 300], colours[:60, :300]))
    assert (picture[:60, 300:left] == 255).all(), "white between them"
    assert (picture[60:] < 128).any(), "a scale below"
    assert is_marked(tmp_path / "b.png")


def test_sides_are_even_and_photos_of_another_size_are_fitted() -> None:
    for height, width in ((1, 1), (35, 61), (7, 1000)):
        draw = Beside((height, width), Normalize(1, 9), (True, True), grey=False)
        picture = draw(PHOTO, DEPTH)
        assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
        assert np.array_equal(picture[height + height % 2 :], draw(PHOTO, DEPTH / 2)[height + height % 2 :])
