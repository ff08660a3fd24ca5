"""How a report writes numbers, names and verdicts, alike in every format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cliffkit.scoring.metrics import HIGHER_IS_BETTER, UNITS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, THESE_WEIGHTS, UNMEASURED, WORSE, Estimate
from cliffkit.study.analysis import Row

MARKS: Mapping[str, str] = MappingProxyType(
    {BETTER: "▲", WORSE: "▼", EQUIVALENT: "≈", NOISE: "●", THESE_WEIGHTS: "◇", UNMEASURED: "×"}
)
"""By verdict, in the order in which verdicts are told; colour is never the only carrier."""

NOTHING = "–"

MINUS = "−"

CONFIDENCE = "95 %"


def heading(metric: str) -> str:
    """Put a metric into words, with its unit and the direction that is better."""
    unit = f" [{UNITS[metric]}]" if UNITS[metric] else ""
    return f"{metric}{unit} {'↑' if metric in HIGHER_IS_BETTER else '↓'}"


def digits(estimates: Iterable[Estimate | None]) -> int:
    """Decimals that show two digits of the half-width of the narrowest interval."""
    halves = [half(estimate) for estimate in estimates if estimate is not None]
    halves = [value for value in halves if 0 < value < math.inf]
    return min(max(1 - math.floor(math.log10(min(halves))), 0), 6) if halves else 4


def row_digits(row: Row) -> int:
    """Decimals of a row: as many as its mean or its difference needs, whatever the intervals of other rows."""
    return digits((row.mean, row.difference))


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


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names with commas, the rest counted."""
    texts = list(names)
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def plain_and_code(text: str) -> list[str]:
    """Divide a sentence at its backticks: plain text and code in turn; all plain where a backtick is left over."""
    parts = text.split("`")
    return parts if len(parts) % 2 else [text]
