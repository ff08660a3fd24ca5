"""The nine depth metrics, one formula each, and the one list of their names.

A formula takes predicted and true depths of the scored pixels of one image, two float64 arrays of one shape in metres,
true depths above 0. In logarithms and ratios predictions must be above 0 too: see `Protocol.floor_m`. These are the
definitions, written to be checked against the papers. `scoring.scores` computes the same faster, and tests hold it
against them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Depths = NDArray[np.float64]


def abs_rel(predicted: Depths, true: Depths) -> float:
    """Average |d - p| / d. Source: Eigen, Puhrsch and Fergus, NIPS 2014, as for all without another source."""
    return float(np.mean(np.abs(true - predicted) / true))


def sq_rel(predicted: Depths, true: Depths) -> float:
    """Average (d - p)^2 / d, in metres."""
    return float(np.mean((true - predicted) ** 2 / true))


def rmse(predicted: Depths, true: Depths) -> float:
    """Take the root of the mean of (d - p)^2, in metres."""
    return float(np.sqrt(np.mean((true - predicted) ** 2)))


def rmse_log(predicted: Depths, true: Depths) -> float:
    """Take the root of the mean of (ln p - ln d)^2."""
    return float(np.sqrt(np.mean((np.log(predicted) - np.log(true)) ** 2)))


def log10(predicted: Depths, true: Depths) -> float:
    """Average |log10 p - log10 d|. Source: Saxena, Sun and Ng, "Make3D", PAMI 2009."""
    return float(np.mean(np.abs(np.log10(predicted) - np.log10(true))))


def silog(predicted: Depths, true: Depths) -> float:
    """Take the standard deviation of ln p - ln d, times 100. Source: the KITTI depth benchmark."""
    error = np.log(predicted) - np.log(true)
    return float(100 * np.sqrt(np.mean((error - np.mean(error)) ** 2)))


def delta1(predicted: Depths, true: Depths, *, inclusive: bool = False) -> float:
    """Share the pixels with max(d / p, p / d) below 1.25, or equal to it where `inclusive`."""
    return _within(1.25, predicted, true, inclusive)


def delta2(predicted: Depths, true: Depths, *, inclusive: bool = False) -> float:
    """Share the pixels with max(d / p, p / d) below 1.25^2, or equal to it where `inclusive`."""
    return _within(1.25**2, predicted, true, inclusive)


def delta3(predicted: Depths, true: Depths, *, inclusive: bool = False) -> float:
    """Share the pixels with max(d / p, p / d) below 1.25^3, or equal to it where `inclusive`."""
    return _within(1.25**3, predicted, true, inclusive)


def _within(bound: float, predicted: Depths, true: Depths, inclusive: bool) -> float:
    ratio = np.maximum(true / predicted, predicted / true)
    return float(np.mean(ratio <= bound if inclusive else ratio < bound))


class Definition(NamedTuple):
    """A metric: its formula and what a table's head says of it."""

    formula: Callable[..., float]
    unit: str = ""
    """Empty for plain ratios."""
    higher_is_better: bool = False
    of_ratios: bool = False
    """The formula sees predictions of at least `Protocol.floor_m`."""
    largest: float = 1000.0
    """Bound on differences: 1 for shares; for others generous, as the deepest depth in metres that any sensor sees."""


DEFINITIONS: Mapping[str, Definition] = MappingProxyType(
    {
        "abs_rel": Definition(abs_rel),
        "sq_rel": Definition(sq_rel, unit="m"),
        "rmse": Definition(rmse, unit="m"),
        "rmse_log": Definition(rmse_log, of_ratios=True),
        "log10": Definition(log10, of_ratios=True),
        "silog": Definition(silog, unit="x100", of_ratios=True),
        "delta1": Definition(delta1, higher_is_better=True, of_ratios=True, largest=1.0),
        "delta2": Definition(delta2, higher_is_better=True, of_ratios=True, largest=1.0),
        "delta3": Definition(delta3, higher_is_better=True, of_ratios=True, largest=1.0),
    }
)
"""Every metric by its name, in the order of every table."""

METRICS = tuple(DEFINITIONS)

HIGHER_IS_BETTER = frozenset(name for name, metric in DEFINITIONS.items() if metric.higher_is_better)

UNITS: Mapping[str, str] = MappingProxyType({name: metric.unit for name, metric in DEFINITIONS.items()})
