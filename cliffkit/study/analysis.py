"""What a study's differences are worth: verdicts per variant, effects per axis, shares per component."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS
from cliffkit.statistics import (
    Estimate,
    compare,
    estimate,
    holm,
    interaction,
    main_effect,
    shapley,
    verdict,
)
from cliffkit.study.results import Results
from cliffkit.study.study import Study, Variant


@dataclass(frozen=True)
class Row:
    """One variant under one protocol, in one metric."""

    variant: Variant
    metric: str
    mean: Estimate | None
    """None where no cell is done."""
    difference: Estimate | None
    """From the reference, on the same images under the same seeds; None for the reference itself."""
    word: str | None
    """The verdict; None for the reference itself."""
    p_adjusted: float | None
    """Holm's, over the table's differences; the placebo's is its own p, and counts for no other."""
    best: bool
    """Whether its mean is the best of the table."""
    tied: bool
    """Whether its mean is the best, or not distinguishable from the best."""
    smallest: float | None = None
    """Smallest difference of interest in this metric; None where the study names none."""


@dataclass(frozen=True)
class Table:
    """Every variant under one protocol, in one metric."""

    protocol: str
    metric: str
    rows: tuple[Row, ...]

    @property
    def compared(self) -> int:
        """Number of differences that Holm's p counts."""
        return sum(row.p_adjusted is not None and not row.variant.is_placebo for row in self.rows)

    @property
    def placebo(self) -> Row | None:
        """The row of the study's placebo; None where it has none."""
        return next((row for row in self.rows if row.variant.is_placebo), None)


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


@dataclass(frozen=True)
class Analysis:
    """Everything that is concluded from a study."""

    tables: Mapping[tuple[str, str], Table]
    """By protocol and metric."""
    main: tuple[Effect, ...]
    """Per axis and level other than the reference's, in the study's metric and protocol."""
    interactions: tuple[Effect, ...]
    shares: tuple[Effect, ...]
    """Shapley shares of the improvement from the weakest variant to the full recipe."""
    weakest: Variant | None

    def first(self, results: Results) -> Table:
        """Give the table in the study's own metric and protocol."""
        return self.tables[results.study.protocol, results.study.metric]


def analyse(results: Results) -> Analysis:
    """Every table, and the effects in the study's own metric and protocol."""
    study = results.study
    tables = {
        (protocol.name, metric): _table(results, protocol.name, metric)
        for protocol in results.protocols
        for metric in METRICS
    }
    first = tables[study.protocol, study.metric]
    if len(study.axes) < 2:
        return Analysis(tables, (), (), (), None)
    values = results.table(study.protocol, study.metric)
    variants = [i for i, variant in enumerate(study.variants) if not variant.is_placebo]
    measured = [i for i in variants if not np.isnan(values[i]).all()]
    grid = {study.variants[i].levels: values[i] for i in measured}  # effects need measured variants only
    if study.design == "grid":
        main, interactions = _effects(results, grid)
    else:
        main, interactions = (), ()
    shares: list[tuple[str, tuple[str, ...], Estimate | None]] = []
    weakest = _weakest(first) if study.design == "grid" else None
    if weakest is not None and study.full in grid:
        parts = shapley(grid, weakest.levels, study.full)
        for axis, part in (parts or {}).items():
            label = f"{weakest.levels[axis]} → {study.full[axis]}"
            shares.append((label, (list(study.axes)[axis],), part))
    return Analysis(tables, main, interactions, _judged(shares, study), weakest)


