"""Many comparisons at once: Holm's p, pooled tables, main effects, interactions, Shapley shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from cliffkit.statistics.estimate import Estimate, Floats, _checked, estimate

Grid = Mapping[tuple[str, ...], Floats]
"""Tables of one shape by the level of each axis."""

Estimator = Callable[[Floats], Estimate | None]
"""Estimates the mean of a table: `estimate`, or `Design.interval` for seeds that came one by one."""


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


def main_effect(
    grid: Grid, axis: int, level: str, reference: str, *, estimator: Estimator = estimate
) -> Estimate | None:
    """Estimate the effect of `level` in place of `reference` on one axis: the mean over the other axes' combinations.

    Combinations that the grid lacks at either level are left out; None where none is left. A seed or image absent in
    one combination is absent: only seeds that all of them have count. Raises ValueError for an axis that the grid has
    not, and as `estimate` does.
    """
    return _contrast(grid, {axis: (level, reference)}, estimator)


def interaction(
    grid: Grid,
    axes: tuple[int, int],
    levels: tuple[str, str],
    references: tuple[str, str],
    *,
    estimator: Estimator = estimate,
) -> Estimate | None:
    """Estimate what the first axis's change adds to the effect of the second's: y11 - y10 - y01 + y00.

    The mean is over the other axes' combinations, as in `main_effect`. It is 0 where the two changes add up.
    Raises ValueError for equal axes, and as `main_effect` does.
    """
    if axes[0] == axes[1]:
        raise ValueError(f"both axes are {axes[0]}: an interaction is between two")
    return _contrast(grid, dict(zip(axes, zip(levels, references, strict=True), strict=True)), estimator)


def _contrast(grid: Grid, changes: Mapping[int, tuple[str, str]], estimator: Estimator) -> Estimate | None:
    """Estimate the difference (of differences) between the levels of each change, over the other axes."""
    _check_grid(grid, changes)
    tables = []
    for start in grid:
        if any(start[axis] != level for axis, (level, _) in changes.items()):
            continue
        cells = _corners(start, {axis: reference for axis, (_, reference) in changes.items()})
        if all(cell in grid for cell in cells):
            tables.append(sum((grid[cell] * (-1) ** len(changed) for cell, changed in cells.items()), np.float64(0)))
    return estimator(np.mean(tables, axis=0)) if tables else None


def shapley(
    grid: Grid, weakest: tuple[str, ...], full: tuple[str, ...], *, estimator: Estimator = estimate
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
        share = estimator(total)
        if share is None:
            return None
        shares[axis] = share
    return shares


def _corners(start: tuple[str, ...], switches: Mapping[int, str]) -> dict[tuple[str, ...], frozenset[int]]:
    """Give the cells reached from `start` by any of the switches, with the axes that were switched."""
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
