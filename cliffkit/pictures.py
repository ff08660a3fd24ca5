"""Pictures of depth: panels for people, colour maps with a scale, and 16-bit PNG for programs.

Every function writes a PNG to the path it is given, whatever the path's suffix, and leaves matplotlib's global state
alone. Depth is in metres; a NaN or infinity means that there is none, and is drawn grey.
"""

from __future__ import annotations

import struct
import textwrap
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cliffkit.errors import UserError

Floats = NDArray[np.floating[Any]]

DEPTH_COLOURS = "viridis"
ERROR_COLOURS = "inferno"
_NONE_GREY = 0.62  # lighter than the dark end and duller than the bright end of both maps
_MAX_MM = 65535
LOG_FROM = 8.0
"""Ratio of the largest to the smallest depth from which a panel's colours are logarithmic."""


class PanelRow(NamedTuple):
    """One image of a panel. Rows may differ in size; truth and prediction of one row may not."""

    name: str
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    truth: Floats
    """(H, W) metres, NaN where there is none."""
    prediction: Floats
    """(H, W) metres."""
    abs_rel: float | None
    """Written above the prediction; None: no scored pixel."""


def panel(path: Path, rows: Sequence[PanelRow], title: str, subtitle: str = "") -> None:
    """Image, truth, prediction and error |d - p| / d of each row, one colour scale for all depths and one for errors.

    Put the run's name into `title` and the protocol's into `subtitle`. The scales span the 1st to the 99th percentile
    of what is drawn, and their bars are pointed at the ends where something lies beyond. Depths that differ more than
    eightfold, as indoors beside outdoors, are coloured by their logarithm.
    """
    if not rows:
        raise UserError("a panel needs at least one image; name some")
    for row in rows:
        if row.truth.shape != row.prediction.shape or row.truth.ndim != 2:
            raise ValueError(f"{row.name}: truth {row.truth.shape}, prediction {row.prediction.shape}: need one (H, W)")
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = [np.abs(row.truth - row.prediction) / row.truth for row in rows]
    depth_norm, depth_extend = _scale([part for row in rows for part in (row.truth, row.prediction)])
    depth_norm = _wide(depth_norm)
    error_norm, error_extend = _scale(errors, low=0.0)

    # Inches, from the top left corner.
    width, gap, margin, label, foot = 2.9, 0.1, 0.25, 0.27, 0.8
    total_w = 2 * margin + 4 * width + 3 * gap
    lines = textwrap.wrap(subtitle, width=round(total_w / 0.073))
    head = 0.5 + 0.17 * max(1, len(lines))
    heights = [width * row.truth.shape[0] / row.truth.shape[1] for row in rows]
    total_h = head + sum(heights) + label * len(rows) + foot
    figure = Figure(figsize=(total_w, total_h), facecolor="white")
    FigureCanvasAgg(figure)

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / total_w, 1 - (y + h) / total_h, w / total_w, h / total_h))

    text = partial(figure.text, color="black", parse_math=False)
    text(margin / total_w, 1 - 0.3 / total_h, title, fontsize=14, fontweight="bold", va="center")
    text(margin / total_w, 1 - 0.5 / total_h, "\n".join(lines), fontsize=9, va="top", linespacing=1.25)
    column = [margin + k * (width + gap) for k in range(4)]
    y = head
    for row, error, height in zip(rows, errors, heights, strict=True):
        score = "no scored pixel" if row.abs_rel is None else f"abs_rel {row.abs_rel:.3f}"
        heads = (_shorten(row.name, 36), "truth", f"prediction, {score}", "error")
        y += label
        for x, words in zip(column, heads, strict=True):
            text(x / total_w, 1 - (y - 0.05) / total_h, words, fontsize=9, va="bottom")
        place(column[0], y, width, height).imshow(row.image, aspect="auto")
        _show(place(column[1], y, width, height), row.truth, DEPTH_COLOURS, depth_norm)
        _show(place(column[2], y, width, height), row.prediction, DEPTH_COLOURS, depth_norm)
        _show(place(column[3], y, width, height), error, ERROR_COLOURS, error_norm)
        y += height
    for axes in figure.axes:
        axes.set_axis_off()

    y += 0.22
    bars = (
        (column[1], 2 * width + gap, DEPTH_COLOURS, depth_norm, depth_extend, "depth d, prediction p [m]"),
        (column[3], width, ERROR_COLOURS, error_norm, error_extend, "relative error |d - p| / d"),
    )
    for x, w, colours, norm, extend, words in bars:
        bar = figure.colorbar(
            ScalarMappable(norm, _colours(colours)), cax=place(x, y, w, 0.13), orientation="horizontal", extend=extend
        )
        bar.set_label(words, fontsize=9)
        bar.ax.tick_params(labelsize=8)
        if isinstance(norm, LogNorm):
            bar.locator, bar.formatter = LogLocator(subs=(1, 2, 5)), FormatStrFormatter("%g")
            bar.minorticks_off()
            bar.update_ticks()
    figure.legend(
        handles=[Patch(facecolor=str(_NONE_GREY), label="no depth")],
        loc="upper left",
        bbox_to_anchor=(column[0] / total_w, 1 - (y - 0.04) / total_h),
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path, format="png", dpi=150)


