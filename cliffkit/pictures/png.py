"""Depth maps as PNG: in colour with a scale for people, in 16-bit millimetres for programs."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from cliffkit.pictures.colours import Floats, check_map
from cliffkit.pictures.painted import Painted
from cliffkit.pictures.strip import LEAST_WIDTH, STRIP_HEIGHT, scale_strip, text_size

try:
    from isal.isal_zlib import compress
except ImportError:  # not to be had for this processor: the same pixels, in larger files and four times the time
    from zlib import compress

_MAX_MM = 65535


def depth_colour_png(path: Path, depth: Painted) -> None:
    """Draw depth (H, W) in colour at exactly its own size, at the top left, and below it a scale in metres.

    The strip below adds to the height, and to the width where the map is narrower than its labels. Depths beyond the
    scale take the colour of its end, which is then drawn as a point.
    """
    height, width = depth.pixels.shape[:2]
    size = text_size(width)
    strip_w = max(width, LEAST_WIDTH * size)
    canvas = np.full((height + STRIP_HEIGHT * size, strip_w, 3), 255, np.uint8)
    canvas[:height, :width] = depth.pixels
    canvas[height:] = np.asarray(scale_strip(strip_w, depth.norm, size, depth.pointed, grey=depth.grey))
    save_png(path, canvas)


def save_depth_png16(path: Path, depth_m: Floats) -> None:
    """Write depth (H, W) as 16-bit grey PNG in millimetres, rounded to the nearest; 0 means that there is none.

    NaN, infinities and depths below 0.5 mm become 0; depths above 65.535 m become 65535.
    """
    save_png(path, millimetres(depth_m))


def millimetres(depth_m: Floats) -> NDArray[np.uint16]:
    """Bring depth (H, W) to the millimetres that `save_depth_png16` writes."""
    check_map(depth_m)
    finite = np.isfinite(depth_m)
    mm = depth_m.astype(np.float64)
    if not finite.all():
        mm[~finite] = 0
    with np.errstate(over="ignore"):
        mm *= 1000
    np.rint(mm, out=mm)
    rounded: NDArray[np.uint16] = mm.clip(0, _MAX_MM, out=mm).astype(np.uint16)
    return rounded


def save_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Encode 8-bit RGB (H, W, 3) or 16-bit grey (H, W) as PNG.

    Written here because others can compute meanwhile: PIL holds Python's lock while it compresses, ISA-L and zlib do
    not. At level 1 and with one filter for all rows (each byte less the one above) ISA-L takes a fifth of zlib's time.
    """
    height, width = pixels.shape[:2]
    wide = pixels.dtype == np.uint16
    rows = (pixels.astype(">u2") if wide else pixels).reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 16 if wide else 8, 0 if wide else 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(_SIGNATURE + _chunk(b"IHDR", header) + _MARK)
        file.write(_chunk(b"IDAT", compress(filtered.data, 1)) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = crc32(content, crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", check)))


_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MARK = _chunk(b"tEXt", b"Software\0cliffkit")
"""Stands right behind the header of every PNG that is written here."""

_MARK_AT = len(_SIGNATURE) + len(_chunk(b"IHDR", bytes(13)))


def is_marked(path: Path) -> bool:
    """Say whether a regular file is a PNG that was written here. Raises OSError where the file cannot be read."""
    with open(path, "rb") as file:
        head = file.read(_MARK_AT + len(_MARK))
    return head.startswith(_SIGNATURE) and head[_MARK_AT:] == _MARK
