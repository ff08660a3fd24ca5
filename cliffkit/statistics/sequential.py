"""Seeds where they matter: a comparison that may stop after any seed, and still errs in alpha only.

After each seed from `from_seeds` to `to_seeds` a `Design` looks at the (seeds, images) table of differences so far. It
stops where the p of a look is below that look's bound (`spending`), or where more seeds are hopeless. Tables have their
rows in the order in which the seeds were trained. docs/why/statistics.md says what the design costs and how well it
holds.

Two-sided, each side spends half of alpha. The t is that of `estimate` with fewer degrees of freedom at early looks,
`caution` below 1: their bounds lie far out in the tail, where p of `estimate` is some 15 times too small where seeds
and images both matter (measured at three seeds). At the last look the t is that of `estimate`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from cliffkit.statistics.estimate import (
    Estimate,
    Floats,
    _balanced,
    _checked,
    estimate,
    mean_squares,
    noise_of_mean,
)
from cliffkit.statistics.spending import bounds, level_of
from cliffkit.statistics.verdict import EQUIVALENT

DECIDED, FUTILE, GO_ON, FINISHED = "decided", "futile", "go on", "finished"

Flags = NDArray[np.bool_]

# Chosen by simulation of a design from 3 to 10 seeds over the ratios of the variances in docs/why/statistics.md.

_CAUTION = 1.5  # power of seeds / to_seeds: 0 leaves up to 6.1 % false positives without futility, 1 5.4, 1.5 5.2

_IMAGES = 0.7  # share of the images' part that is believed: with 1, futility loses 8.3 points of power, with 0.7 7.7

_TREND = 0.25  # degrees of freedom of the trend, fewer than seeds: with 1 null variants keep 5.8 seeds, else 5.4


@dataclass(frozen=True)
class Look:
    """Means and mean squares (`mean_squares`) of tables of one shape, in arrays of any one shape."""

    mean: Floats
    x: Floats
    m: Floats
    e: Floats
    seeds: int
    images: int

    @classmethod
    def at(cls, tables: Floats) -> Look:
        """Look at tables (..., seeds, images) without absent values."""
        seeds, images = tables.shape[-2:]
        return cls(*mean_squares(tables), seeds, images)


@dataclass(frozen=True)
class Design:
    """A group-sequential design: a look after each seed from the first number to the last.

    Both numbers and alpha belong to the study and are fixed before it runs. A larger `to_seeds` is a new design: alpha
    that was spent is spent.
    """

    from_seeds: int
    """Seeds at the first look, at least 2."""
    to_seeds: int
    """Seeds at the last look."""
    alpha: float = 0.05
    """Chance of any false finding over all looks, two-sided."""

    def __post_init__(self) -> None:
        if not 2 <= self.from_seeds <= self.to_seeds:
            raise ValueError(f"from {self.from_seeds} to {self.to_seeds} seeds: give at least 2, then no fewer")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha:g}: give a share between 0 and 1, as 0.05")

    @property
    def bounds(self) -> dict[int, float]:
        """Greatest p of a look that rejects, by the number of seeds."""
        limits = bounds(self.from_seeds, self.to_seeds, (self.alpha,))[:, 0]
        return {self.from_seeds + i: float(limit) for i, limit in enumerate(limits)}

    # One comparison: a (seeds, images) table of differences in the order of the seeds, NaN where absent. At each look
    # absent values are treated as by `estimate`. ValueError as `estimate`, and for more than `to_seeds` seeds.

    def p(self, differences: Floats) -> float:
        """Give the sequential p: the smallest alpha at which such a design had rejected by now (Liu and Anderson 2008).

        It never grows with more seeds, and is at most `alpha` exactly where some look so far crossed its bound. `holm`
        takes it as any p (Ye, Li, Liu and Yao 2013). 1 with fewer than `from_seeds` seeds.
        """
        levels = (float(self.level(self.nominal(look), look.seeds)) for look in self._looks(differences))
        return min(levels, default=1.0)

    def futile(self, differences: Floats, power: float = 0.05, smallest: float | None = None) -> bool:
        """Say whether the last look would hardly reject: with a chance below `power` if the trend so far goes on.

        With `smallest` the last look must be as unlikely to find the two equivalent. Non-binding: a comparison that
        goes on all the same errs in no more than alpha. Never at the last look, and not before the first.
        """
        look = self._latest(differences)
        return look is not None and look.seeds < self.to_seeds and bool(self.hopeless(look, power, smallest))

    def equivalent(self, differences: Floats, smallest: float) -> bool:
        """Say whether some look so far found the true difference within +-smallest, by two one-sided tests.

        Each of the tests spends alpha over the looks, so the interval that must lie within +-smallest is that of a
        design of 2 alpha. Never with one image. Raises ValueError where `smallest` is not above 0.
        """
        if not 0 < smallest < math.inf:
            raise ValueError(f"smallest is {smallest:g}: give the smallest difference of interest, above 0")
        return any(look.images > 1 and bool(self.within(look, smallest)) for look in self._looks(differences))

    def interval(self, differences: Floats) -> Estimate | None:
        """Estimate the difference at the latest look, with its repeated interval and the sequential p.

        The intervals of all looks hold the truth together with a chance of 1 - alpha, so the interval may be read at
        any stop. Estimates of early winners are too large on average: a comparison stops early where luck helped.
        The interval excludes 0 exactly where the latest look crosses its bound; p also knows of earlier looks. None
        before the first look, or where nothing is left in common.
        """
        look = self._latest(differences)
        latest = estimate(differences, confidence=1 - self.alpha)
        if look is None or latest is None:
            return None
        error, df = (float(part) for part in self.noise(look))
        half = float(self.half_width(look))
        low, high = latest.value - half, latest.value + half
        return replace(latest, low=low, high=high, p=self.p(differences), standard_error=error, df=df)

    def decided(self, differences: Floats, p_adjusted: float | None = None, smallest: float | None = None) -> str:
        """Give the state of a comparison after its latest seed, one of five words.

        `DECIDED` where `p_adjusted`, Holm's over the table's sequential p, is at most alpha (the sequential p itself
        where it is None); `EQUIVALENT` within +-smallest; `FINISHED` after the last look; `FUTILE`; else `GO_ON`.
        """
        if (self.p(differences) if p_adjusted is None else p_adjusted) <= self.alpha:
            return DECIDED
        if smallest is not None and self.equivalent(differences, smallest):
            return EQUIVALENT
        look = self._latest(differences)
        if look is not None and look.seeds == self.to_seeds:
            return FINISHED
        return FUTILE if self.futile(differences, smallest=smallest) else GO_ON

    def _looks(self, differences: Floats) -> Iterator[Look]:
        """Give the looks so far: at the first seeds of the table, one more each time."""
        table = _checked(differences, "the table")
        table = table[~np.isnan(table).all(axis=1)]
        if len(table) > self.to_seeds:
            raise ValueError(
                f"the table has {len(table)} seeds, the design ends at {self.to_seeds}: "
                f"leave out the seeds after it, or plan a new study, since a larger `to` is a new design"
            )
        for seeds in range(self.from_seeds, len(table) + 1):
            whole, _ = _balanced(table[:seeds])
            if whole.size:
                yield Look.at(whole)

    def _latest(self, differences: Floats) -> Look | None:
        return next(reversed(list(self._looks(differences))), None)

    # Many studies at once.

    def noise(self, look: Look) -> tuple[Floats, Floats]:
        """Give the standard error and its degrees of freedom."""
        caution = (look.seeds / self.to_seeds) ** _CAUTION
        squared, df = noise_of_mean(look.x, look.m, look.e, look.seeds, look.images, caution=caution)
        return np.sqrt(squared), df

    def nominal(self, look: Look) -> Floats:
        """Give the two-sided p of the look by itself."""
        error, df = self.noise(look)
        size = np.abs(look.mean)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            p: Floats = np.where(error > 0, 2 * stdtr(df, -size / error), np.where(size > 0, 0.0, 1.0))
        return p

    def level(self, p: Floats, seeds: int) -> Floats:
        """Give the smallest alpha at which the look after so many seeds rejects, from its nominal p."""
        level = level_of(p, seeds, self.from_seeds, self.to_seeds)
        below, above = np.nextafter(self.alpha, 0), np.nextafter(self.alpha, 1)
        exact: Floats = np.where(p <= self.bounds[seeds], np.minimum(level, below), np.maximum(level, above))
        return exact

    def half_width(self, look: Look) -> Floats:
        """Give the half-width of the repeated interval."""
        error, df = self.noise(look)
        half: Floats = -stdtrit(df, self.bounds[look.seeds] / 2) * error
        return half

    def within(self, look: Look, smallest: float) -> Flags:
        """Say whether the look finds the true difference within +-smallest."""
        inside: Flags = np.abs(look.mean) + self._wider.half_width(look) < smallest
        return inside

    def hopeless(self, look: Look, power: float = 0.05, smallest: float | None = None) -> Flags:
        """Say whether the last look would hardly reject, nor find equivalence where `smallest` is given."""
        size = np.abs(look.mean)
        undecided: Flags = size <= self.least(look, power)
        if smallest is None:
            return undecided
        half, spread = self._wider._last_look(look)
        too_large = size >= smallest - half - spread * stdtrit(look.seeds - _TREND, power)
        undecided &= (half >= smallest) | too_large
        return undecided

    def least(self, look: Look, power: float = 0.05) -> Floats:
        """Give the size of a difference up to which more seeds are hopeless."""
        half, spread = self._last_look(look)
        size: Floats = half + spread * stdtrit(look.seeds - _TREND, power)
        return size

    def _last_look(self, look: Look) -> tuple[Floats, Floats]:
        """Give the half-width at the last look, and the standard deviation of its mean around the present mean.

        The images are the same then, so their part of the noise stays as it is and only the rest falls.
        """
        seeds, images, last = look.seeds, look.images, self.to_seeds
        error, _ = self.noise(look)
        whole = np.square(error) * seeds * images
        surely = 1 + 2 * math.sqrt(2 / max(images - 1, 1))
        by_image = _IMAGES * np.maximum(look.m - surely * look.e, 0.0) * (images > 1)
        by_seed = np.maximum(whole - by_image, 0.0)

        squared, df = noise_of_mean(by_seed, by_image * last / seeds, np.zeros_like(whole), last, images)
        half = np.asarray(-stdtrit(df, self.bounds[last] / 2) * np.sqrt(squared), np.float64)
        return half, np.sqrt((last - seeds) * by_seed / images) / last

    @property
    def _wider(self) -> Design:
        """The design whose every side spends alpha."""
        return replace(self, alpha=min(2 * self.alpha, 0.99))
