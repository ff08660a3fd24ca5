"""What a study's differences are worth: verdicts per variant, effects per axis, shares per component."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS
from cliffkit.statistics import Estimate, Floats, estimate, shapley, verdict
from cliffkit.statistics.sequential import GO_ON
from cliffkit.study.effects import Effect, effects_of, estimator_of, judged
from cliffkit.study.family import family_wise, over_planned
from cliffkit.study.results import Results
from cliffkit.study.rounds import Stop, sequential_p
from cliffkit.study.study import Comparison, Point
from cliffkit.study.where import Family, where

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Row:
    """One variant under one protocol, in one metric."""

    variant: Point
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
    """Whether its mean is the best of the table, by `ranked`."""
    tied: bool
    """Whether its mean is the best, or not distinguishable from the best."""
    smallest: float | None = None
    """Smallest difference of interest in this metric; None where the study names none."""
    stop: Stop | None = None
    """Why it gets no more seeds, or that it goes on; only with adaptive seeds, in the compared metric and protocol."""
    ranked: Estimate | None = None
    """Its mean on the common ground of the table, by which the best and the weakest are chosen."""


@dataclass(frozen=True)
class Ground:
    """What the means of a table have in common where they are over different images or seeds."""

    seeds: int
    """Seeds that every measured variant has; with adaptive seeds the fewest of a variant, each on its own seeds."""
    images: int
    """Images that every measured variant has a score of, under all its seeds."""
    differs: tuple[str, ...]
    """In what the means differ: `images`, `seeds`."""


@dataclass(frozen=True)
class Table:
    """Every variant under one protocol, in one metric."""

    protocol: str
    metric: str
    rows: tuple[Row, ...]
    ground: Ground | None = None
    """On what variants are ranked; None where all means are over the same images and seeds."""

    @property
    def compared(self) -> int:
        """Number of differences that Holm's p counts, those that are not measured yet among them; 0 where no p is."""
        counted = [row for row in self.rows if row.word is not None and not row.variant.is_placebo]
        return len(counted) if any(row.p_adjusted is not None for row in counted) else 0

    @property
    def placebo(self) -> Row | None:
        """The row of the study's placebo; None where it has none."""
        return next((row for row in self.rows if row.variant.is_placebo), None)


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
    weakest: Point | None
    where: tuple[Family, ...] = ()
    """Differences in regions of the images, in the study's metric and protocol."""

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
        return Analysis(tables, (), (), (), None, where(results))
    values = results.table(study.protocol, study.metric)
    variants = [i for i, variant in enumerate(study.variants) if not variant.is_placebo]
    measured = [i for i in variants if not np.isnan(values[i]).all()]
    grid = {study.variants[i].levels: values[i] for i in measured}  # effects need measured variants only
    if study.design == "grid":
        main, interactions = effects_of(study, grid)
    else:
        main, interactions = (), ()
    shares: list[tuple[str, tuple[str, ...], Estimate | None]] = []
    weakest = _weakest(first) if study.design == "grid" else None
    if weakest is not None and study.full in grid:
        parts = shapley(grid, weakest.levels, study.full, estimator=estimator_of(study))
        for axis, part in (parts or {}).items():
            label = f"{weakest.levels[axis]} → {study.full[axis]}"
            shares.append((label, (list(study.axes)[axis],), part))
    return Analysis(tables, main, interactions, judged(shares, study), weakest, where(results))


