"""What may be said of a difference, in words."""

from __future__ import annotations

import math
from typing import NamedTuple

from cliffkit.statistics.estimate import Estimate

BETTER, WORSE, NOISE = "better", "worse", "not distinguishable from noise"

UNMEASURED, THESE_WEIGHTS = "not measured", "on these weights only"


class Verdict(NamedTuple):
    """What may be said of a difference: one of the five words above, and a sentence."""

    word: str
    sentence: str


def verdict(
    estimate: Estimate | None, *, higher_is_better: bool, unit: str = "", p_adjusted: float | None = None
) -> Verdict:
    """The estimate of (variant - reference) in words, for people; numbers in `unit`, where one is given.

    Beside the word of `judged` what the study could have seen, and what it would take to see the difference observed:
    that takes a hundred times as long.
    """
    word = judged(estimate, higher_is_better=higher_is_better, p_adjusted=p_adjusted)
    return Verdict(word, _sentence(estimate, higher_is_better, unit, p_adjusted))


def judged(estimate: Estimate | None, *, higher_is_better: bool, p_adjusted: float | None = None) -> str:
    """The word of the verdict on (variant - reference).

    `better` and `worse` where the interval excludes 0 and, where `p_adjusted` says what p is among all comparisons made
    beside this one (`holm`), that is small too. One seed gives no verdict on the recipe, one image none at all.
    """
    if estimate is None or estimate.images == 1:
        return UNMEASURED
    if not estimate.seeds_measured:
        return THESE_WEIGHTS
    if max(estimate.p, p_adjusted or 0.0) >= 1 - estimate.confidence:
        return NOISE
    return BETTER if (estimate.value > 0) == higher_is_better else WORSE


def _sentence(estimate: Estimate | None, higher_is_better: bool, unit: str, p_adjusted: float | None) -> str:
    if estimate is None:
        return "not measured: no image is scored in both"
    value, low, high = estimate.value, estimate.low, estimate.high
    word = BETTER if (value > 0) == higher_is_better else WORSE
    shown = _Numbers(max(abs(low), abs(high)) if math.isfinite(low) else abs(value), unit)
    # As an amount: "worse by 0.3 (0.1 to 0.5)", whichever way the metric points.
    ends = (low, high) if value >= 0 else (-high, -low)
    amount = f"by {shown(abs(value))} ({shown(ends[0], False)} to {shown(ends[1], False)}), {_p(estimate.p)}"
    excluded = estimate.p < 1 - estimate.confidence
    if estimate.images == 1:
        lean = f"{word} by {shown(abs(value))} on it" if value else "no difference on it"
        return f"not measured: one image says nothing of others; {lean}"
    if not estimate.seeds_measured:
        lean = f"{word} {amount}" + ("" if excluded else ", which the noise of the images explains")
        return f"on these weights only: {lean}; seed noise was not measured, train more seeds"
    if excluded and p_adjusted is not None and p_adjusted >= 1 - estimate.confidence:
        alone = f"alone it would be {word} {amount}, but so many comparisons find as much by chance"
        return f"{NOISE}: {alone} (Holm's {_p(p_adjusted)})"
    if excluded:
        return f"{word} {amount}"
    if estimate.standard_error == 0:
        return f"{NOISE}: the two are equal on every image under every seed"
    seen = f"this study would have seen {shown(estimate.detectable())} four times in five"
    needed = estimate.seeds_needed()
    if value == 0:
        wanted = "no difference was observed"
    elif needed is None:
        wanted = "no number of seeds would show the one observed, these images alone vary too much"
    else:
        wanted = f"the one observed, if real, would take {_count(max(needed - estimate.seeds, 1))}"
    return f"{NOISE}: {_signed(estimate, shown)}; {seen}; {wanted}"


def _count(more: int) -> str:
    return "1 more seed" if more == 1 else f"about {more} more seeds" if more < 1000 else "over a thousand more seeds"


class _Numbers:
    """Writes numbers with the decimals that give `largest` three digits."""

    def __init__(self, largest: float, unit: str) -> None:
        self.decimals = 2 - math.floor(math.log10(largest)) if largest > 0 else 0
        self.unit = f" {unit}" if unit else ""

    def __call__(self, number: float, with_unit: bool = True) -> str:
        text = f"{number:.{max(self.decimals, 0)}f}" if self.decimals <= 8 else f"{number:.3g}"
        return text + self.unit * with_unit


def _signed(estimate: Estimate, shown: _Numbers) -> str:
    interval = f"{shown(estimate.low, False)} to {shown(estimate.high, False)}"
    return f"{'+' * (estimate.value > 0)}{shown(estimate.value)} ({interval}), {_p(estimate.p)}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"
