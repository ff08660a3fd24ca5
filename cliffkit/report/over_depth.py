"""The figure of the effect over depth: differences from the reference in each range of true depth."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from cliffkit.report.figures import DASHES, LINES, MOST_CURVES, is_narrow, legend_columns, units
from cliffkit.report.picks import pick
from cliffkit.report.svg import FAINT, INK, one_line
from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.scoring.regions import DEPTH
from cliffkit.statistics import BETTER, WORSE
from cliffkit.study.analysis import Analysis
from cliffkit.study.results import Results

SPREAD = 0.5
"""Share of a range's width over which the variants stand side by side."""


def over_depth(results: Results, analysis: Analysis, width_in: float) -> Figure | None:
    """Draw the difference of some variants in each range of depth with its interval; None where there is none.

    Filled markers are better or worse by Holm's p over the family, as the table has it.
    """
    family = next((family for family in analysis.where if family.name == DEPTH), None)
    if family is None:
        return None
    study = results.study
    picked = {variant.levels for variant in pick(results, MOST_CURVES + 1, spread_out=True)}
    rows = [(variant, row) for variant, row in family.rows if variant.levels in picked][:MOST_CURVES]
    rows = [(variant, row) for variant, row in rows if any(local.difference is not None for local in row)]
    if not rows:
        return None

    figure = Figure(figsize=(width_in, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color=INK, linewidth=0.8)
    for i, (variant, row) in enumerate(rows):
        colour, offset = LINES[i % len(LINES)], SPREAD * ((i + 0.5) / len(rows) - 0.5)
        points = [(k + offset, local) for k, local in enumerate(row) if local.difference is not None]
        gaps = [local.difference for _, local in points if local.difference is not None]
        places = [place for place, _ in points]
        values = [gap.value for gap in gaps]
        label = one_line(variant.name)
        axes.plot(places, values, DASHES[i % len(DASHES)], color=colour, linewidth=1, label=label)
        for (place, local), gap in zip(points, gaps, strict=True):
            ends = [end if math.isfinite(end) else gap.value for end in (gap.low, gap.high)]
            axes.plot([place, place], ends, color=colour, linewidth=1.2, solid_capstyle="butt")
            is_decided = local.word in (BETTER, WORSE)
            axes.plot(place, gap.value, "o", color=colour, markersize=4.5, fillstyle="full" if is_decided else "none")

    narrow = is_narrow(width_in)
    names = [
        f"{_short(region)}\n{images}" if narrow else f"{region}\n{images} images"
        for region, images in zip(family.regions, family.images, strict=True)
    ]
    axes.set_xticks(range(len(names)), names, fontsize=7 if narrow else 8)
    axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_ylabel(f"difference in {units(study.metric)}")
    axes.set_xlabel(f"true depth{' [m]' * narrow}, and images that have it")
    axes.set_title("better ↑" if study.metric in HIGHER_IS_BETTER else "better ↓", loc="right", fontsize=9)
    figure.legend(loc="outside lower left", ncols=legend_columns(width_in, 2), fontsize=8)
    return figure


def _short(region: str) -> str:
    """Write a range of depth without its unit, so that seven stand side by side in a paper's column."""
    return region.removesuffix(" m").replace("below ", "<").replace("from ", "≥").replace(" to ", "–")
