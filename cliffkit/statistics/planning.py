"""What a study can see, before it runs: the smallest difference that it finds four times in five."""

from __future__ import annotations

import math

import numpy as np

from cliffkit.statistics.estimate import Floats, Variance, _noise, _smallest_seen
from cliffkit.statistics.sequential import Design, Look

_STUDIES = 4000  # that are simulated for a sequential design


def detectable(
    variance: Variance, seeds: int | Design, images: int, *, power: float = 0.8, confidence: float = 0.95
) -> float:
    """Give the smallest true difference that a study of so many seeds and images sees with that power.

    `variance` is that of a cell of a table of differences, for example of a study of like recipes. A `Design` counts
    its seeds as they come, stops also where it is futile, and has its own alpha in place of `confidence`. One seed
    gives infinity, since it says nothing about recipes. Raises ValueError for less than one seed or image, and for a
    `Design` over one image.
    """
    if images < 1 or (isinstance(seeds, int) and seeds < 1):
        raise ValueError(f"{seeds} seeds and {images} images: give at least one of each")
    if isinstance(seeds, Design):
        return _decidable(variance, seeds, images, power)
    if seeds == 1:
        return math.inf
    return _smallest_seen(*_noise(variance, seeds, images), power, confidence)


def _decidable(variance: Variance, design: Design, images: int, power: float) -> float:
    """Simulate studies of a design, always the same ones, and search for the effect that so many decide."""
    if images < 2:
        raise ValueError("one image says nothing about other images: give at least 2")
    rng = np.random.default_rng(0)
    seed_sd, image_sd = math.sqrt(variance.seeds + variance.rest / images), math.sqrt(variance.images / images)
    values = seed_sd * rng.standard_normal((_STUDIES, design.to_seeds))
    common = image_sd * rng.standard_normal(_STUDIES)

    looks = []
    for seeds in range(design.from_seeds, design.to_seeds + 1):
        first = values[:, :seeds]
        x = images * first.var(axis=1, ddof=1)
        m, e = np.full(_STUDIES, seeds * variance.images + variance.rest), np.full(_STUDIES, variance.rest)
        look = Look(first.mean(axis=1) + common, x, m, e, seeds, images)
        least = design.least(look) if seeds < design.to_seeds else np.full(_STUDIES, math.inf)
        looks.append((look.mean, design.half_width(look), least))

    low, high = 0.0, 100 * (seed_sd + image_sd)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _share_decided(middle, looks) >= power else (middle, high)
    return high


def _share_decided(effect: float, looks: list[tuple[Floats, Floats, Floats]]) -> float:
    """Give the share of studies that cross a bound before they are hopeless, all moved by an effect."""
    going, decided = np.ones(_STUDIES, bool), 0
    for mean, half, least in looks:
        size = np.abs(mean + effect)
        crossed = going & (size > half)
        decided += int(np.count_nonzero(crossed))
        going &= ~crossed & (size > least)
    return decided / _STUDIES
