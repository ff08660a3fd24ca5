"""Where the noise of a mean comes from, and how many seeds or images would halve it.

The mean of S seeds and I images has the variance s^2 / S + m^2 / I + r^2 / (S I), with the components of `Variance`.
Intervals shrink a little faster than the standard error where seeds are added, since t has more degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_low

import numpy as np

from cliffkit.statistics.estimate import Estimate, Floats, Variance, _balanced, _checked, mean_squares

_HALF = 0.25  # of the standard error, squared


@dataclass(frozen=True)
class Noise:
    """The noise of the mean of a (seeds, images) table, by where it comes from."""

    variance: Variance
    """Of one cell of the table."""
    seeds: int
    images: int

    @property
    def parts(self) -> Variance:
        """The parts of the squared standard error: seeds, images, and the rest that both lower."""
        seeds, images = self.variance.seeds / self.seeds, self.variance.images / self.images
        return Variance(seeds, images, self.variance.rest / (self.seeds * self.images))

    @property
    def shares(self) -> dict[str, float]:
        """Each part's share of the squared standard error; all 0 where nothing varies."""
        return self.parts.shares

    @property
    def seeds_to_halve(self) -> int | None:
        """Seeds in all that halve the standard error on as many images; None where no number does."""
        parts = self.parts
        return _number(self.seeds, parts.seeds + parts.rest, parts.images)

    @property
    def images_to_halve(self) -> int | None:
        """Images in all that halve the standard error at as many seeds; None where no number does."""
        parts = self.parts
        return _number(self.images, parts.images + parts.rest, parts.seeds)


def noise_of(estimate: Estimate | None) -> Noise | None:
    """Give the noise of an estimate by its parts; None with one seed or one image, which cannot tell them apart."""
    if estimate is None or estimate.seeds < 2 or estimate.images < 2:
        return None
    return Noise(estimate.variance, estimate.seeds, estimate.images)


def mean_noise(tables: Iterable[Floats]) -> tuple[Noise, int] | None:
    """Average the variance components of several (seeds, images) tables, and count the tables.

    The average is at the median number of seeds and of images. Components are set to 0 after averaging, not before as
    those of an `Estimate`, so that the average of many tables is not too large where a component is small. Absent
    values are treated as by `estimate`. Tables with less than two seeds or images are left out; None where none is
    left.
    """
    shapes, components = [], []
    for table in tables:
        whole, _ = _balanced(_checked(table, "a table"))
        seeds, images = whole.shape
        if min(seeds, images) >= 2:
            _, x, m, e = (float(part) for part in mean_squares(whole))
            shapes.append((seeds, images))
            components.append(((x - e) / images, (m - e) / seeds, e))
    if not components:
        return None
    seeds, images = (median_low(counts) for counts in zip(*shapes, strict=True))
    means = np.maximum(np.mean(components, axis=0), 0.0)
    return Noise(Variance(*(float(mean) for mean in means)), seeds, images), len(components)


def _number(count: int, falling: float, fixed: float) -> int | None:
    """Give the number at which `fixed`, and `falling` by count / number, have a quarter of their present sum."""
    room = _HALF * (falling + fixed) - fixed
    if room <= 0:
        return None
    return math.ceil(count * falling / room * (1 - 1e-12))
