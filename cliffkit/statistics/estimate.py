"""Is a difference between recipes more than noise? Seeds and images are both random, and crossed.

The model of a (seeds, images) table of differences: d_ij = truth + seed_i + image_j + rest_ij, each of mean 0. From the
mean squares X of the seeds, M of the images and E of the rest (two-way analysis of variance, one value per cell) the
variance of the mean of S seeds and I images is estimated by V / (S I), V = X + M - E (crossed random effects: Baayen,
Davidson and Bates 2008, J. Memory and Language 59; degrees of freedom: Satterthwaite 1946, Biometrics Bulletin 2).
`noise_of_mean` says how intervals hold their 95 % at few seeds, docs/why/statistics.md how well.

A report makes thousands of comparisons, hence `scipy.special`: a call into `scipy.stats` costs more than all the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, stdtr, stdtrit

Floats = NDArray[np.float64]
"""A table of scores: (seeds, images), NaN where absent."""

_FLOOR = 0.5  # of E: V is never taken to be less

_EXPONENTS = (0.4, 1.0, 1.5, 2.0)  # for 2, 3, 4 and from 5 seeds on, where it is Satterthwaite's own

_MOST_SEEDS = 2**40  # a power of 2 beyond any study: what so many seeds do not show, no number shows


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
    """Seeds used."""
    images: int
    """Images used."""
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
        return _smallest_seen(error, df, power, self.confidence)

    def seeds_needed(self, power: float = 0.8) -> int | None:
        """Seeds in all, at least 2, at which a true value as large as the observed is seen with that power.

        None where no number of seeds does, since the noise of these images alone hides it, and where one seed or one
        image leaves the noise unmeasured.
        """

        def is_seen(seeds: int) -> bool:
            error, df = self._noise_at(seeds)
            if error == 0:
                return self.value != 0
            return _power(abs(self.value) / error, _bar(df, self.confidence)) >= power

        if self.seeds < 2 or self.images < 2 or not is_seen(_MOST_SEEDS):
            return None
        few, many = 1, 2
        while not is_seen(many):
            few, many = many, 2 * many
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if is_seen(middle) else (middle, many)
        return many

    def _noise_at(self, seeds: int) -> tuple[float, float]:
        """Give standard error and degrees of freedom with so many seeds, from the variance components."""
        if self.seeds == 1 or self.images == 1:  # only ever asked for the seeds there are
            return self.standard_error, self.df
        return _noise(self.variance, seeds, self.images)


def compare(a: Floats, b: Floats, *, confidence: float = 0.95) -> Estimate | None:
    """Estimate a - b, two (seeds, images) tables whose rows and columns mean the same seeds and images.

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
    """Estimate the mean of a (seeds, images) table, with its interval for new seeds and new images.

    A seed without any value is left out, then every image that some remaining seed lacks (a balanced table is what the
    calibration is measured on); None where nothing is left. Raises ValueError for a table that is not 2-D, for
    infinities, and for a confidence outside (0, 1).
    """
    table = _checked(table, "the table")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence:g}: give a share between 0 and 1, as 0.95")
    table, dropped = _balanced(table)
    seeds, images = table.shape
    if table.size == 0:
        return None
    mean, x, m, e = mean_squares(table)
    value = float(mean)
    if table.size == 1:  # nothing is known of its noise
        unknown = Variance(0.0, 0.0, 0.0)
        return Estimate(value, -math.inf, math.inf, 1.0, math.inf, 0.0, confidence, 1, 1, dropped, unknown)
    squared, df = (float(part) for part in noise_of_mean(x, m, e, seeds, images))
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


def noise_of_mean(
    x: Floats, m: Floats, e: Floats, seeds: int, images: int, *, caution: float = 1.0
) -> tuple[Floats, Floats]:
    """Variance of the mean and its degrees of freedom, from mean squares of any one shape.

    A `caution` below 1 gives fewer degrees of freedom where seeds and images both matter: the exponent of r is
    multiplied by it. The tails of t then hold further out than at 5 % (`sequential`).

    V = X + M - E is the sum of X, whose share is r and which has S - 1 degrees of freedom, and of M - E, which has
    about I - 1; Satterthwaite's are then 1 / (r^2 / (S - 1) + (1 - r)^2 / (I - 1)). Changed, since seeds are few:
    - V is never below X, nor below half of E. Its true value is E where neither seeds nor images matter, and never
      less. But a floor at E makes intervals cover up to 99 % there, and no floor lets them shrink to nothing by chance.
    - where X is small by chance, r is small too. So the degrees of freedom are too many just where V is too small, and
      intervals cover 92 % instead of 95 at three seeds, 87 at two. A lower power of r gives fewer degrees of freedom.
      `_EXPONENTS` were chosen by simulation over all ratios of the three variances (tests/scripts/calibration.py).
    - (1 - r) keeps the power 1: M - E is noisier than I - 1 degrees of freedom say where there are few images.
    """
    if seeds == 1 or images == 1:
        levels = max(seeds, images)
        return (x + m) / levels, np.full_like(x, levels - 1)
    v = np.maximum(x + np.maximum(m - e, 0.0), _FLOOR * e)
    r = x / np.where(v > 0, v, 1.0)
    exponent = caution * _EXPONENTS[min(seeds - 1, len(_EXPONENTS)) - 1]
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


def _balanced(table: Floats) -> tuple[Floats, int]:
    """Leave out seeds without any value, then images that a remaining seed lacks; also give the number of these."""
    present = ~np.isnan(table)
    if present.all():
        return table, 0
    rows = present.any(axis=1)
    whole, some = present[rows].all(axis=0), present.any(axis=0)
    return table[rows][:, whole], int(np.count_nonzero(some & ~whole))


def _noise(variance: Variance, seeds: int, images: int) -> tuple[float, float]:
    """Give standard error and degrees of freedom of at least two seeds, from the variance of a cell."""
    x, m = images * variance.seeds + variance.rest, seeds * variance.images + variance.rest
    m = m if images > 1 else 0.0
    squared, df = noise_of_mean(np.array(x), np.array(m), np.array(variance.rest), seeds, images)
    return math.sqrt(float(squared)), float(df)


def _smallest_seen(error: float, df: float, power: float, confidence: float) -> float:
    """Give the smallest true value that a t test sees with that power."""
    if error in (0, math.inf):
        return error
    bar = _bar(df, confidence)
    low, high = 0.0, 1.0
    while _power(high, bar) < power:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if _power(middle, bar) >= power else (middle, high)
    return error * high


def _bar(df: float, confidence: float) -> Floats:
    """Give bounds that a t statistic's numerator must exceed, for 100 equally likely values of the estimated variance.

    Power is taken over these values, since `scipy.special.nctdtrinc` may not return at all where degrees of freedom are
    few and broken.
    """
    share = (np.arange(100) + 0.5) / 100
    bar: Floats = stdtrit(df, (1 + confidence) / 2) * np.sqrt(gammaincinv(df / 2, share) * 2 / df)
    return bar


def _power(noncentrality: float, bar: Floats) -> float:
    """Chance that a true value of so many standard errors is seen."""
    return float((ndtr(noncentrality - bar) + ndtr(-noncentrality - bar)).mean())
