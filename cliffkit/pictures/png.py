"""Depth maps as PNG: in colour with a scale for people, in 16-bit millimetres for programs."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cliffkit.errors import UserError
from cliffkit.pictures.colours import (
    DEPTH_COLOURS,
    NO_DEPTH_GREY,
    Floats,
    check_map,
    colour_map,
    linear_scale,
    masked,
    scale_ends,
)

_MAX_MM = 65535


def depth_colour_png(path: Path, depth_m: Floats, vmin: float | None = None, vmax: float | None = None) -> None:
    """Draw depth (H, W) in colour at exactly its own size, at the top left, and below it a scale in metres.

    The strip below adds to the height, and to the width where the map is narrower than its labels. The scale spans the
    finite depths unless `vmin` or `vmax` (metres) say otherwise. Depths beyond take the colour of the end, which is
    then drawn as a point.
    """
    height, width = check_map(depth_m)
    finite = depth_m[np.isfinite(depth_m)]
    if vmin is not None and vmax is not None and vmin >= vmax:
        raise UserError(f"a colour scale from {vmin:g} to {vmax:g} m has no length; give vmin < vmax")
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if vmax is not None and least >= vmax:
        least = vmax - 1 if vmax <= 0 else 0.0
    norm = linear_scale(least if vmin is None else vmin, most if vmax is None else vmax)
    size = max(10, min(round(0.03 * width), 60))
    strip_w = max(width, 24 * size)
    canvas = Image.new("RGB", (strip_w, height + 4 * size), "white")
    canvas.paste(Image.fromarray(colour_map(DEPTH_COLOURS)(norm(masked(depth_m)), bytes=True)[..., :3]))
    low, high = scale_ends(norm)
    pointed = (bool(np.any(finite < low)), bool(np.any(finite > high)))
    _draw_scale(canvas, norm, height, size, pointed, grey=finite.size < depth_m.size)
    _save_png(path, np.asarray(canvas))


def save_depth_png16(path: Path, depth_m: Floats) -> None:
    """Write depth (H, W) as 16-bit grey PNG in millimetres, rounded to the nearest; 0 means that there is none.

    NaN, infinities and depths below 0.5 mm become 0; depths above 65.535 m become 65535.
    """
    _save_png(path, millimetres(depth_m))


def millimetres(depth_m: Floats) -> NDArray[np.uint16]:
    """Bring depth (H, W) to the millimetres that `save_depth_png16` writes."""
    check_map(depth_m)
    with np.errstate(over="ignore"):
        mm = np.where(np.isfinite(depth_m), depth_m, 0).astype(np.float64) * 1000
    rounded: NDArray[np.uint16] = np.rint(mm.clip(0, _MAX_MM)).astype(np.uint16)
    return rounded


def _save_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
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


def _draw_scale(
    canvas: Image.Image, norm: Normalize, top: int, size: int, pointed: tuple[bool, bool], grey: bool
) -> None:
    """Draw a bar with ticks and metres over the canvas's width, from row `top` down; a patch says what grey means."""
    draw = ImageDraw.Draw(canvas)
    # matplotlib ships this font; PIL's own takes no size before 10.1.
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
    note = "no depth" if grey else ""
    patch_w = round(draw.textlength(note, font) + 2 * size) if grey else 0
    left, right = 2 * size, canvas.width - 3 * size - patch_w
    upper, lower = top + size // 2, top + size // 2 + size
    ramp = colour_map(DEPTH_COLOURS)(np.linspace(0, 1, right - left + 1), bytes=True)[None, :, :3]
    canvas.paste(Image.fromarray(np.repeat(ramp, lower - upper, axis=0)), (left, upper))
    for end, tip, colour in ((left, left - size, ramp[0, 0]), (right, right + size, ramp[0, -1])):
        if pointed[end == right]:
            draw.polygon([(end, upper), (tip, (upper + lower) / 2), (end, lower - 1)], fill=tuple(colour.tolist()))
    low, high = scale_ends(norm)
    slack = 1e-9 * (high - low)
    ticks = MaxNLocator(nbins=max(2, (right - left) // (5 * size))).tick_values(low, high)
    inside = [tick for tick in ticks if low - slack <= tick <= high + slack]
    for number, tick in enumerate(inside):
        x = left + round((tick - low) / (high - low) * (right - left))
        draw.line([(x, lower), (x, lower + size // 3)], fill="black")
        unit = " m" if number == len(inside) - 1 else ""
        half = draw.textlength(f"{tick:.6g}", font) / 2
        draw.text((x - half, lower + size // 3), f"{tick:.6g}{unit}", fill="black", font=font)
    if grey:
        x = canvas.width - patch_w
        shade = round(255 * NO_DEPTH_GREY)
        draw.rectangle([x, upper, x + size - 1, lower - 1], fill=(shade, shade, shade))
        draw.text((x + 1.3 * size, upper + size / 2), note, fill="black", font=font, anchor="lm")
