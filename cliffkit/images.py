"""Image files as cliffkit sees them: RGB, 8 bits a channel, upright. Every image is read here.

For authors of data sets: `read_rgb` reads an image, `size_of` measures it without decoding its pixels, `open_image` is
for whatever else Pillow can read of a file. Every failure is a UserError that names place, cause and remedy.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import TiffImageFile

from cliffkit.errors import UserError

MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
"""Pillow's modes of at most 8 bits a channel. Pillow reads colours of 16 bits as such, by their upper 8 bits."""

_TURNS: Mapping[int, Image.Transpose] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
"""What makes an image upright, by its EXIF orientation. 1 is upright."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations of images whose width and height are exchanged in the file."""

_EXIF_KEYS = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp"})


def check_file(path: Path, place: str = "") -> None:
    """Check that a path names a regular file, without opening it: to open a pipe is to wait for its writer.

    Messages begin with `place`, or else with the path. Raises UserError.
    """
    place = place or f"{path}:"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise UserError(f"{place} does not exist; put it there or leave it out") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise UserError(f"{place} cannot be read ({_cause(error)}); mend that or leave it out") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise UserError(f"{place} is {kind}, not a file; name a file or leave it out")


@contextmanager
def open_image(path: Path, place: str = "") -> Iterator[Image.Image]:
    """Open an image file as it is stored, its pixels not yet decoded.

    Messages begin with `place`, or else with the path. Raises UserError for whatever Pillow raises, here or in the
    body of the `with`.
    """
    place = place or f"{path}:"
    check_file(path, place)
    try:
        with Image.open(path) as image:
            yield image
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(f"{place} has more than {most} pixels, the most that Pillow reads; scale it down") from error
    except Exception as error:  # Pillow's decoders let pass whatever a damaged file provokes
        raise UserError(
            f"{place} cannot be read as an image ({_cause(error)}); replace the file or leave it out"
        ) from error


def read_rgb(path: Path, place: str = "") -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB, upright. Raises UserError as `open_image` and `to_rgb` do."""
    with open_image(path, place) as image:
        return to_rgb(image, place or f"{path}:")


def to_rgb(image: Image.Image, place: str = "the image") -> NDArray[np.uint8]:
    """Turn a PIL image into (H, W, 3) uint8 RGB, upright by its EXIF orientation.

    Transparency is dropped. Raises UserError, which begins with `place`, as `check_mode` does.
    """
    check_mode(image, place)
    return np.array(upright(image).convert("RGB"))


def upright(image: Image.Image) -> Image.Image:
    """Turn an image upright by its EXIF orientation; the image itself where it is."""
    image.load()  # before its orientation is looked up: Pillow turns TIFFs as it decodes them
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def check_mode(image: Image.Image, place: str = "the image") -> None:
    """Check that an image has at most 8 bits a channel, or colours of 16 bits, without decoding its pixels.

    Grey of 16 bits and more is refused: cameras fill 10 or 12 of them, depth maps hold millimetres, and no file says
    which value is white. Raises UserError.
    """
    if image.mode not in MODES:
        raise UserError(
            f"{place} is of mode {image.mode}, not 8 bits a channel: which of its values is white, no file says; store "
            f"an 8-bit RGB image, or leave it out"
        )


def size_of(image: Image.Image) -> tuple[int, int]:
    """Measure an image just opened, upright, without decoding its pixels: (width, height)."""
    width, height = image.size
    if isinstance(image, TiffImageFile):  # some versions of Pillow give the upright size of a TIFF, some the stored
        width, height = image.tag_v2[Base.ImageWidth], image.tag_v2[Base.ImageLength]
    return (height, width) if orientation(image) in SIDEWAYS else (width, height)


def orientation(image: Image.Image) -> int:
    """Look up the EXIF orientation of an image just opened, 1 to 8, without decoding its pixels.

    An image without one is upright, 1.
    """
    if image.format == "PNG" and not _EXIF_KEYS & image.info.keys():
        return 1  # Pillow would decode every pixel to look for a tag behind them
    value = image.getexif().get(Base.Orientation)
    return next((turn for turn in _TURNS if turn == value), 1)


def _cause(error: Exception) -> str:
    """Put an exception into a few words."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
