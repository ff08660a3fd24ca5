"""The verdict on a difference: one of five words. `report.sentences` writes the sentences."""

from __future__ import annotations

from cliffkit.statistics.estimate import Estimate

BETTER, WORSE, NOISE = "better", "worse", "not distinguishable from noise"

UNMEASURED, THESE_WEIGHTS = "not measured", "on these weights only"


def verdict(estimate: Estimate | None, *, higher_is_better: bool, p_adjusted: float | None = None) -> str:
    """Give the word of the verdict on (variant - reference).

    `better` and `worse` need an interval that excludes 0. They also need a small `p_adjusted` where it is given: the p
    value among all comparisons of the table (`holm`). One seed gives no verdict on the recipe, one image none at all.
    """
    if estimate is None or estimate.images == 1:
        return UNMEASURED
    if not estimate.seeds_measured:
        return THESE_WEIGHTS
    if max(estimate.p, p_adjusted or 0.0) >= 1 - estimate.confidence:
        return NOISE
    return leaning(estimate, higher_is_better=higher_is_better)


def leaning(estimate: Estimate, *, higher_is_better: bool) -> str:
    """Give the side on which the estimate lies, `better` or `worse`, however noisy it is; a 0 counts as smaller."""
    return BETTER if (estimate.value > 0) == higher_is_better else WORSE
