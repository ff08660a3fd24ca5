"""A contact sheet of a data set: images beside their depth, split by split, and what there is to say about them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.pictures.colours import DEPTH_COLOURS, Floats, check_map, enlarged, scale_of, sparse_note, wide_scale
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

LINE, CHARACTERS = 0.17, round(TOTAL_WIDTH / 0.073)
"""Height of a line of words in inches, and how many characters it has."""


class Contact(NamedTuple):
    """One image of a sheet with its depth. Sizes may differ."""

    name: str
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    depth: Floats
    """(H, W) metres, NaN where there is none."""


def contact_sheet(
    path: Path, splits: Sequence[tuple[str, Sequence[Contact]]], title: str, remarks: Sequence[str]
) -> None:
    """Draw images beside their depth, two a row, under the words of each split, and the remarks below.

    One scale of colours holds for all, from the 1st to the 99th percentile of depth, logarithmic where that spans more
    than eightfold. Pixels of sparse depth are drawn larger, and the words above say so.
    """
    words = [line for remark in remarks for line in textwrap.wrap(remark, CHARACTERS, subsequent_indent="    ")]
    depths = [contact.depth for _, contacts in splits for contact in contacts]
    norm, extend = scale_of(depths)
    scale = Scale(DEPTH_COLOURS, wide_scale(norm), extend)
    rows = [(head, contacts[k : k + 2]) for head, contacts in splits for k in range(0, max(1, len(contacts)), 2)]
    heights = [max((_height(contact) for contact in row), default=0.0) for _, row in rows]

    heads = len(splits) * 2 * LABEL
    sheet = Sheet(0.6 + heads + sum(heights) + LABEL * len(rows) + FOOT + LINE * (len(words) + 1))
    sheet.text(MARGIN, 0.3, title, fontsize=14, fontweight="bold", va="center")
    y, last = 0.5, ""
    for (head, row), height in zip(rows, heights, strict=True):
        if head != last:
            y += 2 * LABEL
            sheet.text(MARGIN, y - 0.05, shorten(head, CHARACTERS), fontsize=11, fontweight="bold", va="bottom")
            last = head
        y += LABEL
        for k, contact in enumerate(row):
            _draw(sheet, COLUMNS[2 * k : 2 * k + 2], y, contact, scale)
        y += height

    draw_no_depth(sheet, COLUMNS[0], y + 0.22, depths)
    draw_bar(sheet, COLUMNS[1], y + 0.22, 2 * WIDTH + GAP, scale, "depth [m]")
    sheet.text(MARGIN, y + FOOT, "\n".join(words), fontsize=9, va="top", linespacing=1.25)
    sheet.save(path, dots_per_inch=100)


def _height(contact: Contact) -> float:
    height, width = check_map(contact.depth)
    return WIDTH * height / width


def _draw(sheet: Sheet, columns: Sequence[float], y: float, contact: Contact, scale: Scale) -> None:
    """Draw an image and its depth side by side, with their words above `y`."""
    known = contact.depth[np.isfinite(contact.depth)]
    reach = f"{known.min():.3g} to {known.max():.3g} m" if known.size else "no depth"
    share = f"{known.size / contact.depth.size:.0%} valid"
    sheet.text(columns[0], y - 0.05, shorten(contact.name, 36), fontsize=9, va="bottom")
    sheet.text(columns[1], y - 0.05, sparse_note(contact.depth) or f"{reach}, {share}", fontsize=9, va="bottom")
    sheet.picture(columns[0], y, WIDTH, _height(contact), contact.image)
    sheet.map(columns[1], y, WIDTH, _height(contact), enlarged(contact.depth, contact.depth), scale)
