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
from cliffkit.report.constant import baseline, not_better_than_constant
from cliffkit.report.noise import noise_numbers, noise_sentences
from cliffkit.report.remarks import common_ground, equivalence
from cliffkit.report.sentences import between, placebo_sentence, row_sentence
from cliffkit.report.summary import summary
from cliffkit.report.where import where_rows, where_sentences
from cliffkit.report.wording import column_digits, listed, table_digits
from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.statistics import BETTER, WORSE, Estimate
from cliffkit.study.analysis import Analysis
from cliffkit.study.effects import Effect
from cliffkit.study.noise import summarise_noise
from cliffkit.study.results import CellResult, Results
from cliffkit.study.rounds import NOT_NEEDED, Stop
from cliffkit.text import printable

STYLES = {BETTER: "green", WORSE: "red"}


def print_study(results: Results, analysis: Analysis) -> None:
    """Print a study's first table, the effects of its axes, and what is missing."""
    out = console()
    study, first = results.study, analysis.first(results)
    protocol = next(protocol for protocol in results.protocols if protocol.name == first.protocol)
    arrow = "↑" if first.metric in HIGHER_IS_BETTER else "↓"
    for text in (summary(results, analysis), protocol.describe()):
        out.print(printable(f"\n{text}"), highlight=False, markup=False)
    table = _table("variant", f"{first.metric} {arrow}", f"against {study.reference.name}")
    decimals = table_digits(first)
    for row in first.rows:
        mark = "*" if row.best else "=" if row.tied else " "
        mean = "" if row.mean is None else f"{row.mean.value:.{decimals}f}{mark}"
        _add(
            table, (row.variant.name, mean), row.difference, decimals, row.p_adjusted, row.word or "reference", row.stop
        )
    out.print(table)
    apart = "" if study.placebo is None else "; the placebo takes no part"
    out.print(f"*: the best mean; =: not distinguishable from the best{apart}", highlight=False)
    constant = baseline(results, first.protocol, first.metric)
    equal = equivalence((*first.rows, *analysis.main, *analysis.interactions, *analysis.shares), study)
    for line in filter(None, (common_ground(first), equal, constant)):
        out.print(line, highlight=False)
    if weak := not_better_than_constant(results, first):
        out.print(f"no better than that constant: {listed(weak)}; train longer before you compare", highlight=False)
    compared = [row.difference for row in first.rows if not row.variant.is_placebo]
    differences = [difference for difference in compared if difference is not None and difference.seeds_measured]
    if study.adaptive is not None:
        out.print("intervals and p allow for all looks; differences decided early are too large on average",
                  highlight=False)  # fmt: skip
    elif differences:
        seen = sorted(difference.detectable() for difference in differences)
        smallest = between(f"{seen[0]:.2g}", f"{seen[-1]:.2g}")
        out.print(f"each comparison would have seen a difference of {smallest} four times in five", highlight=False)
        out.print(f"intervals are of each comparison alone, p is Holm's over all {first.compared}", highlight=False)
    elif len(study.seeds) == 1:
        out.print("one seed: seed noise was not measured, and no verdict reaches beyond these weights", highlight=False)
    for text in [*where_sentences(analysis.where), *noise_sentences(summarise_noise(results))]:
        out.print(printable(text), highlight=False, markup=False)
    if first.placebo is not None:
        out.print(placebo_sentence(first.placebo), highlight=False)
    for name, choice in results.choices.items():
        out.print(printable(f"tuned, {name}: {choice.describe()}"), highlight=False, markup=False)
    groups: list[tuple[str, Sequence[Effect]]] = [
        ("main effect", analysis.main),
        ("interaction", analysis.interactions),
    ]
    if analysis.weakest is not None:
        groups.append((f"share of the way from {analysis.weakest.name} to {' + '.join(study.full)}", analysis.shares))
    for title, effects in groups:
        if effects:
            table, decimals = _table(title, "", "difference"), column_digits([effect.estimate] for effect in effects)
            for effect in effects:
                head = f"{', '.join(effect.axes)}: {effect.label}", ""
                _add(table, head, effect.estimate, decimals, effect.p_adjusted, effect.word)
            out.print("")
            out.print(table)
    for text in _missing(results):
        out.print(printable(text), highlight=False, markup=False)


