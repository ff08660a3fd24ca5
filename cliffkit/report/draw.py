"""Every figure of a report, drawn and written."""

from __future__ import annotations

from pathlib import Path

from cliffkit.report.figures import WIDTHS_IN, curves, effects, forest
from cliffkit.report.over_depth import over_depth
from cliffkit.report.svg import drawing, save
from cliffkit.study.analysis import Analysis
from cliffkit.study.results import Results

FIGURES = {"forest": forest, "curves": curves, "effects": effects, "over_depth": over_depth}
"""The functions that draw, by the name of the figure."""


def draw_all(results: Results, analysis: Analysis, folder: Path) -> dict[str, str]:
    """Write what there is to draw into `folder`, NAME.svg and NAME.pdf; the SVG texts by name."""
    drawn = {}
    for name, draw in FIGURES.items():
        for ending, width_in in WIDTHS_IN.items():
            with drawing():
                figure = draw(results, analysis, width_in)
                if figure is not None:
                    drawn[name + ending] = save(figure, folder, name + ending)
    return drawn