def depth_colour_png(path: Path, depth_m: Floats, vmin: float | None = None, vmax: float | None = None) -> None:
    """Depth (H, W) in colour at exactly its own size, at the top left, and below it a scale in metres.

    The strip below adds to the height, and to the width where the map is narrower than its labels. The scale spans the
    finite depths unless `vmin` or `vmax` (metres) say otherwise; depths beyond take the colour of the end, which is
    then drawn as a point.
    """
    height, width = _check_map(depth_m)
    finite = depth_m[np.isfinite(depth_m)]
    if vmin is not None and vmax is not None and vmin >= vmax:
        raise UserError(f"a colour scale from {vmin:g} to {vmax:g} m has no length; give vmin < vmax")
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if vmax is not None and least >= vmax:
        least = vmax - 1 if vmax <= 0 else 0.0
    norm = _norm(least if vmin is None else vmin, most if vmax is None else vmax)
    size = max(10, min(round(0.03 * width), 60))
    strip_w = max(width, 24 * size)
    canvas = Image.new("RGB", (strip_w, height + 4 * size), "white")
    canvas.paste(Image.fromarray(_colours(DEPTH_COLOURS)(norm(_masked(depth_m)), bytes=True)[..., :3]))
    low, high = _ends(norm)
    pointed = (bool(np.any(finite < low)), bool(np.any(finite > high)))
    _draw_scale(canvas, norm, height, size, pointed, grey=finite.size < depth_m.size)
    _save_png(path, np.asarray(canvas))


def save_depth_png16(path: Path, depth_m: Floats) -> None:
    """Depth (H, W) as 16-bit grey PNG in millimetres, rounded to the nearest; 0 means that there is none.

    NaN, infinities and depths below 0.5 mm become 0; depths above 65.535 m become 65535.
    """
    _check_map(depth_m)
    with np.errstate(over="ignore"):
        mm = np.where(np.isfinite(depth_m), depth_m, 0).astype(np.float64) * 1000
    _save_png(path, np.rint(mm.clip(0, _MAX_MM)).astype(np.uint16))


def _save_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """A PNG of 8-bit RGB (H, W, 3) or 16-bit grey (H, W).

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
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, 1)), (b"IEND", b"")):
            check = zlib.crc32(content, zlib.crc32(kind))
            file.write(b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", check))))


def _show(axes: Axes, values: Floats, colours: str, norm: Normalize) -> None:
    axes.imshow(_masked(values), aspect="auto", interpolation="nearest", cmap=_colours(colours), norm=norm)


def _draw_scale(
    canvas: Image.Image, norm: Normalize, top: int, size: int, pointed: tuple[bool, bool], grey: bool
) -> None:
    """A bar with ticks and metres over the canvas's width, from row `top` down; a patch says what grey means."""
    draw = ImageDraw.Draw(canvas)
    # matplotlib ships this font; PIL's own takes no size before 10.1.
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
    note = "no depth" if grey else ""
    patch_w = round(draw.textlength(note, font) + 2 * size) if grey else 0
    left, right = 2 * size, canvas.width - 3 * size - patch_w
    upper, lower = top + size // 2, top + size // 2 + size
    ramp = _colours(DEPTH_COLOURS)(np.linspace(0, 1, right - left + 1), bytes=True)[None, :, :3]
    canvas.paste(Image.fromarray(np.repeat(ramp, lower - upper, axis=0)), (left, upper))
    for end, tip, colour in ((left, left - size, ramp[0, 0]), (right, right + size, ramp[0, -1])):
        if pointed[end == right]:
            draw.polygon([(end, upper), (tip, (upper + lower) / 2), (end, lower - 1)], fill=tuple(colour.tolist()))
    low, high = _ends(norm)
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
        shade = round(255 * _NONE_GREY)
        draw.rectangle([x, upper, x + size - 1, lower - 1], fill=(shade, shade, shade))
        draw.text((x + 1.3 * size, upper + size / 2), note, fill="black", font=font, anchor="lm")


def _scale(parts: Sequence[Floats], low: float | None = None) -> tuple[Normalize, str]:
    """A scale over what is finite, and which ends of its bar to point."""
    values = np.concatenate([part[np.isfinite(part)] for part in parts])
    if not values.size:
        return _norm(0.0, 1.0), "neither"
    first, last = np.percentile(values, [1, 99]).tolist()
    norm = _norm(first if low is None else low, last)
    low, high = _ends(norm)
    ends = (bool(values.min() < low), bool(values.max() > high))
    return norm, {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]


def _norm(low: float, high: float) -> Normalize:
    """A scale from low to high, one metre long where that would have no length."""
    return Normalize(low, high if high > low else low + 1)


def _wide(norm: Normalize) -> Normalize:
    """The same scale, logarithmic where it spans much."""
    low, high = _ends(norm)
    return LogNorm(low, high) if 0 < low * LOG_FROM < high else norm


def _ends(norm: Normalize) -> tuple[float, float]:
    assert norm.vmin is not None
    assert norm.vmax is not None
    return norm.vmin, norm.vmax


def _colours(name: str) -> Colormap:
    return matplotlib.colormaps[name].with_extremes(bad=(_NONE_GREY,) * 3)


def _masked(depth: Floats) -> np.ma.MaskedArray[Any, np.dtype[np.floating[Any]]]:
    return np.ma.masked_invalid(depth)


def _check_map(depth_m: Floats) -> tuple[int, int]:
    if depth_m.ndim != 2 or not depth_m.size:
        raise ValueError(f"depth of shape {depth_m.shape} is no map (H, W)")
    return depth_m.shape[0], depth_m.shape[1]


def _shorten(name: str, length: int) -> str:
    """The name with its middle left out where it is too long: ends tell frames apart."""
    return name if len(name) <= length else f"{name[: length // 3]}…{name[-(length - length // 3 - 1) :]}"
