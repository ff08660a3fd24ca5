"""Tables of a study as text, for the page, for Markdown and, through JSON, for the page's script."""

from __future__ import annotations

from typing import Any, NamedTuple

from cliffkit.report import constant, remarks, wording
from cliffkit.report.sentences import more_seeds, seen
from cliffkit.report.wording import NOTHING, number
from cliffkit.statistics import NOISE, Estimate
from cliffkit.study.analysis import Row, Table
from cliffkit.study.effects import Effect
from cliffkit.study.results import Results

HEADS = (
    "verdict",
    "difference",
    "95 % interval",
    "p (Holm)",
    "mean",
    "seeds × images",
    "would have seen",
    "more seeds for it",
    "published",
)
"""Over a variant's cells."""

PLANNED = ("would have seen", "more seeds for it")
"""Those of them that only a planned table fills."""


class Line(NamedTuple):
    """A variant's line in the tables; JSON makes an array of it."""

    cells: list[str]
    """As `HEADS` names them."""
    short: str
    """Mean ± half-width."""
    verdict: str
    flag: str
    """`best`, `tied` or nothing."""


class TextTable(NamedTuple):
    """One protocol and metric as text; JSON makes an array of it."""

    title: str
    rows: list[Line]
    notes: list[str]
    sources: list[str]
    """Of the published numbers; empty where there are none."""
    planned: bool
    """Whether it says what the study would have seen: the first table alone, and not with adaptive seeds, whose verdict
    says why there are no more."""


def text_table(results: Results, table: Table, planned: bool) -> TextTable:
    """Write one protocol and metric as text; `planned` adds what the study would have seen, which takes longer."""
    theirs = remarks.published(results, table.protocol, table.metric)
    sources = list(dict.fromkeys(source for _, source in theirs.values()))
    rows, decimals = [], wording.table_digits(table)
    for row in table.rows:
        value, source = theirs.get(row.variant.levels, (None, ""))
        others = "" if value is None else f"{value:g} [{sources.index(source) + 1}]"
        cells = [*row_cells(row, decimals), *(outlook(row) if planned else ("", "")), others]
        flag = "best" if row.best else "tied" if row.tied else ""
        rows.append(Line(cells, wording.spread(row.mean, decimals), row.word or "", flag))
    notes = [
        remarks.common_ground(table),
        remarks.equivalence(table.rows, results.study),
        remarks.uneven_seeds(table),
        *remarks.dropped(results, table),
    ]
    notes.append(constant.baseline(results, table.protocol, table.metric))
    return TextTable(
        f"{wording.heading(table.metric)} under {table.protocol}",
        rows,
        [note for note in notes if note],
        [f"[{i + 1}] as published, not measured here: {source}" for i, source in enumerate(sources)],
        planned,
    )


def row_cells(row: Row, decimals: int) -> list[str]:
    """Write verdict, difference, its interval, p, mean, seeds × images of a variant."""
    gap, gaps = row.difference, [NOTHING, NOTHING]
    if gap is not None:
        gaps = [number(gap.value, decimals, sign=True), wording.interval(gap, decimals, sign=True)]
    counted = NOTHING if row.mean is None else f"{row.mean.seeds} × {row.mean.images}"
    mean = wording.spread(row.mean, decimals)
    verdict = wording.verdict(row.word) + (f", {row.stop}" if row.stop else "")
    return [verdict, *gaps, wording.chance(row.p_adjusted), mean, counted]


def outlook(row: Row) -> tuple[str, str]:
    """Write what a comparison would have seen four times in five, and the seeds that would show what it observed."""
    if row.difference is None or not row.difference.seeds_measured or row.difference.images == 1:
        return NOTHING, NOTHING
    smallest = seen(row.difference)
    return f"{smallest:.2g}" if smallest else NOTHING, _more(row.difference) if row.word == NOISE else NOTHING


def _more(difference: Estimate) -> str:
    """Write the number of further seeds at which the observed difference, if real, would be seen."""
    if difference.value == 0:
        return NOTHING
    more = more_seeds(difference)
    return "∞" if more is None else str(more) if more < 1000 else ">1000"


def effect_rows(effects: tuple[Effect, ...]) -> list[dict[str, str]]:
    """Write effects, one mapping each, all with the same decimals."""
    decimals = wording.column_digits([effect.estimate] for effect in effects)
    return [_effect_row(effect, decimals) for effect in effects]


def _effect_row(effect: Effect, decimals: int) -> dict[str, str]:
    found, texts = effect.estimate, (NOTHING, NOTHING)
    if found is not None:
        texts = number(found.value, decimals, sign=True), wording.interval(found, decimals, sign=True)
    value, interval = texts
    axes, p = " × ".join(effect.axes), wording.chance(effect.p_adjusted)
    return {"axes": axes, "label": effect.label, "value": value, "interval": interval, "p": p, "word": effect.word}


def means_by_levels(results: Results, table: Table) -> dict[str, Any] | None:
    """Lay out the means of a study with two axes, one along each side."""
    study = results.study
    if study.design != "grid" or len(study.axes) != 2:
        return None
    decimals = wording.table_digits(table)
    texts = {row.variant.levels: wording.spread(row.mean, decimals) for row in table.rows}
    (down, rows), (across, columns) = study.axes.items()
    cells = [(row, [texts.get((row, column), "") for column in columns]) for row in rows]
    return {"down": down, "across": across, "columns": columns, "rows": cells}
