"""Verdicts as sentences: the amount, what a study could have seen, and what it would take to see more."""

from __future__ import annotations

import functools
import math

from cliffkit.scoring.metrics import HIGHER_IS_BETTER, UNITS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, THESE_WEIGHTS, UNMEASURED, WORSE, Estimate, leaning
from cliffkit.study.analysis import Row
from cliffkit.study.effects import Effect
from cliffkit.study.study import Point


@functools.lru_cache(10_000)  # page, Markdown and JSON tell the same ones
def sentence(
    estimate: Estimate | None,
    metric: str,
    p_adjusted: float | None = None,
    *,
    within: float | None = None,
    ended: str = "",
) -> str:
    """Put the estimate of (variant - reference) in a metric into words, for people.

    `within` is the smallest difference of interest where the verdict is `equivalent`, else None. With adaptive
    seeds `ended` says why there are no more, in the place of what so many fixed seeds could have seen.
    Beside the word of the verdict stand the smallest detectable difference and the seeds needed, which take about 100
    times as long to compute as the word.
    """
    if estimate is None:
        return f"not measured: {ended or 'no image is scored in both'}"
    word = leaning(estimate, higher_is_better=metric in HIGHER_IS_BETTER)
    write = _numbers(estimate, UNITS[metric])
    excluded = estimate.p < 1 - estimate.confidence

    if estimate.images == 1:
        lean = f"{word} by {write(abs(estimate.value))} on it" if estimate.value else "no difference on it"
        return f"not measured: one image says nothing of others; {lean}"
    amount, end = f"{word} {_amount(estimate, write)}", f"; {ended}" if ended else ""
    if not estimate.seeds_measured:
        lean = amount + ("" if excluded else ", which the noise of the images explains")
        return f"on these weights only: {lean}; seed noise was not measured, train more seeds"
    if within is not None:
        return f"{EQUIVALENT} within ±{within:g}{write.unit}, by two one-sided tests: {_signed(estimate, write)}{end}"
    if excluded and p_adjusted is not None and p_adjusted >= 1 - estimate.confidence:
        alone = f"alone it would be {amount}, but so many comparisons find as much by chance"
        return f"{NOISE}: {alone} (Holm's {_p(p_adjusted)}){end}"
    if excluded:
        return f"{amount}{end}"
    if estimate.standard_error == 0:
        return f"{NOISE}: the two are equal on every image under every seed{end}"
    if ended:
        return f"{NOISE}: {_signed(estimate, write)}{end}"
    power = f"this study would have seen {write(seen(estimate))} four times in five"
    return f"{NOISE}: {_signed(estimate, write)}; {power}; {_wanted(estimate)}"


@functools.lru_cache(10_000)
def seen(estimate: Estimate) -> float:
    """Give the smallest true difference that such a comparison finds four times in five."""
    return estimate.detectable()


@functools.lru_cache(10_000)
def more_seeds(estimate: Estimate) -> int | None:
    """Give the seeds to add to see the difference observed four times in five; None where none are enough."""
    needed = estimate.seeds_needed()
    return None if needed is None else max(needed - estimate.seeds, 1)


def row_sentence(row: Row | Effect, metric: str) -> str:
    """Put a verdict of a study into words."""
    if isinstance(row, Row) and row.variant.is_placebo:
        return placebo_sentence(row)
    difference = row.difference if isinstance(row, Row) else row.estimate
    within = row.smallest if row.word == EQUIVALENT else None
    ended = str(row.stop or "") if isinstance(row, Row) else row.basis
    return sentence(difference, metric, row.p_adjusted, within=within, ended=ended)


def placebo_sentence(row: Row) -> str:
    """Say how a study's placebo came out, and whether it should have."""
    difference, metric, word = row.difference, row.metric, row.word
    lead = f"Placebo: the reference under {_placebo_seeds(row)}"
    if difference is None or word == UNMEASURED:
        return f"{lead} is not measured."
    amount = _signed(difference, _numbers(difference, UNITS[metric]))
    if word == THESE_WEIGHTS:
        return f"{lead} differs by {amount}: with one seed, as much as that is luck of the training."
    if difference.value == 0 and difference.standard_error == 0:
        return f"{lead} is equal on every image, so the seeds change nothing: no verdict knows the luck of a training."
    if word in (BETTER, WORSE):
        return (
            f"{lead} differs by {amount}: it is {word}, and should not be. That happens to one study in twenty. If it "
            "happens again under other seeds, cells differ in more than their seeds, and no verdict can be trusted."
        )
    return f"{lead} differs by {amount}: {word}, as it should be."


def seeds_of(placebo: Point) -> str:
    """Write the seeds of a placebo: "seeds 10000 to 10009", "seeds 10000, 10003"."""
    seeds = sorted(placebo.own_seeds.values())
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    is_run = seeds[-1] - seeds[0] == len(seeds) - 1
    return f"seeds {seeds[0]} to {seeds[-1]}" if is_run else f"seeds {', '.join(map(str, seeds))}"


def _placebo_seeds(row: Row) -> str:
    """Write the seeds that a placebo was judged under, also where it had not all of its own."""
    seeds, counted = seeds_of(row.variant), row.difference.seeds if row.difference is not None else 0
    return f"{counted} of the {seeds}" if 0 < counted < len(row.variant.own_seeds) else seeds


def between(low: str, high: str) -> str:
    """Write the ends of a range: "0.1 to 0.5", or one number where both are written alike."""
    return low if low == high else f"{low} to {high}"


def _amount(estimate: Estimate, write: _Numbers) -> str:
    """Write the difference as an amount: "by 0.3 (0.1 to 0.5)", whichever way the metric points."""
    low, high = (estimate.low, estimate.high) if estimate.value >= 0 else (-estimate.high, -estimate.low)
    return f"by {write(abs(estimate.value))} ({between(write(low, False), write(high, False))}), {_p(estimate.p)}"


def _wanted(estimate: Estimate) -> str:
    """Say how many seeds would show the difference that was observed."""
    if estimate.value == 0:
        return "no difference was observed"
    more = more_seeds(estimate)
    if more is None:
        return "no number of seeds would show the one observed, these images alone vary too much"
    count = "1 more seed" if more == 1 else f"about {more} more seeds" if more < 1000 else "over a thousand more seeds"
    return f"the one observed, if real, would take {count}"


class _Numbers:
    """Writes numbers with the decimals that give `largest` three digits."""

    def __init__(self, largest: float, unit: str) -> None:
        self.decimals = 2 - math.floor(math.log10(largest)) if largest > 0 else 0
        self.unit = f" {unit}" if unit else ""

    def __call__(self, number: float, with_unit: bool = True) -> str:
        text = f"{number:.{max(self.decimals, 0)}f}" if self.decimals <= 8 else f"{number:.3g}"
        return text + self.unit * with_unit


def _numbers(estimate: Estimate, unit: str) -> _Numbers:
    """Choose decimals by the ends of the interval, where they are finite."""
    low, high = estimate.low, estimate.high
    return _Numbers(max(abs(low), abs(high)) if math.isfinite(low) else abs(estimate.value), unit)


def _signed(estimate: Estimate, write: _Numbers) -> str:
    interval = between(write(estimate.low, False), write(estimate.high, False))
    return f"{'+' * (estimate.value > 0)}{write(estimate.value)} ({interval}), {_p(estimate.p)}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"
