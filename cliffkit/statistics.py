"""Is a difference between recipes more than noise? Seeds and images are both random, and crossed.

The model of a (seeds, images) table of differences: d_ij = truth + seed_i + image_j + rest_ij, each of mean 0. From the
mean squares X of the seeds, M of the images and E of the rest (two-way analysis of variance, one value per cell) the
variance of the mean of S seeds and I images is estimated by V / (S I), V = X + M - E (crossed random effects: Baayen,
Davidson and Bates 2008, J. Memory and Language 59; degrees of freedom: Satterthwaite 1946, Biometrics Bulletin 2).
How that is made to hold its 95 % at few seeds stands at `_noise`, how well it does in docs/statistics.md.

A report makes thousands of comparisons, hence `scipy.special`: a call into `scipy.stats` costs more than all the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, stdtr, stdtrit

Floats = NDArray[np.float64]
"""A table of scores: (seeds, images), NaN where absent."""
Grid = Mapping[tuple[str, ...], Floats]
"""Tables of one shape by the level of each axis."""

BETTER, WORSE, NOISE = "better", "worse", "not distinguishable from noise"
UNMEASURED, THESE_WEIGHTS = "not measured", "on these weights only"

_FLOOR = 0.5  # of E: V is never taken to be less
_EXPONENTS = (0.4, 1.0, 1.5, 2.0)  # for 2, 3, 4 and from 5 seeds on, where it is Satterthwaite's own
_MOST_SEEDS = 2**40  # a power of 2 beyond any study: what these do not see, no number does


@dataclass(frozen=True)
class Variance:
    """Variance components of one cell of the table, none below 0.

    With one seed `images` holds the rest too, with one image `seeds` does: they cannot be told apart there.
    """

    seeds: float
    images: float
    rest: float

    @property
    def shares(self) -> dict[str, float]:
        """Each component's share of their sum; all 0 where nothing varies."""
        parts = {"seeds": self.seeds, "images": self.images, "rest": self.rest}
        total = sum(parts.values())
        return {name: part / total if total > 0 else 0.0 for name, part in parts.items()}


@dataclass(frozen=True)
class Estimate:
    """The mean of a (seeds, images) table, both random and crossed, with what is known of its noise."""

    value: float
    """Mean over the images of the mean over the seeds."""
    low: float
    high: float
    """Interval at `confidence`: with one seed over images only, with one image over seeds only, infinite with both."""
    p: float
    """Two-sided, of a true value of 0; below 1 - confidence exactly where the interval excludes 0."""
    standard_error: float
    df: float
    confidence: float
    seeds: int
    images: int
    """Used."""
    dropped: int
    """Images left out because some seeds, but not all, lack them."""
    variance: Variance

    @property
    def seeds_measured(self) -> bool:
        """Whether the interval knows of seed noise."""
        return self.seeds >= 2

    def detectable(self, power: float = 0.8) -> float:
        """Smallest true value that such a study sees with that power, if the noise is as large as estimated."""
        error, df = self._noise_at(self.seeds)
        if error in (0, math.inf):
            return error
        bar = _bar(df, self.confidence)
        low, high = 0.0, 1.0
        while _power(high, bar) < power:
            low, high = high, 2 * high
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if _power(middle, bar) >= power else (middle, high)
        return error * high

    def seeds_needed(self, power: float = 0.8) -> int | None:
        """Seeds in all, at least 2, at which a true value as large as the observed is seen with that power.

        None where no number of seeds does, since the noise of these images alone hides it, and where one seed or one
        image leaves the noise unmeasured.
        """

        def seen(seeds: int) -> bool:
            error, df = self._noise_at(seeds)
            if error == 0:
                return self.value != 0
            return _power(abs(self.value) / error, _bar(df, self.confidence)) >= power

        if self.seeds < 2 or self.images < 2 or not seen(_MOST_SEEDS):
            return None
        few, many = 1, 2
        while not seen(many):
            few, many = many, 2 * many
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if seen(middle) else (middle, many)
        return many

    def _noise_at(self, seeds: int) -> tuple[float, float]:
        """Standard error and degrees of freedom with so many seeds, from the variance components."""
        if self.seeds == 1 or self.images == 1:  # only ever asked for the seeds there are
            return self.standard_error, self.df
        part = self.variance
        x, m = self.images * part.seeds + part.rest, seeds * part.images + part.rest
        variance, df = _noise(np.array(x), np.array(m), np.array(part.rest), seeds, self.images)
        return math.sqrt(float(variance)), float(df)


