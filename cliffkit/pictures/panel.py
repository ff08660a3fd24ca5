"""Panels for people: image, truth, prediction and error, row by row."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.pictures.colours import (
    DEPTH_COLOURS,
    ERROR_COLOURS,
    Floats,
    enlarged,
    relative_error,
    scale_ends,
    scale_of,
    sparse_note,
    wide_scale,
)
from cliffkit.pictures.sheet import (
    COLUMNS,
    FOOT,
    GAP,
    LABEL,
    MARGIN,
    TOTAL_WIDTH,
    WIDTH,
    Scale,
    Sheet,
    draw_bar,
    draw_no_depth,
    shorten,
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
    """Score written above the prediction; where it is None, `unscored` is written."""
    unscored: str = "no scored pixel"
    """Why there is no abs_rel."""


def panel(path: Path, rows: Sequence[PanelRow], title: str, subtitle: str = "") -> None:
    """Draw image, truth, prediction and error |d - p| / d of each row, one colour scale for depths and one for errors.

    Put the run's name into `title` and the protocol's into `subtitle`. The scales span the 1st to the 99th percentile
    of what is drawn, and their bars are pointed at the ends where something lies beyond. The scale of depth begins at
    the 1st percentile of the truth, so that predictions of nearly nothing do not take all of its colours. Depths that
    differ more than eightfold, as indoors beside outdoors, are coloured by their logarithm. The pixels of a sparse
    truth, and of its error, are drawn larger, and the heads of their columns say so.
    """
    if not rows:
        raise UserError("a panel needs at least one image; name some")
    for row in rows:
        if row.truth.shape != row.prediction.shape or row.truth.ndim != 2:
            raise ValueError(f"{row.name}: truth {row.truth.shape}, prediction {row.prediction.shape}: need one (H, W)")
    errors = [relative_error(row.truth, row.prediction) for row in rows]
    truths, predictions = [row.truth for row in rows], [row.prediction for row in rows]
    least = scale_ends(scale_of(truths)[0])[0] if any(np.isfinite(truth).any() for truth in truths) else None
    norm, extend = scale_of([*truths, *predictions], low=least)
    depth_scale = Scale(DEPTH_COLOURS, wide_scale(norm), extend)
    error_scale = Scale(ERROR_COLOURS, *scale_of(errors, low=0.0))

    lines = textwrap.wrap(subtitle, width=round(TOTAL_WIDTH / 0.073))
    head = 0.5 + 0.17 * max(1, len(lines))
    heights = [WIDTH * row.truth.shape[0] / row.truth.shape[1] for row in rows]
    sheet = Sheet(head + sum(heights) + LABEL * len(rows) + FOOT)
    sheet.text(MARGIN, 0.3, title, fontsize=14, fontweight="bold", va="center")
    sheet.text(MARGIN, 0.5, "\n".join(lines), fontsize=9, va="top", linespacing=1.25)

    y = head
    for row, error, height in zip(rows, errors, heights, strict=True):
        y += LABEL
        _draw_row(sheet, y, height, row, error, (depth_scale, error_scale))
        y += height

    y += 0.22
    draw_bar(sheet, COLUMNS[1], y, 2 * WIDTH + GAP, depth_scale, "depth d, prediction p [m]")
    draw_bar(sheet, COLUMNS[3], y, WIDTH, error_scale, "relative error |d - p| / d")
    draw_no_depth(sheet, COLUMNS[0], y, [*truths, *predictions])
    sheet.save(path, dots_per_inch=150)


def _draw_row(sheet: Sheet, y: float, height: float, row: PanelRow, error: Floats, scales: tuple[Scale, Scale]) -> None:
    """Draw image, truth, prediction and error side by side, with their heads above row `y`."""
    score = row.unscored if row.abs_rel is None else f"abs_rel {row.abs_rel:.3f}"
    larger = f", {note}" if (note := sparse_note(row.truth)) else ""
    heads = (shorten(row.name, 36), f"truth{larger}", f"prediction, {score}", f"error{larger}")
    for x, words in zip(COLUMNS, heads, strict=True):
        sheet.text(x, y - 0.05, words, fontsize=9, va="bottom")
    depth_scale, error_scale = scales
    sheet.picture(COLUMNS[0], y, WIDTH, height, row.image)
    sheet.map(COLUMNS[1], y, WIDTH, height, enlarged(row.truth, row.truth), depth_scale)
    sheet.map(COLUMNS[2], y, WIDTH, height, row.prediction, depth_scale)
    sheet.map(COLUMNS[3], y, WIDTH, height, enlarged(error, row.truth), error_scale)
