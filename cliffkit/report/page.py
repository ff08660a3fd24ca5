"""report.html: one file that loads nothing, readable without JavaScript, sorted and switched with it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cliffkit.report import wording
from cliffkit.report.costs import costs, environments
from cliffkit.report.exports import row_cells
from cliffkit.report.gallery import Gallery
from cliffkit.report.images import tiles
from cliffkit.report.svg import inline
from cliffkit.report.wording import NOTHING, number
from cliffkit.scoring.metrics import METRICS
from cliffkit.study.analysis import Analysis, Effect, Table
from cliffkit.study.results import CellResult, Results
from cliffkit.text import printable

CAPTIONS = {
    "forest": "Difference of each variant from the reference, with its 95 % interval",
    "curves": "Validation score during training: mean over seeds, band from the lowest to the highest seed",
    "effects": "Effects per axis, interactions and shares, with 95 % intervals",
}


class Line(NamedTuple):
    """A variant's line in the tables; JSON makes an array of it."""

    cells: list[str]
    """Mean, interval, difference, interval, p, verdict, seeds × images, published."""
    short: str
    """Mean ± half-width."""
    verdict: str
    flag: str
    """`best`, `tied` or nothing."""


def page(results: Results, analysis: Analysis, figures: Mapping[str, str], gallery: Gallery | str, command: str) -> str:
    """Write the whole page. `figures` are SVG by name; `gallery` may be the reason why there is none."""
    environment = Environment(
        loader=PackageLoader("cliffkit.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["shown"] = _shown
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    study, first = results.study, analysis.first(results)
    style, script = (_text(name) for name in ("page.css", "page.js"))
    tables = {f"{table.protocol}|{table.metric}": _table(results, table) for table in analysis.tables.values()}
    context = {
        "style": style,
        "script": script,
        "script_hash": _hash(script),
        "study": study,
        "question": wording.question(results),
        "state": wording.state(results),
        "troubles": wording.troubles(results),
        "caveats": wording.caveats(results, analysis),
        "best": wording.best(first),
        "verdicts": list(wording.verdicts(first)),
        "on_average": wording.on_average(analysis, study.metric),
        "marks": dict(wording.MARKS),
        "names": [variant.name for variant in study.variants],
        "first": f"{first.protocol}|{first.metric}",
        "tables": tables,
        "metrics": METRICS,
        "heads": [wording.heading(metric) for metric in METRICS],
        "figures": {name: _figure(name, svg) for name, svg in figures.items()},
        "captions": CAPTIONS,
        "effects": _effects(results, analysis),
        "weakest": analysis.weakest,
        "full": " + ".join(study.full),
        "means": _means(results, first),
        "gallery": tiles(gallery, study.metric),
        "costs": costs(results),
        "protocols": results.protocols,
        "selection": next((cell.scores.selection for cell in results.cells if cell.scores is not None), None),
        "data": next((cell.scores.data for cell in results.cells if cell.scores is not None), None),
        "environment": environments(results),
        "cells": [_cell(result) for result in results.cells],
        "command": command,
        "nothing": NOTHING,
    }
    return environment.get_template("page.html.j2").render(context)


def _text(name: str) -> Markup:
    """Read a file that stands in the page as it is, style sheet or script."""
    return Markup((resources.files("cliffkit.report") / name).read_text(encoding="utf-8"))


def _hash(script: str) -> str:
    """Hash the page's one script, as its content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _figure(name: str, svg: str) -> Markup:
    return Markup(inline(svg, name, str(escape(CAPTIONS[name]))))  # matplotlib has escaped the names in it


def _table(results: Results, table: Table) -> dict[str, Any]:
    """Write one protocol and metric as text, for the page's first view and, through JSON, for its script."""
    decimals = wording.table_digits(table)
    theirs = wording.published(results, table.protocol, table.metric)
    sources = list(dict.fromkeys(source for _, source in theirs.values()))
    rows = []
    for row in table.rows:
        value, source = theirs.get(row.variant.levels, (None, ""))
        rows.append(
            Line(
                [*row_cells(row, decimals), "" if value is None else f"{value:g} [{sources.index(source) + 1}]"],
                wording.spread(row.mean, decimals),
                row.word or "",
                "best" if row.best else "tied" if row.tied else "",
            )
        )
    notes = [*wording.dropped(results, table), wording.baseline(results, table.protocol, table.metric)]
    return {
        "title": f"{wording.heading(table.metric)} under {table.protocol}",
        "rows": rows,
        "notes": [note for note in notes if note],
        "sources": [f"[{i + 1}] as published, not measured here: {source}" for i, source in enumerate(sources)],
    }


def _effects(results: Results, analysis: Analysis) -> list[tuple[str, list[dict[str, str]]]]:
    parts = (
        ("Main effects", analysis.main),
        ("Interactions", analysis.interactions),
        ("Shapley shares", analysis.shares),
    )
    return [(title, list(_effect_rows(effects))) for title, effects in parts if effects]


def _effect_rows(effects: Sequence[Effect]) -> Iterator[dict[str, str]]:
    decimals = wording.digits(effect.estimate for effect in effects)
    for effect in effects:
        estimate = effect.estimate
        yield {
            "axes": " × ".join(effect.axes),
            "label": effect.label,
            "value": NOTHING if estimate is None else number(estimate.value, decimals, sign=True),
            "interval": NOTHING if estimate is None else wording.interval(estimate, decimals, sign=True),
            "p": wording.chance(effect.p_adjusted),
            "word": effect.word,
        }


def _means(results: Results, table: Table) -> dict[str, Any] | None:
    """Lay out the means of a study with two axes, one along each side."""
    study = results.study
    if study.design != "grid" or len(study.axes) != 2:
        return None
    decimals = wording.digits(row.mean for row in table.rows)
    texts = {row.variant.levels: wording.spread(row.mean, decimals) for row in table.rows}
    (down, rows), (across, columns) = study.axes.items()
    cells = [(row, [texts.get((row, column), "") for column in columns]) for row in rows]
    return {"down": down, "across": across, "columns": columns, "rows": cells}


def _cell(result: CellResult) -> dict[str, Any]:
    keys = {job.stage: job.key for job in result.cell.jobs}
    return {"variant": result.cell.variant.name, "seed": result.cell.seed, "state": result.state, "keys": keys}


def _shown(value: object) -> object:
    """Escape characters that act on a screen, in a text that the page shows. Other values stay as they are."""
    if isinstance(value, Markup):
        return Markup(printable(value))
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list | tuple) else value