class Verdict(NamedTuple):
    """What may be said of a difference: one of the five words above, and a sentence."""

    word: str
    sentence: str


def compare(a: Floats, b: Floats, *, confidence: float = 0.95) -> Estimate | None:
    """The estimate of a - b, two (seeds, images) tables whose rows and columns mean the same seeds and images.

    What is absent (NaN) in either is left out; None where nothing is left. Raises ValueError as `estimate` does, and
    for tables of different shapes.
    """
    a, b = (_checked(table, name) for table, name in ((a, "a"), (b, "b")))
    if a.shape != b.shape:
        raise ValueError(
            f"a is {a.shape}, b is {b.shape}: give both the same seeds and images, in the same order, NaN where absent"
        )
    return estimate(a - b, confidence=confidence)


def estimate(table: Floats, *, confidence: float = 0.95) -> Estimate | None:
    """The mean of a (seeds, images) table with its interval for new seeds and new images.

    A seed without any value is left out, then every image that some remaining seed lacks (a balanced table is what the
    calibration is measured on); None where nothing is left. Raises ValueError for a table that is not 2-D, for
    infinities, and for a confidence outside (0, 1).
    """
    table = _checked(table, "the table")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence:g}: give a share between 0 and 1, as 0.95")
    present = ~np.isnan(table)
    if not present.all():
        rows = present.any(axis=1)
        whole, some = present[rows].all(axis=0), present.any(axis=0)
        table, dropped = table[rows][:, whole], int(np.count_nonzero(some & ~whole))
    else:
        dropped = 0
    seeds, images = table.shape
    if table.size == 0:
        return None
    mean, x, m, e = mean_squares(table)
    value = float(mean)
    if table.size == 1:  # nothing is known of its noise
        unknown = Variance(0.0, 0.0, 0.0)
        return Estimate(value, -math.inf, math.inf, 1.0, math.inf, 0.0, confidence, 1, 1, dropped, unknown)
    squared, df = (float(part) for part in _noise(x, m, e, seeds, images))
    error = math.sqrt(squared)
    half = float(stdtrit(df, (1 + confidence) / 2)) * error
    with np.errstate(over="ignore"):
        p = 2 * float(stdtr(df, -abs(value) / error)) if error > 0 else float(value == 0)
    variance = Variance(max(float(x - e), 0.0) / images, max(float(m - e), 0.0) / seeds, float(e))
    return Estimate(value, value - half, value + half, p, error, df, confidence, seeds, images, dropped, variance)


