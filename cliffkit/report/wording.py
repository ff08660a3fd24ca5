"""How a report writes numbers, names and verdicts, alike in every format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cliffkit.scoring.metrics import HIGHER_IS_BETTER, UNITS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, THESE_WEIGHTS, UNMEASURED, WORSE, Estimate
from cliffkit.study.analysis import Table

MARKS: Mapping[str, str] = MappingProxyType(
    {BETTER: "▲", WORSE: "▼", EQUIVALENT: "≈", NOISE: "●", THESE_WEIGHTS: "◇", UNMEASURED: "×"}
)
"""By verdict, in the order in which verdicts are told; colour is never the only carrier."""

NOTHING = "–"

MINUS = "−"

CONFIDENCE = "95 %"

MOST_FINER = 2
"""Decimals that a column may have beyond those that its middle row needs."""


def heading(metric: str) -> str:
    """Put a metric into words, with its unit and the direction that is better."""
    unit = f" [{UNITS[metric]}]" if UNITS[metric] else ""
    return f"{metric}{unit} {'↑' if metric in HIGHER_IS_BETTER else '↓'}"


def column_digits(rows: Iterable[Iterable[Estimate | None]]) -> int:
    """Decimals of a column, given what stands in each of its rows: as many as the row needs that needs most.

    With fewer the best mean might look no better than another. But there are at most `MOST_FINER` more than the middle
    row needs, so that one interval of nearly no width does not fill the column with figures.
    """
    needed = sorted(count for row in rows if (count := _needed_digits(row)) is not None)
    return min(needed[-1], needed[len(needed) // 2] + MOST_FINER) if needed else 4


def table_digits(table: Table) -> int:
    """Decimals of a table's means and differences, the same in every format."""
    return column_digits((row.mean, row.difference) for row in table.rows)


def _needed_digits(estimates: Iterable[Estimate | None]) -> int | None:
    """Decimals that show two digits of the half-width of the narrowest interval; None where no interval has ends."""
    halves = [half(estimate) for estimate in estimates if estimate is not None]
    halves = [value for value in halves if 0 < value < math.inf]
    return min(max(1 - math.floor(math.log10(min(halves))), 0), 6) if halves else None


def half(estimate: Estimate) -> float:
    """Half the width of an interval."""
    return (estimate.high - estimate.low) / 2


def number(value: float, decimals: int, *, sign: bool = False) -> str:
    """Write a number with a real minus; never a negative zero."""
    if math.isinf(value) or math.isnan(value):
        return {True: "∞", False: f"{MINUS}∞"}[value > 0] if math.isinf(value) else NOTHING
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    zero = not text.strip("+-0.")
    return text.lstrip("+-") if zero else text.replace("-", MINUS)


def interval(estimate: Estimate, decimals: int, *, sign: bool = False) -> str:
    """[low, high]."""
    return f"[{number(estimate.low, decimals, sign=sign)}, {number(estimate.high, decimals, sign=sign)}]"


def spread(estimate: Estimate | None, decimals: int) -> str:
    """Mean ± half-width."""
    return NOTHING if estimate is None else f"{number(estimate.value, decimals)} ± {number(half(estimate), decimals)}"


def chance(p: float | None) -> str:
    """Write a p value."""
    if p is None or math.isnan(p):
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def verdict(word: str | None) -> str:
    """Write a verdict with its mark; None is the reference's."""
    return "reference" if word is None else f"{MARKS[word]} {word}"


def legend() -> str:
    """List the marks of all verdicts with their words."""
    return ", ".join(f"{mark} {word}" for word, mark in MARKS.items())


def equivalence(smallest: float, metric: str) -> str:
    """Say by what equivalence is judged: an interval that is shown may leave the range of differences too small."""
    unit = f" {UNITS[metric]}" if UNITS[metric] else ""
    return (
        f"Equivalent is judged by two one-sided tests at 5 % each, that is by the 90 % interval, which lies within "
        f"±{smallest:g}{unit}; the 95 % interval that is shown may reach beyond."
    )


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names with commas, the rest counted."""
    texts = list(names)
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def plain_and_code(text: str) -> list[str]:
    """Divide a sentence at its backticks: plain text and code in turn; all plain where a backtick is left over."""
    parts = text.split("`")
    return parts if len(parts) % 2 else [text]