def _missing(results: Results) -> Iterable[str]:
    """Say which cells are missing and why, each reason once."""
    first: dict[str, str] = {}
    for result in results.cells:
        if result.state not in ("done", NOT_NEEDED) or result.reason:
            name = result.cell.name
            if result.reason and first.setdefault(result.reason, name) != name:
                yield f"{name}: {result.state} for the same reason as {first[result.reason]}"
            else:
                yield f"{name}: {result.state}" + (f": {result.reason}" if result.reason else "")


def _table(first: str, second: str, third: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in (first, second, third, "95 % interval", "p (Holm)", "verdict"):
        table.add_column(escape(printable(name)), justify="left" if name in (first, "verdict") else "right")
    return table


def _add(
    table: Table,
    head: tuple[str, str],
    difference: Estimate | None,
    decimals: int,
    p: float | None,
    word: str,
    stop: Stop | None = None,
) -> None:
    cells = ["", "", ""]
    if difference is not None:
        cells = [
            f"{difference.value:+z.{decimals}f}",
            f"{difference.low:+z.{decimals}f} to {difference.high:+z.{decimals}f}",
            "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}",
        ]
    table.add_row(
        *(escape(printable(text)) for text in head), *cells, f"{word}, {stop}" if stop else word, style=STYLES.get(word)
    )


_NUMBERS = ("value", "low", "high", "p", "df", "seeds", "images", "dropped")


def study_json(results: Results, analysis: Analysis, written: dict[str, Path]) -> dict[str, Any]:
    """Give the object that `--json` prints."""
    first, noise = analysis.first(results), summarise_noise(results)

    def numbers(estimate: Estimate | None) -> dict[str, Any] | None:
        if estimate is None:
            return None
        fields = {name: getattr(estimate, name) for name in _NUMBERS}
        return {name: value if math.isfinite(value) else None for name, value in fields.items()}  # JSON has no infinity

    def rows(effects: Iterable[Effect]) -> list[dict[str, Any]]:
        return [
            {
                "axes": effect.axes,
                "change": effect.label,
                "verdict": effect.word,
                "p_adjusted": effect.p_adjusted,
                **(numbers(effect.estimate) or {}),
            }
            for effect in effects
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
                "stop": dataclasses.asdict(row.stop) if row.stop else None,
                "sentence": row_sentence(row, row.metric) if row.word else "",
                "best": row.best,
                "tied_with_best": row.tied,
            }
            for row in first.rows
        ],
        "main_effects": rows(analysis.main),
        "interactions": rows(analysis.interactions),
        "shares": rows(analysis.shares),
        "where": list(where_rows(analysis.where)),
        "tuning": _tuning_json(results),
        "noise": None if noise is None else noise_numbers(noise.mean),
        "cells": [_cell_json(result) for result in results.cells],
        "files": {name: str(path) for name, path in written.items()},
        "time": time.time(),
    }


def _tuning_json(results: Results) -> dict[str, Any]:
    """Give the trials of a study's search and what was chosen, by variant; empty for a study without one."""
    return {
        name: {
            "trials": choice.trials,
            "chosen": None if choice.chosen is None else choice.chosen.values,
            "tried": [
                {"values": tried.trial.values, "score": tried.score, "state": tried.state} for tried in choice.tried
            ],
        }
        for name, choice in results.choices.items()
    }


def _cell_json(result: CellResult) -> dict[str, Any]:
    return {
        "variant": result.cell.variant.name,
        "seed": result.cell.own_seed,
        "state": result.state,
        "reason": result.reason,
        "key": result.cell.key,
    }