def mean_squares(tables: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, and mean squares of seeds, images and rest, of tables (..., seeds, images) without absent values.

    The mean square of what has one level is 0; of one seed, the images' holds the rest, and of one image the seeds'.
    """
    seeds, images = tables.shape[-2:]
    mean = tables.mean(axis=(-2, -1))
    centred = tables - mean[..., None, None]
    by_seed, by_image = centred.mean(axis=-1), centred.mean(axis=-2)
    x = images * np.square(by_seed).sum(axis=-1) / max(seeds - 1, 1)
    m = seeds * np.square(by_image).sum(axis=-1) / max(images - 1, 1)
    if seeds == 1 or images == 1:
        return mean, x * (seeds > 1), m * (images > 1), np.zeros_like(mean)
    centred -= by_seed[..., :, None]
    centred -= by_image[..., None, :]
    e = np.square(centred, out=centred).sum(axis=(-2, -1)) / ((seeds - 1) * (images - 1))
    return mean, x, m, e


def _noise(x: Floats, m: Floats, e: Floats, seeds: int, images: int) -> tuple[Floats, Floats]:
    """Variance of the mean and its degrees of freedom, from mean squares of any one shape.

    V = X + M - E is the sum of X, whose share is r and which has S - 1 degrees of freedom, and of M - E, which has
    about I - 1; Satterthwaite's are then 1 / (r^2 / (S - 1) + (1 - r)^2 / (I - 1)). Changed, since seeds are few:
    - V is never below X, nor below half of E. It cannot truly be below E, what it is where neither seeds nor images
      matter; but a floor at E makes intervals cover up to 99 % there, and none lets them shrink to nothing by chance.
    - where X is small by chance, r is too, and the degrees of freedom are too many just where V is too small: 92 %
      instead of 95 at three seeds, 87 at two. A lower power of r takes fewer of them. `_EXPONENTS` were chosen by
      simulation over all ratios of the three variances (tests/calibration.py).
    - (1 - r) keeps the power 1: M - E is noisier than I - 1 degrees of freedom say where there are few images.
    """
    if seeds == 1 or images == 1:
        levels = max(seeds, images)
        return (x + m) / levels, np.full_like(x, levels - 1)
    v = np.maximum(x + np.maximum(m - e, 0.0), _FLOOR * e)
    r = x / np.where(v > 0, v, 1.0)
    exponent = _EXPONENTS[min(seeds - 1, len(_EXPONENTS)) - 1]
    return v / (seeds * images), 1 / (r**exponent / (seeds - 1) + (1 - r) / (images - 1))


def _checked(table: Floats, name: str) -> Floats:
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"{name} has shape {table.shape}: give one row per seed and one column per image")
    if np.isinf(table).any():
        raise ValueError(
            f"{name} has {np.count_nonzero(np.isinf(table))} infinite values: give NaN where a score is absent"
        )
    return table


def _bar(df: float, confidence: float) -> Floats:
    """What a t statistic's numerator must exceed, for 100 equally likely values of the estimated variance.

    Power is taken over these, since `scipy.special.nctdtrinc` may not return at all where degrees of freedom are few
    and broken.
    """
    share = (np.arange(100) + 0.5) / 100
    bar: Floats = stdtrit(df, (1 + confidence) / 2) * np.sqrt(gammaincinv(df / 2, share) * 2 / df)
    return bar


def _power(noncentrality: float, bar: Floats) -> float:
    """Chance that a true value of so many standard errors is seen."""
    return float((ndtr(noncentrality - bar) + ndtr(-noncentrality - bar)).mean())


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


def holm(p: Sequence[float]) -> list[float]:
    """Holm-adjusted p values in the order given: the chance of any false finding is held (Holm 1979)."""
    adjusted, least = [1.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = max(least, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = least
    return adjusted


def pooled(table: Floats) -> Floats:
    """Per-image values of a root mean square over the images, as pooled rmse: (seeds, images) like `table`.

    With M the mean of x^2 over a seed's images they are (sqrt(M) + x^2 / sqrt(M)) / 2. Their mean over the
    seed's images is sqrt(M) exactly, and they vary as sqrt(M) does when images are drawn anew, to first order (the
    delta method).
    """
    squares = np.square(_checked(table, "the table"))
    count = np.count_nonzero(~np.isnan(squares), axis=1, keepdims=True)
    root = np.sqrt(np.nansum(squares, axis=1, keepdims=True) / np.maximum(count, 1))
    scaled: Floats = (root + squares / np.where(root > 0, root, 1.0)) / 2
    return scaled


def main_effect(grid: Grid, axis: int, level: str, reference: str, *, confidence: float = 0.95) -> Estimate | None:
    """What `level` does in place of `reference` on one axis: the mean over the other axes' combinations.

    Combinations that the grid lacks at either level are left out; None where none is left. A seed or image absent in
    one combination is absent. Raises ValueError for an axis that the grid has not, and as `estimate` does.
    """
    return _contrast(grid, {axis: (level, reference)}, confidence)


def interaction(
    grid: Grid, axes: tuple[int, int], levels: tuple[str, str], references: tuple[str, str], *, confidence: float = 0.95
) -> Estimate | None:
    """How much more the second axis's change does beside the first's: y11 - y10 - y01 + y00, the mean as `main_effect`.

    0 where the two changes add up. Raises ValueError for equal axes, and as `main_effect` does.
    """
    if axes[0] == axes[1]:
        raise ValueError(f"both axes are {axes[0]}: an interaction is between two")
    return _contrast(grid, dict(zip(axes, zip(levels, references, strict=True), strict=True)), confidence)


def _contrast(grid: Grid, changes: Mapping[int, tuple[str, str]], confidence: float) -> Estimate | None:
    """The estimate of the difference (of differences) between the levels of each change, over the other axes."""
    _check_grid(grid, changes)
    tables = []
    for start in grid:
        if any(start[axis] != level for axis, (level, _) in changes.items()):
            continue
        cells = _corners(start, {axis: reference for axis, (_, reference) in changes.items()})
        if all(cell in grid for cell in cells):
            tables.append(sum((grid[cell] * (-1) ** len(changed) for cell, changed in cells.items()), np.float64(0)))
    return estimate(np.mean(tables, axis=0), confidence=confidence) if tables else None


def shapley(
    grid: Grid, weakest: tuple[str, ...], full: tuple[str, ...], *, confidence: float = 0.95
) -> dict[int, Estimate] | None:
    """Each component's share of y(full) - y(weakest), by axis; axes on which the two agree are left out.

    An axis's share is the mean, over all orders in which the components can be switched from `weakest` to `full`, of
    what its own switch adds (Shapley 1953); the values sum to y(full) - y(weakest). It is linear in the scores, and so
    is taken for each seed and image, then estimated. None where the grid lacks one of the 2^k cells, or no score is
    left in common. Raises ValueError as `main_effect` does.
    """
    axes = [axis for axis, (old, new) in enumerate(zip(weakest, full, strict=True)) if old != new]
    _check_grid(grid, axes)
    cells = _corners(weakest, {axis: full[axis] for axis in axes})
    if not all(cell in grid for cell in cells):
        return None
    shares: dict[int, Estimate] = {}
    for axis in axes:
        total = np.zeros(1)
        for cell, switched in cells.items():
            others = len(switched - {axis})
            weight = math.factorial(others) * math.factorial(len(axes) - 1 - others) / math.factorial(len(axes))
            total = total + (weight if axis in switched else -weight) * grid[cell]
        share = estimate(total, confidence=confidence)
        if share is None:
            return None
        shares[axis] = share
    return shares


def _corners(start: tuple[str, ...], switches: Mapping[int, str]) -> dict[tuple[str, ...], frozenset[int]]:
    """The cells reached from `start` by any of the switches, with the axes that were switched."""
    subsets = (subset for size in range(len(switches) + 1) for subset in combinations(switches, size))
    return {
        tuple(switches[axis] if axis in subset else level for axis, level in enumerate(start)): frozenset(subset)
        for subset in subsets
    }


def _check_grid(grid: Grid, axes: Iterable[int]) -> None:
    shapes = {np.shape(table) for table in grid.values()}
    if len(shapes) > 1:
        raise ValueError(f"the grid's tables are of shapes {sorted(shapes)}: give one shape, NaN where absent")
    count = min((len(cell) for cell in grid), default=0)
    if grid and not all(0 <= axis < count for axis in axes):
        raise ValueError(f"axes {sorted(axes)}: the grid has axes 0 to {count - 1}")
