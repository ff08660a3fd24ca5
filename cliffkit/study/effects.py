"""What changes along a study's axes do on average, and shares of an improvement, each with its verdict."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.statistics import Estimate, Estimator, Grid, estimate, interaction, main_effect, verdict
from cliffkit.study.family import over_planned
from cliffkit.study.study import Comparison


@dataclass(frozen=True)
class Effect:
    """The effect of a change along axes, averaged over the other axes; or a component's share of an improvement."""

    label: str
    axes: tuple[str, ...]
    estimate: Estimate | None
    word: str
    """The verdict."""
    p_adjusted: float | None
    """Holm's, over the effects of its kind."""
    smallest: float | None = None
    """Smallest effect of interest; None where the study names none."""
    basis: str = ""
    """With adaptive seeds, how many of them all of its variants have, in words."""


def estimator_of(study: Comparison) -> Estimator:
    """Give what estimates a difference: where seeds came one by one, with the repeated interval, valid at any stop."""
    return estimate if study.adaptive is None else study.adaptive.interval


def effects_of(study: Comparison, grid: Grid) -> tuple[tuple[Effect, ...], tuple[Effect, ...]]:
    """Give main effects and interactions against the reference, from the scores of the variants by their levels.

    Levels that no variant has together, as in a grid with exclusions, have no interaction.
    """
    estimator = estimator_of(study)
    names, start = list(study.axes), study.reference.levels
    points = [variant.levels for variant in study.variants if not variant.is_placebo]
    changes = [(k, level) for k, name in enumerate(names) for level in study.axes[name] if level != start[k]]
    main = [
        (f"{start[k]} → {level}", (names[k],), main_effect(grid, k, level, start[k], estimator=estimator))
        for k, level in changes
    ]
    interactions = [
        (
            f"{first} with {second}",
            (names[j], names[k]),
            interaction(grid, (j, k), (first, second), (start[j], start[k]), estimator=estimator),
        )
        for (j, first), (k, second) in itertools.combinations(changes, 2)
        if j != k and any(levels[j] == first and levels[k] == second for levels in points)
    ]
    return judged(main, study), judged(interactions, study)


def judged(effects: Sequence[tuple[str, tuple[str, ...], Estimate | None]], study: Comparison) -> tuple[Effect, ...]:
    """Give effects with their verdicts. Holm's p counts all effects given here, measured or not."""
    higher, smallest = study.metric in HIGHER_IS_BETTER, study.smallest
    estimates = dict(enumerate(effect for *_, effect in effects))
    adjusted = over_planned(estimates)
    return tuple(
        Effect(
            label,
            axes,
            difference,
            verdict(
                difference,
                higher_is_better=higher,
                p_adjusted=adjusted.get(i),
                smallest=smallest,
                is_equivalent=_lies_within(study, difference),
            ),
            adjusted.get(i),
            smallest,
            _basis(study, difference),
        )
        for i, (label, axes, difference) in enumerate(effects)
    )


def _lies_within(study: Comparison, effect: Estimate | None) -> bool | None:
    """Say whether the repeated interval of an effect lies within the smallest of interest; None at fixed seeds."""
    if study.adaptive is None or study.smallest is None or effect is None:
        return None
    return -study.smallest < effect.low and effect.high < study.smallest


def _basis(study: Comparison, effect: Estimate | None) -> str:
    if study.adaptive is None:
        return ""
    seeds = "too few" if effect is None else f"{effect.seeds} of {study.adaptive.to_seeds}"
    return f"over the {seeds} seeds that all its variants have"
