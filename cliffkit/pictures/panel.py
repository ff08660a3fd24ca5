"""Panels for people: image, truth, prediction and error, row by row."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FormatStrFormatter, LogLocator
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.pictures.colours import (
    DEPTH_COLOURS,
    ERROR_COLOURS,
    NO_DEPTH_GREY,
    Floats,
    colour_map,
    masked,
    scale_of,
    wide_scale,
)


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
    depth_norm, depth_extend = scale_of([part for row in rows for part in (row.truth, row.prediction)])
    depth_norm = wide_scale(depth_norm)
    error_norm, error_extend = scale_of(errors, low=0.0)

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
            ScalarMappable(norm, colour_map(colours)), cax=place(x, y, w, 0.13), orientation="horizontal", extend=extend
        )
        bar.set_label(words, fontsize=9)
        bar.ax.tick_params(labelsize=8)
        if isinstance(norm, LogNorm):
            bar.locator, bar.formatter = LogLocator(subs=(1, 2, 5)), FormatStrFormatter("%g")
            bar.minorticks_off()
            bar.update_ticks()
    figure.legend(
        handles=[Patch(facecolor=str(NO_DEPTH_GREY), label="no depth")],
        loc="upper left",
        bbox_to_anchor=(column[0] / total_w, 1 - (y - 0.04) / total_h),
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path, format="png", dpi=150)


def _show(axes: Axes, values: Floats, colours: str, norm: Normalize) -> None:
    axes.imshow(masked(values), aspect="auto", interpolation="nearest", cmap=colour_map(colours), norm=norm)


def _shorten(name: str, length: int) -> str:
    """The name with its middle left out where it is too long: ends tell frames apart."""
    return name if len(name) <= length else f"{name[: length // 3]}…{name[-(length - length // 3 - 1) :]}"
