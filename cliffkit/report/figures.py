"""A report's figures: differences as a forest, curves of training, effects along axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cliffkit.report.picks import pick
from cliffkit.report.svg import BAD, FAINT, GOOD, INK, one_line
from cliffkit.scoring.metrics import HIGHER_IS_BETTER, UNITS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, THESE_WEIGHTS, WORSE, Estimate
from cliffkit.study.analysis import Analysis, Table
from cliffkit.study.effects import Effect
from cliffkit.study.results import CellResult, Results

LOOKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        BETTER: ("^", GOOD),
        WORSE: ("v", BAD),
        EQUIVALENT: ("s", INK),
        NOISE: ("o", FAINT),
        THESE_WEIGHTS: ("D", FAINT),
    }
)
"""Marker and colour by verdict."""

LINES = ("#2878b5", "#c8501e", "#1e8a5f", "#b5589b", "#9a7410", "#5a6fd0")
"""Colours of curves, distinct to most eyes and readable on white and on black; dashes tell them apart too."""

DASHES = ("-", "--", "-.", ":")

MOST_ROWS, MOST_CURVES = 60, 6

COLUMN = "_column"

WIDTHS_IN: Mapping[str, float] = MappingProxyType({"": 6.4, COLUMN: 3.5})
"""Width of a figure by the ending of its name: of a page, and of a paper's column or a phone."""

ROW_IN, TALL_ROW_IN = 0.23, 0.44
"""Height of a forest's row, its label beside it or above it."""

Bar = tuple[str, Estimate, str]
"""A label, what was estimated, and the word of its verdict."""


def forest(results: Results, analysis: Analysis, width_in: float) -> Figure | None:
    """Every variant's difference from the reference with its interval; None where there is none."""
    table, study = analysis.first(results), results.study
    bars = _bars(table)
    if not bars:
        return None
    figure, (axes,) = _rows([len(_some(bars))], width_in)
    _forest(axes, bars, f"difference from {one_line(study.reference.name)} in {units(table.metric)}", study.smallest)
    _direction(axes, table.metric)
    _legend(figure, _some(bars), study.smallest)
    return figure


def effects(results: Results, analysis: Analysis, width_in: float) -> Figure | None:
    """Effects along axes, interactions and Shapley shares, one below the other; None where there is none."""
    study = results.study
    parts = [
        (title, _effect_bars(group))
        for title, group in (
            ("main effect", analysis.main),
            ("interaction", analysis.interactions),
            ("Shapley share", analysis.shares),
        )
    ]
    parts = [(title, bars) for title, bars in parts if bars]
    if not parts:
        return None
    figure, panels = _rows([len(_some(bars)) for _, bars in parts], width_in)
    for axes, (title, bars) in zip(panels, parts, strict=True):
        _forest(axes, bars, f"{title}, in {units(study.metric)}", study.smallest)
    _direction(panels[0], study.metric)
    _legend(figure, [bar for _, bars in parts for bar in _some(bars)], study.smallest)
    return figure


def curves(results: Results, analysis: Analysis, width_in: float) -> Figure | None:
    """Draw validation scores by step: mean over seeds, lowest to highest seed; None where there is none."""
    curve_of = {variant.levels: _curve(results.of(variant)) for variant in results.study.variants}
    curve_of = {levels: curve for levels, curve in curve_of.items() if curve[0].size}
    if not curve_of:
        return None
    variants = [v for v in pick(results, MOST_CURVES, spread_out=False) if v.levels in curve_of]
    figure = Figure(figsize=(width_in, 3.6), layout="constrained")
    axes = figure.add_subplot()
    rest = [curve for levels, curve in curve_of.items() if levels not in {v.levels for v in variants}]
    lines = [np.stack([steps, np.nanmean(scores, axis=0)], axis=1) for steps, scores in rest]
    axes.add_collection(LineCollection(lines, colors=FAINT, linewidths=0.5, alpha=0.5))
    points = [line for line in lines if len(line) == 1]
    axes.plot(*np.concatenate([np.empty((0, 2)), *points]).T, ".", color=FAINT, alpha=0.5)
    for k, variant in enumerate(variants):
        steps, scores = curve_of[variant.levels]
        colour, dash = LINES[k % len(LINES)], DASHES[k % len(DASHES)]
        label = one_line(variant.name) + " (reference)" * (variant.levels == results.study.reference.levels)
        _draw_curve(axes, steps, scores, colour, dash, label)
    axes.autoscale_view()
    values = np.concatenate([scores.ravel() for _, scores in curve_of.values()])
    if 0 < 8 * np.nanmin(values) < np.nanmax(values):
        axes.set_yscale("log")
    selections = (cell.scores.selection for cell in results.cells if cell.scores is not None)
    metric = next(selection.score for selection in selections if selection is not None)
    axes.set_xlabel("step")
    axes.set_ylabel(f"validation {units(metric)}")
    handles = [*axes.get_legend_handles_labels()[0]]
    handles += [Line2D([], [], color=FAINT, linewidth=0.5, label=_others(len(rest)))] if rest else []
    figure.legend(handles=handles, loc="outside lower left", ncols=legend_columns(width_in, 2), fontsize=8)
    return figure


def _others(count: int) -> str:
    return f"{count} other variant{'s' * (count != 1)}"


def _draw_curve(
    axes: Axes, steps: NDArray[np.float64], scores: NDArray[np.float64], colour: str, dash: str, label: str
) -> None:
    """Draw the mean over seeds as a line, lowest to highest seed as a band; a single step as a point with a bar."""
    is_point = len(steps) == 1
    axes.plot(steps, np.nanmean(scores, axis=0), dash + "o" * is_point, color=colour, linewidth=1.5, label=label)
    if len(scores) > 1:
        low, high = np.nanmin(scores, axis=0), np.nanmax(scores, axis=0)
        if is_point:
            axes.vlines(steps, low, high, color=colour, alpha=0.3, linewidth=4)
        else:
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)


