"""A figure for people, laid out in inches: four columns of pictures, with bars of colours below."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FormatStrFormatter, LogLocator
from numpy.typing import NDArray

from cliffkit.pictures.colours import NO_DEPTH_GREY, Floats, colour_map, masked
from cliffkit.pictures.png import save_png

# Inches, from the top left corner.
WIDTH, GAP, MARGIN, LABEL, FOOT = 2.9, 0.1, 0.25, 0.27, 0.8
TOTAL_WIDTH = 2 * MARGIN + 4 * WIDTH + 3 * GAP
COLUMNS = [MARGIN + k * (WIDTH + GAP) for k in range(4)]


class Scale(NamedTuple):
    """A colour scale of the panel."""

    colours: str
    norm: Normalize
    extend: str
    """Which ends of its bar are pointed, since something lies beyond."""


class Sheet:
    """A figure laid out in inches from its top left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = Figure(figsize=(TOTAL_WIDTH, height), facecolor="white")
        self._canvas = FigureCanvasAgg(self.figure)
        # All pictures lie on one pair of axes, in inches: axes for each would take most of the time.
        self._paper = self.figure.add_axes((0, 0, 1, 1), xlim=(0, TOTAL_WIDTH), ylim=(height, 0))
        self._paper.set_axis_off()

    def picture(self, x: float, y: float, width: float, height: float, pixels: NDArray[Any], **style: Any) -> None:
        """Draw pixels, as `imshow` does, with their top left corner at (x, y)."""
        self._paper.imshow(pixels, aspect="auto", extent=(x, x + width, y + height, y), **style)

    def map(self, x: float, y: float, width: float, height: float, values: Floats, scale: Scale) -> None:
        """Draw a map in the colours of a scale, likewise."""
        colours = colour_map(scale.colours)
        self.picture(x, y, width, height, masked(values), interpolation="nearest", cmap=colours, norm=scale.norm)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Add axes whose top left corner is at (x, y)."""
        share = (x / TOTAL_WIDTH, 1 - (y + height) / self.height, width / TOTAL_WIDTH, height / self.height)
        return self.figure.add_axes(share)

    def save(self, path: Path, dots_per_inch: int) -> None:
        """Write the sheet as a PNG."""
        self.figure.set_dpi(dots_per_inch)
        self._canvas.draw()  # type: ignore[no-untyped-call]
        save_png(path, np.asarray(self._canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]

    def text(self, x: float, y: float, words: str, **style: Any) -> None:
        """Write words as they are, dollar signs included."""
        self.figure.text(x / TOTAL_WIDTH, 1 - y / self.height, words, color="black", parse_math=False, **style)


def draw_bar(sheet: Sheet, x: float, y: float, width: float, scale: Scale, words: str) -> None:
    """Draw the bar of a colour scale with its label."""
    bar = sheet.figure.colorbar(
        ScalarMappable(scale.norm, colour_map(scale.colours)),
        cax=sheet.axes(x, y, width, 0.13),
        orientation="horizontal",
        extend=scale.extend,
    )
    bar.set_label(words, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if isinstance(scale.norm, LogNorm):
        bar.locator, bar.formatter = LogLocator(subs=(1, 2, 5)), FormatStrFormatter("%g")
        bar.minorticks_off()
        bar.update_ticks()


def draw_no_depth(sheet: Sheet, x: float, y: float, maps: Iterable[Floats]) -> None:
    """Draw the key to the grey of pixels without depth, where one of the maps has such pixels."""
    if all(np.isfinite(values).all() for values in maps):
        return
    sheet.figure.legend(
        handles=[Patch(facecolor=str(NO_DEPTH_GREY), label="no depth")],
        loc="upper left",
        bbox_to_anchor=(x / TOTAL_WIDTH, 1 - (y - 0.04) / sheet.height),
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        fontsize=9,
    )


def shorten(name: str, length: int) -> str:
    """Leave out the middle of a name that is too long: ends tell frames apart."""
    return name if len(name) <= length else f"{name[: length // 3]}…{name[-(length - length // 3 - 1) :]}"
