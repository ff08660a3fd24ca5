"""Whether a depth map lies as its image does: images are turned upright by EXIF, and few depth maps have such a tag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cliffkit.images import SIDEWAYS, orientation, size_of, to_rgb, upright


class Seen(NamedTuple):
    """A file of a pair, as far as size and turn go."""

    place: str
    """How messages on it begin."""
    name: str
    """What messages on the other file of the pair call it."""
    size: tuple[int, ...]
    """Width and height when upright, pixels."""
    turn: int = 1
    """EXIF orientation; 1 is upright, as is a file that has none."""


def look(image: Image.Image, place: str, name: str) -> Seen:
    """Look at the header of an image just opened."""
    return Seen(place, name, size_of(image), orientation(image))


def read_image(image: Image.Image, place: str, name: str) -> tuple[NDArray[np.uint8], Seen]:
    """Read an image just opened as (H, W, 3) uint8 RGB, upright. Raises UserError as `cliffkit.images.to_rgb` does."""
    return _read(image, place, name, lambda opened: to_rgb(opened, place))


def read_depth(image: Image.Image, place: str, name: str) -> tuple[NDArray[Any], Seen]:
    """Read a 16-bit grey image just opened as (H, W) numbers, upright."""
    return _read(image, place, name, lambda opened: np.asarray(upright(opened)))


def _read(
    image: Image.Image, place: str, name: str, read: Callable[[Image.Image], NDArray[Any]]
) -> tuple[NDArray[Any], Seen]:
    """Read an image, and see how it was turned."""
    turn = orientation(image)
    array = read(image)
    if turn == 1:
        turn = orientation(image)  # the tag of a PNG may stand behind its pixels
    return array, Seen(place, name, array.shape[1::-1], turn)


def pair_fault(image: Seen, depth: Seen) -> str:
    """Say why a depth map cannot be that of an image, or nothing."""
    if image.size != depth.size:
        return _size_fault(image, depth)
    width, height = image.size
    ambiguous = image.turn not in SIDEWAYS or width == height
    if image.turn not in (1, depth.turn) and ambiguous:
        return (
            f"{image.place} is turned by its EXIF orientation, {image.turn}, and its size does not show whether the "
            f"depth map {depth.name} is turned too; store the image upright, without that tag"
        )
    return ""


def _size_fault(image: Seen, depth: Seen) -> str:
    """Describe two sizes that differ."""
    fault = (
        f"{depth.place} is {depth.size[0]} x {depth.size[1]} pixels, its image {image.name} {image.size[0]} x "
        f"{image.size[1]}"
    )
    if depth.size == image.size[::-1] and image.turn in SIDEWAYS and depth.turn == 1:
        return (
            f"{fault}, turned upright by its EXIF orientation, {image.turn}; turn the depth map as well, or store the "
            f"image as it was when depth was registered, without that tag"
        )
    return f"{fault}; give the depth map that was registered to this image"