def _table(results: Results, protocol: str, metric: str) -> Table:
    study = results.study
    values = results.table(protocol, metric)
    higher = metric in HIGHER_IS_BETTER
    reference = values[study.variants.index(study.reference)]
    means = [_mean(rows, metric) for rows in values]
    is_placebo = [variant.is_placebo for variant in study.variants]
    measured = [i for i, mean in enumerate(means) if mean is not None and not is_placebo[i]]
    fair, ground = _on_common_ground(study, {i: values[i] for i in measured})
    ranked = {i: means[i] if ground is None else _mean(fair[i], metric) for i in measured}
    known = [i for i in measured if ranked[i] is not None]
    best = (max if higher else min)(known, key=lambda i: _value(ranked[i]), default=None)
    gaps = {i: rows - reference for i, rows in enumerate(values) if study.variants[i].levels != study.reference.levels}
    estimator = estimator_of(study)
    differences = {i: estimator(gap) for i, gap in gaps.items()}
    adjusted = _adjusted(study, gaps, differences)
    smallest = study.smallest if metric == study.metric else None  # it has that metric's unit
    stops = _stops(results) if (protocol, metric) == (study.protocol, study.metric) else {}

    rows = []
    for i, variant in enumerate(study.variants):
        difference, p, word = differences.get(i), adjusted.get(i), None
        if i in gaps:
            within = _is_equivalent(study, gaps[i], difference) if smallest is not None else None
            word = verdict(difference, higher_is_better=higher, p_adjusted=p, smallest=smallest, is_equivalent=within)
        tied = i == best or (
            best is not None and i in ranked and _indistinguishable(estimator(values[i] - values[best]))
        )
        stop = stops.get(i) if i in gaps else None
        rows.append(Row(variant, metric, means[i], difference, word, p, i == best, tied, smallest, stop, ranked.get(i)))
    return Table(protocol, metric, tuple(rows), ground)


def _on_common_ground(study: Comparison, tables: Mapping[int, Floats]) -> tuple[dict[int, Floats], Ground | None]:
    """Leave in every variant's scores what all of them have, since a mean without the hard images is no better.

    Seeds that come one by one are a sample of their own in each variant: there images alone are made common.
    """
    seeds: dict[int, Flags] = {i: np.asarray(~np.isnan(rows).all(axis=1)) for i, rows in tables.items()}
    every: Flags = np.all(list(seeds.values()), axis=0)
    kept: dict[int, Flags] = {i: every if study.adaptive is None else own for i, own in seeds.items()}
    images: dict[int, Flags] = {i: np.asarray(~np.isnan(rows[seeds[i]]).any(axis=0)) for i, rows in tables.items()}
    columns = {name: list(flags.values()) for name, flags in (("images", images), ("seeds", seeds))}
    differs = [name for name, rows in columns.items() if any((row != rows[0]).any() for row in rows)]
    if study.adaptive is not None:
        differs = [name for name in differs if name != "seeds"]
    if not differs:
        return dict(tables), None
    common: Flags = np.all([~np.isnan(rows[kept[i]]).any(axis=0) for i, rows in tables.items()], axis=0)
    fair = {i: np.where(kept[i][:, None] & common, rows, np.nan) for i, rows in tables.items()}
    fewest = min(int(rows.sum()) for rows in kept.values())
    return fair, Ground(fewest, int(common.sum()) if fewest else 0, tuple(differs))


def _stops(results: Results) -> dict[int, Stop]:
    """Give by variant why it stopped, or that it goes on; nothing at fixed seeds."""
    course, design = results.course, results.study.adaptive
    if course is None or design is None:
        return {}
    pairs = zip(course.stops, course.counted, strict=True)
    return {i: stop or Stop(GO_ON, seeds, design.to_seeds) for i, (stop, seeds) in enumerate(pairs)}


def _adjusted(
    study: Comparison, gaps: Mapping[int, Floats], differences: Mapping[int, Estimate | None]
) -> dict[int, float]:
    """Give Holm's p over the variants, by variant. The placebo is apart: a check must cost no comparison power."""
    apart = [i for i, variant in enumerate(study.variants) if variant.is_placebo]
    if study.adaptive is None:
        return over_planned(differences, apart)
    adjusted = family_wise({i: sequential_p(study.adaptive, gap) for i, gap in gaps.items()}, apart)
    return {i: p for i, p in adjusted.items() if differences[i] is not None}


def _is_equivalent(study: Comparison, gap: Floats, difference: Estimate | None) -> bool | None:
    """Say whether a sequential design found a difference equivalent; None leaves that to `verdict`."""
    if study.adaptive is None or study.smallest is None or difference is None:
        return None
    return study.adaptive.equivalent(gap, study.smallest)


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


def _indistinguishable(difference: Estimate | None) -> bool:
    return difference is not None and difference.seeds_measured and difference.low <= 0 <= difference.high


def _weakest(table: Table) -> Point | None:
    """Find the variant with the worst mean. The data choose it, so others look better beside it than they are."""
    measured = [row for row in table.rows if row.ranked is not None and not row.variant.is_placebo]
    if len(measured) < 2:
        return None
    pick = min if table.metric in HIGHER_IS_BETTER else max
    return pick(measured, key=lambda row: _value(row.ranked)).variant