def _rows(counts: Sequence[int], width_in: float) -> tuple[Figure, list[Axes]]:
    """Make a figure with one panel above the other, each as high as its rows need."""
    row_in = TALL_ROW_IN if is_narrow(width_in) else ROW_IN
    heights = [row_in * count + 0.65 for count in counts]
    figure = Figure(figsize=(width_in, sum(heights) + 0.45), layout="constrained")
    return figure, list(figure.subplots(len(counts), height_ratios=heights, squeeze=False)[:, 0])


def _forest(axes: Axes, bars: Sequence[Bar], label: str, smallest: float | None) -> None:
    """Points with intervals, the first on top, about a line at zero; a band where differences are too small to matter.

    In a narrow figure labels stand above their intervals.
    """
    visible = _some(bars)
    if smallest is not None:
        axes.axvspan(-smallest, smallest, color=FAINT, alpha=0.15, linewidth=0)
    figure = axes.get_figure(root=True)
    assert figure is not None
    narrow = is_narrow(figure.get_figwidth())
    if narrow:
        rows = np.arange(len(visible))  # the line has gaps: labels stand there
        axes.vlines([0.0] * len(visible), rows - 0.2, rows + 0.33, color=INK, linewidth=0.8)
    else:
        axes.axvline(0, color=INK, linewidth=0.8)
    for place, bar in enumerate(visible):
        if bar is not None:
            _, estimate, word = bar
            marker, colour = LOOKS[word]
            ends = [end if math.isfinite(end) else estimate.value for end in (estimate.low, estimate.high)]
            axes.plot(ends, [place, place], color=colour, linewidth=1.4, solid_capstyle="butt")
            axes.plot(estimate.value, place, marker, color=colour, markersize=5, fillstyle=_fill(word))
    left_out = f"… {len(bars) - len(visible) + 1} between, in the table"
    labels = [left_out if bar is None else one_line(bar[0]) for bar in visible]
    if narrow:
        for place, text in enumerate(labels):
            axes.text(0, place - 0.22, text, transform=axes.get_yaxis_transform(), ha="left", va="bottom")
    axes.set_yticks([] if narrow else range(len(visible)), [] if narrow else labels)
    axes.set_ylim(len(visible) - 0.4, -0.9 if narrow else -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(4 if narrow else 5))
    axes.set_xlabel(label)


def _direction(axes: Axes, metric: str) -> None:
    words = "better →" if metric in HIGHER_IS_BETTER else "← better"
    side = 1.0 if metric in HIGHER_IS_BETTER else 0.0
    axes.text(side, 1.0, words, transform=axes.transAxes, ha="right" if side else "left", va="bottom")


def _legend(figure: Figure, bars: Iterable[Bar | None], smallest: float | None) -> None:
    """Explain the markers that are drawn, and the band of differences that matter to nobody."""
    words = {bar[2] for bar in bars if bar is not None}
    handles: list[Artist] = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=5, linewidth=1.4, label=_told(word), fillstyle=_fill(word)
        )
        for word, (marker, colour) in LOOKS.items()
        if word in words
    ]
    if smallest is not None:
        label = f"within ±{smallest:g}, the smallest of interest"
        handles.append(Patch(color=FAINT, alpha=0.15, linewidth=0, label=label))
    columns = legend_columns(figure.get_figwidth(), len(handles) if len(handles) < 4 else 2)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8)


def legend_columns(width_in: float, wanted: int) -> int:
    """Give the columns of a legend: one in a narrow figure."""
    return 1 if is_narrow(width_in) else wanted


def is_narrow(width_in: float) -> bool:
    """Tell whether a figure is as narrow as a paper's column."""
    return width_in < 5


def _told(word: str) -> str:
    return f"{word}, by the 90 % interval" if word == EQUIVALENT else word


def _fill(word: str) -> Literal["none", "full"]:
    return "none" if word == THESE_WEIGHTS else "full"


def _bars(table: Table) -> list[Bar]:
    return [
        (row.variant.name, row.difference, row.word)
        for row in table.rows
        if row.difference is not None and row.word is not None
    ]


def _effect_bars(effects: Sequence[Effect]) -> list[Bar]:
    named = [(f"{' × '.join(effect.axes)}: {effect.label}", effect) for effect in effects]
    return [(label, effect.estimate, effect.word) for label, effect in named if effect.estimate is not None]


def _some(bars: Sequence[Bar]) -> Sequence[Bar | None]:
    """Give all of them in their order; of too many the lowest and the highest, with a None between."""
    if len(bars) <= MOST_ROWS:
        return bars
    ranked = sorted(bars, key=lambda bar: bar[1].value)
    return [*ranked[: MOST_ROWS // 2], None, *ranked[-MOST_ROWS // 2 :]]


def _curve(cells: Sequence[CellResult]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give (steps), (seeds, steps) of a variant: the steps at which every seed that is done was validated."""
    curves = [dict(cell.curve) for cell in cells if cell.curve]
    common = set.intersection(*(set(curve) for curve in curves)) if curves else set()
    steps = sorted(step for step in common if any(math.isfinite(curve[step]) for curve in curves))
    return np.array(steps, dtype=np.float64), np.array([[curve[step] for step in steps] for curve in curves])


def units(metric: str) -> str:
    """Name a metric with its unit."""
    return f"{metric} [{UNITS[metric]}]" if UNITS[metric] else metric
