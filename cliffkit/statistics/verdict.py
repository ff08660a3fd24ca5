"""The verdict on a difference: one of six words. `report.sentences` writes the sentences."""

from __future__ import annotations

import math

from scipy.special import stdtrit

from cliffkit.statistics.estimate import Estimate

BETTER, WORSE, NOISE = "better", "worse", "not distinguishable from noise"

EQUIVALENT, UNMEASURED, THESE_WEIGHTS = "equivalent", "not measured", "on these weights only"

FEW_IMAGES = 5
"""With fewer images verdicts err too often: at two images and ten seeds 12 in a hundred where nothing differs."""


def verdict(
    estimate: Estimate | None,
    *,
    higher_is_better: bool,
    p_adjusted: float | None = None,
    smallest: float | None = None,
    is_equivalent: bool | None = None,
) -> str:
    """Give the word of the verdict on (variant - reference).

    `better` and `worse` need an interval that excludes 0. They also need a small `p_adjusted` where it is given: the p
    value among all comparisons of the table (`holm`). Else `equivalent` needs a difference below `smallest`, the
    smallest of interest (`equivalent`), or `is_equivalent` where a sequential design has said so. One seed gives no
    verdict on the recipe, one image none at all.
    """
    if estimate is None or estimate.images == 1:
        return UNMEASURED
    if not estimate.seeds_measured:
        return THESE_WEIGHTS
    if max(estimate.p, p_adjusted or 0.0) < 1 - estimate.confidence:
        return leaning(estimate, higher_is_better=higher_is_better)
    if is_equivalent is None:
        is_equivalent = smallest is not None and equivalent(estimate, smallest)
    return EQUIVALENT if is_equivalent else NOISE


def equivalent(estimate: Estimate, smallest: float) -> bool:
    """Say whether the true difference lies within +-smallest, by two one-sided tests (Schuirmann 1987).

    Each errs in 1 - confidence, so at 95 % the 90 % interval must lie within. Never with one seed or one image, which
    say nothing about recipes or other images. Raises ValueError where `smallest` is not above 0.
    """
    if not 0 < smallest < math.inf:
        raise ValueError(f"smallest is {smallest:g}: give the smallest difference of interest, above 0")
    if not estimate.seeds_measured or estimate.images == 1:
        return False
    half = float(stdtrit(estimate.df, estimate.confidence)) * estimate.standard_error
    return abs(estimate.value) + half < smallest


def leaning(estimate: Estimate, *, higher_is_better: bool) -> str:
    """Give the side on which the estimate lies, `better` or `worse`, however noisy it is; a 0 counts as smaller."""
    return BETTER if (estimate.value > 0) == higher_is_better else WORSE
