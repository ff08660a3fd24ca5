"""The strip below a picture of depth: the colours with their metres."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from cliffkit.pictures.colours import DEPTH_COLOURS, NO_DEPTH_GREY, colour_map, scale_ends

STRIP_HEIGHT, LEAST_WIDTH = 4, 24
"""Height of a strip, and the least width that its labels need, both in heights of its text."""


def text_size(width: int) -> int:
    """Choose the height of text, in pixels, below a picture of this width."""
    return max(10, min(round(0.03 * width), 60))


def scale_strip(width: int, norm: Normalize, size: int, pointed: tuple[bool, bool], *, grey: bool) -> Image.Image:
    """Draw a bar of colours with ticks and metres, `width` pixels wide; a patch says what grey means.

    `size` is the height of the text, and `pointed` tells which ends have depths beyond them.
    """
    canvas = Image.new("RGB", (width, STRIP_HEIGHT * size), "white")
    draw = ImageDraw.Draw(canvas)
    # matplotlib ships this font; PIL's own takes no size before 10.1.
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
    note = "no depth" if grey else ""
    patch_w = round(draw.textlength(note, font) + 2 * size) if grey else 0
    left, right = 2 * size, canvas.width - 3 * size - patch_w
    upper, lower = size // 2, size // 2 + size
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
    return canvas
