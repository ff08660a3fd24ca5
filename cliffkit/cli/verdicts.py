"""A study's verdicts, for people and for scripts."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from cliffkit.cli.scores import console
from cliffkit.report.sentences import sentence
from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.statistics import BETTER, WORSE, Estimate
from cliffkit.study.analysis import Analysis, Effect
from cliffkit.study.results import Results

STYLES = {BETTER: "green", WORSE: "red"}


def print_study(results: Results, analysis: Analysis) -> None:
    """Print a study's first table, the effects of its axes, and what is missing."""
    out = console()
    study, first = results.study, analysis.first(results)
    protocol = next(each for each in results.protocols if each.name == first.protocol)
    arrow = "↑" if first.metric in HIGHER_IS_BETTER else "↓"
    out.print(f"\n{protocol.describe()}", highlight=False, markup=False)
    table = _table("variant", f"{first.metric} {arrow}", f"against {study.reference.name}")
    for row in first.rows:
        mark = "*" if row.best else "=" if row.tied else " "
        mean = "" if row.mean is None else f"{row.mean.value:.4f}{mark}"
        word = "reference" if row.word is None else row.word
        _add(table, (row.variant.name, mean), row.difference, row.p_adjusted, word)
    out.print(table)
    out.print("* best   = not distinguishable from the best", highlight=False)
    found = [row.difference for row in first.rows if row.difference is not None and row.difference.seeds_measured]
    if found:
        seen = sorted(each.detectable() for each in found)
        text = f"each comparison would have seen a difference of {seen[0]:.2g} to {seen[-1]:.2g} four times in five"
        out.print(text, highlight=False)
        out.print(f"intervals are of each comparison alone, p is Holm's over all {len(found)}", highlight=False)
    elif len(study.seeds) == 1:
        out.print("one seed: seed noise was not measured, and no verdict reaches beyond these weights", highlight=False)
    groups: list[tuple[str, Sequence[Effect]]] = [
        ("main effect", analysis.main),
        ("interaction", analysis.interactions),
    ]
    if analysis.weakest is not None:
        groups.append((f"share of the way from {analysis.weakest.name} to the full recipe", analysis.shares))
    for title, effects in groups:
        if effects:
            table = _table(title, "", "difference")
            for effect in effects:
                head = f"{', '.join(effect.axes)}: {effect.label}", ""
                _add(table, head, effect.estimate, effect.p_adjusted, effect.word)
            out.print("")
            out.print(table)
    for each in results.cells:
        if each.state != "done":
            reason = f": {each.reason}" if each.reason else ""
            out.print(f"{each.cell.name}: {each.state}{reason}", highlight=False, markup=False)


def _table(first: str, second: str, third: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in (first, second, third, "95 % interval", "p (Holm)", "verdict"):
        table.add_column(escape(name), justify="left" if name in (first, "verdict") else "right")
    return table


def _add(table: Table, head: tuple[str, str], difference: Estimate | None, p: float | None, word: str) -> None:
    cells = ["", "", ""]
    if difference is not None:
        cells = [
            f"{difference.value:+.4f}",
            f"{difference.low:+.4f} to {difference.high:+.4f}",
            "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}",
        ]
    table.add_row(*map(escape, head), *cells, word, style=STYLES.get(word))


def study_json(results: Results, analysis: Analysis, written: dict[str, Path]) -> dict[str, Any]:
    """Give the object that `--json` prints."""
    first = analysis.first(results)

    def numbers(estimate: Estimate | None) -> dict[str, Any] | None:
        if estimate is None:
            return None
        kept = ("value", "low", "high", "p", "df", "seeds", "images", "dropped")
        found = {name: value for name, value in dataclasses.asdict(estimate).items() if name in kept}
        return {name: value if math.isfinite(value) else None for name, value in found.items()}  # JSON has no infinity

    def effects(found: Iterable[Effect]) -> list[dict[str, Any]]:
        return [
            {
                "axes": each.axes,
                "change": each.label,
                "verdict": each.word,
                "p_adjusted": each.p_adjusted,
                **(numbers(each.estimate) or {}),
            }
            for each in found
        ]

    return {
        "study": results.study.name,
        "metric": first.metric,
        "protocol": first.protocol,
        "reference": results.study.reference.name,
        "variants": [
            {
                "variant": row.variant.name,
                "levels": dict(zip(results.study.axes, row.variant.levels, strict=True)),
                "mean": numbers(row.mean),
                "difference": numbers(row.difference),
                "p_adjusted": row.p_adjusted,
                "verdict": row.word or "reference",
                "sentence": sentence(row.difference, row.metric, row.p_adjusted) if row.word else "",
                "best": row.best,
                "tied_with_best": row.tied,
            }
            for row in first.rows
        ],
        "main_effects": effects(analysis.main),
        "interactions": effects(analysis.interactions),
        "shares": effects(analysis.shares),
        "cells": [
            {
                "variant": each.cell.variant.name,
                "seed": each.cell.seed,
                "state": each.state,
                "reason": each.reason,
                "key": each.cell.jobs[-1].key,
            }
            for each in results.cells
        ],
        "files": {name: str(path) for name, path in written.items()},
        "time": time.time(),
    }
