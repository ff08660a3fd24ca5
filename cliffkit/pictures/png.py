"""Depth maps as PNG: in colour with a scale for people, in 16-bit millimetres for programs."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cliffkit.pictures.colours import Floats, beyond, check_map, coloured, depth_scale
from cliffkit.pictures.strip import LEAST_WIDTH, STRIP_HEIGHT, scale_strip, text_size

_MAX_MM = 65535


def depth_colour_png(path: Path, depth_m: Floats, vmin: float | None = None, vmax: float | None = None) -> None:
    """Draw depth (H, W) in colour at exactly its own size, at the top left, and below it a scale in metres.

    The strip below adds to the height, and to the width where the map is narrower than its labels. The scale spans the
    finite depths unless `vmin` or `vmax` (metres) say otherwise. Depths beyond take the colour of the end, which is
    then drawn as a point.
    """
    height, width = check_map(depth_m)
    norm = depth_scale(depth_m, vmin, vmax)
    size = text_size(width)
    strip_w = max(width, LEAST_WIDTH * size)
    canvas = Image.new("RGB", (strip_w, height + STRIP_HEIGHT * size), "white")
    canvas.paste(Image.fromarray(coloured(depth_m, norm)))
    grey = not np.isfinite(depth_m).all()
    canvas.paste(scale_strip(strip_w, norm, size, beyond(depth_m, norm), grey=grey), (0, height))
    save_png(path, np.asarray(canvas))


def save_depth_png16(path: Path, depth_m: Floats) -> None:
    """Write depth (H, W) as 16-bit grey PNG in millimetres, rounded to the nearest; 0 means that there is none.

    NaN, infinities and depths below 0.5 mm become 0; depths above 65.535 m become 65535.
    """
    save_png(path, millimetres(depth_m))


def millimetres(depth_m: Floats) -> NDArray[np.uint16]:
    """Bring depth (H, W) to the millimetres that `save_depth_png16` writes."""
    check_map(depth_m)
    with np.errstate(over="ignore"):
        mm = np.where(np.isfinite(depth_m), depth_m, 0).astype(np.float64) * 1000
    rounded: NDArray[np.uint16] = np.rint(mm.clip(0, _MAX_MM)).astype(np.uint16)
    return rounded


def save_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Encode 8-bit RGB (H, W, 3) or 16-bit grey (H, W) as PNG.

    Written here because others can compute meanwhile: PIL holds Python's lock while it compresses, zlib does not. At
    level 1 and with one filter for all rows (each byte less the one a pixel before) it takes an eighth of PIL's time.
    """
    height, width = pixels.shape[:2]
    wide = pixels.dtype == np.uint16
    rows = (pixels.astype(">u2") if wide else pixels).reshape(height, -1).view(np.uint8)
    step = rows.shape[1] // width
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 1
    filtered[:, 1 : 1 + step] = rows[:, :step]
    np.subtract(rows[:, step:], rows[:, :-step], out=filtered[:, 1 + step :])
    header = struct.pack(">IIBBBBB", width, height, 16 if wide else 8, 0 if wide else 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(_SIGNATURE + _chunk(b"IHDR", header) + _MARK)
        file.write(_chunk(b"IDAT", zlib.compress(filtered.data, 1)) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
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
