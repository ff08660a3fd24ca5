"""Bounds of a group-sequential design: how small p must be at each look, so that all looks together err in alpha.

Alpha is spent as the seeds come in, with a spending function of the O'Brien-Fleming kind (Lan and DeMets 1983,
Biometrika 70; Jennison and Turnbull 2000, Group Sequential Methods). The bounds are exact for Student's t over seeds,
by numerical integration, where textbooks take t for normal: at three seeds that would be far off.

The process of t is a Markov chain of one number. Of S values x of the seeds let c be the cosine of the angle between x
and (1, ..., 1): t = sqrt(S - 1) c / sqrt(1 - c^2). Without a true difference the cosines so far tell nothing of the
length of x. So the next value divided by that length is a t variable of S degrees of freedom divided by sqrt(S),
whatever happened, and with u = sqrt(S) c the next u is (u + w) / sqrt(1 + w^2).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from cliffkit.statistics.estimate import Floats

_EDGES = np.linspace(0.0, 7.0, 65)
"""Of the cells in which the chain is followed, as normal quantiles of a look's p: 1 to 3e-12."""

_PARTS = 4  # of a cell: bounds are then within half a percent of those of cells a quarter as wide


def spent(level: Floats, fraction: float, sides: int = 2) -> Floats:
    """Give alpha spent until that fraction of the seeds is in, `level` in all.

    With two `sides` each side spends half of `level` by the one-sided function, with one it spends all of it at once.
    """
    share: Floats = 2 * sides * ndtr(ndtri(level / (2 * sides)) / np.sqrt(fraction))
    return share


@lru_cache
def bounds(from_seeds: int, to_seeds: int, alphas: tuple[float, ...], sides: int = 2) -> Floats:
    """Give the greatest two-sided p of Student's t that rejects at each look: (looks, alphas).

    The looks are after from_seeds, from_seeds + 1, ..., to_seeds seeds. `sides` is that of `spent`.
    """
    from scipy.interpolate import PchipInterpolator  # takes longer to load than all statistics, and few studies need it

    levels = np.array(alphas)
    fine = np.linspace(_EDGES[0], _EDGES[-1], _PARTS * (len(_EDGES) - 1) + 1)
    below = np.tile(np.log(2 * ndtr(-_EDGES)), (len(levels), 1))  # log of the chance to be here with so small a p
    before, limits = np.zeros(len(levels)), []

    for seeds in range(from_seeds, to_seeds + 1):
        after = spent(levels, seeds / to_seeds, sides)
        to_spend, before = np.maximum(after - before, 1e-300), after
        tail = PchipInterpolator(_EDGES, below, axis=1)(fine)
        limits.append([_p_where(log, fine, chance) for log, chance in zip(tail, np.log(to_spend), strict=True)])
        if seeds == from_seeds:
            limits[0] = list(to_spend)  # exact

        # Studies beyond the bound have stopped. The others go on from the middles of their cells.
        going = np.maximum(np.exp(tail), to_spend[:, None])
        if seeds < to_seeds:
            below = np.log(np.maximum((going[:, :-1] - going[:, 1:]) @ _transition(seeds, fine), 1e-300))
    return np.array(limits)


def level_of(p: Floats, seeds: int, from_seeds: int, to_seeds: int) -> Floats:
    """Give the smallest alpha of a design from `from_seeds` to `to_seeds` that rejects such a p after `seeds` seeds."""
    quantiles, limits = _levels(from_seeds, to_seeds)
    limit = limits[seeds - from_seeds]
    with np.errstate(divide="ignore"):
        quantile = -ndtri(np.asarray(p) / 2)
    # Further out than the last limit earlier looks play no part, and the slope is that of the spending function.
    further = quantiles[-1] + (quantile - limit[-1]) * math.sqrt(seeds / to_seeds)
    level: Floats = 2 * ndtr(-np.where(quantile > limit[-1], further, np.interp(quantile, limit, quantiles)))
    return level


@lru_cache
def _levels(from_seeds: int, to_seeds: int) -> tuple[Floats, Floats]:
    """Give alphas from 1 to 6e-7, and their bounds (looks, alphas), all as normal quantiles of two-sided p."""
    quantiles = np.linspace(0.0, 5.0, 51)
    limits = np.abs(ndtri(bounds(from_seeds, to_seeds, tuple(2 * ndtr(-quantiles))) / 2))
    # A smaller alpha never has a greater bound; numbers that differ by rounding may.
    return quantiles, np.maximum.accumulate(limits, axis=1)


def _p_where(log_tail: Floats, quantiles: Floats, log_chance: float) -> float:
    """Give the p below which that chance lies; beyond the last cell no earlier look matters."""
    if log_chance <= log_tail[-1]:
        return float(np.exp(log_chance))
    return float(2 * ndtr(-np.interp(-log_chance, -log_tail, quantiles)))


def _transition(seeds: int, fine: Floats) -> Floats:
    """Give the chance that the next look's p lies below each edge, by the cell of this look's p: (cells, edges).

    With u = tan(d) and w = tan(o) the next |u| is sqrt(1 + u^2) |sin(o + d)|, and o + d lies within a quarter turn
    of d.
    """
    start = _scaled_cosine((fine[1:] + fine[:-1]) / 2, seeds)[:, None]
    end = _scaled_cosine(_EDGES, seeds + 1)[None, :]
    turn = np.arctan(start)
    angle = np.arcsin(np.minimum(end / np.sqrt(1 + start**2), 1.0))

    def chance(angles: Floats) -> Floats:
        within = np.clip(angles, -np.pi / 2, np.pi / 2)
        share: Floats = stdtr(seeds, np.sqrt(seeds) * np.tan(within))
        return share

    return chance(np.pi - angle - turn) - chance(angle - turn) + chance(-angle - turn)


def _scaled_cosine(quantiles: Floats, seeds: int) -> Floats:
    """Give |u| of so many seeds for normal quantiles of p."""
    t = -stdtrit(seeds - 1, ndtr(-quantiles))
    scaled: Floats = np.sqrt(seeds) * t / np.sqrt(t**2 + seeds - 1)
    return scaled