def _table(results: Results, protocol: str, metric: str) -> Table:
    study = results.study
    values = results.table(protocol, metric)
    higher = metric in HIGHER_IS_BETTER
    reference = values[study.variants.index(study.reference)]
    means = [_mean(rows, metric) for rows in values]
    is_placebo = [variant.is_placebo for variant in study.variants]
    measured = [i for i, mean in enumerate(means) if mean is not None and not is_placebo[i]]
    best = (max if higher else min)(measured, key=lambda i: _value(means[i]), default=None)
    differences = [
        None if variant.levels == study.reference.levels else compare(rows, reference)
        for variant, rows in zip(study.variants, values, strict=True)
    ]
    tested = [i for i, d in enumerate(differences) if d is not None and d.seeds_measured]
    family = [i for i in tested if not is_placebo[i]]  # a check of the study must not cost its comparisons power
    adjusted = {i: _p(differences[i]) for i in tested}
    adjusted.update(zip(family, holm([adjusted[i] for i in family]), strict=True))
    smallest = study.smallest if metric == study.metric else None  # it has that metric's unit
    rows = []
    for i, variant in enumerate(study.variants):
        p, gap = adjusted.get(i), differences[i]
        word = verdict(gap, higher_is_better=higher, p_adjusted=p, smallest=smallest)
        word_or_none = None if variant.levels == study.reference.levels else word
        tied = i == best or (best is not None and _indistinguishable(compare(values[i], values[best])))
        tied = tied and not is_placebo[i]
        rows.append(Row(variant, metric, means[i], gap, word_or_none, p, i == best, tied, smallest))
    return Table(protocol, metric, tuple(rows))


def _mean(rows: NDArray[np.float64], metric: str) -> Estimate | None:
    """Estimate a variant's mean, its interval within what the metric can be: 0 or more, shares 1 at most."""
    mean = estimate(rows)
    if mean is None:
        return None
    top = 1.0 if metric in HIGHER_IS_BETTER else math.inf
    return replace(mean, low=max(mean.low, 0.0), high=min(mean.high, top))


def _value(mean: Estimate | None) -> float:
    assert mean is not None
    return mean.value


def _p(difference: Estimate | None) -> float:
    assert difference is not None
    return difference.p


def _indistinguishable(difference: Estimate | None) -> bool:
    return difference is not None and difference.seeds_measured and difference.low <= 0 <= difference.high


def _effects(
    results: Results, grid: Mapping[tuple[str, ...], NDArray[np.float64]]
) -> tuple[tuple[Effect, ...], tuple[Effect, ...]]:
    study = results.study
    names, start = list(study.axes), study.reference.levels
    changes = [(k, level) for k, name in enumerate(names) for level in study.axes[name] if level != start[k]]
    main = [(f"{start[k]} → {level}", (names[k],), main_effect(grid, k, level, start[k])) for k, level in changes]
    interactions = [
        (
            f"{first} with {second}",
            (names[j], names[k]),
            interaction(grid, (j, k), (first, second), (start[j], start[k])),
        )
        for (j, first), (k, second) in itertools.combinations(changes, 2)
        if j != k
    ]
    return _judged(main, study), _judged(interactions, study)


def _judged(effects: Sequence[tuple[str, tuple[str, ...], Estimate | None]], study: Study) -> tuple[Effect, ...]:
    """Give effects with their verdicts. Holm's p counts all effects given here."""
    higher, smallest = study.metric in HIGHER_IS_BETTER, study.smallest
    tested = [i for i, (*_, difference) in enumerate(effects) if difference is not None and difference.seeds_measured]
    adjusted = dict(zip(tested, holm([_p(effects[i][2]) for i in tested]), strict=True))
    return tuple(
        Effect(
            label,
            axes,
            difference,
            verdict(difference, higher_is_better=higher, p_adjusted=adjusted.get(i), smallest=smallest),
            adjusted.get(i),
            smallest,
        )
        for i, (label, axes, difference) in enumerate(effects)
    )


def _weakest(table: Table) -> Variant | None:
    """Find the variant with the worst mean. The data choose it, so others look better beside it than they are."""
    measured = [row for row in table.rows if row.mean is not None and not row.variant.is_placebo]
    if len(measured) < 2:
        return None
    pick = min if table.metric in HIGHER_IS_BETTER else max
    return pick(measured, key=lambda row: _value(row.mean)).variant
