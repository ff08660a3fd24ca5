"""How well a prediction draws the boundaries of things, whatever its scale."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cliffkit.interfaces import Metric, ScoredDepth

SMALLEST_M = 1e-6
"""Predictions below, in metres, are raised to it: they have no ratio."""


class BoundaryF1(Metric):
    """Share of boundaries found and right, F1, whatever the scale of depth.

    Between two neighbouring pixels there is a boundary of ratio t where one is more than t times as deep as the other.
    For each of the four directions in which the nearer pixel may lie, precision is the share of the predicted
    boundaries that are true, and recall the share of the true ones that are predicted; both are averaged over the
    directions, a direction without boundaries as 0, and F1 is 2 P R / (P + R). F1 of t from 1.05 to 1.25 are averaged
    with weights that grow with t. So even the truth scores 1 only where all directions have boundaries of every ratio.
    Pairs with a pixel that is not scored do not count. An image without a true boundary of the smallest ratio has no
    value.

    Source: Bochkovskii et al., "Depth Pro", ICLR 2025 (arXiv 2410.02073), and its public evaluation.

    Options:
        lowest: Smallest ratio of depths at a boundary.
        highest: Largest ratio.
        ratios: Number of ratios, evenly spaced.
    """

    higher_is_better = True

    def __init__(
        self,
        *,
        lowest: Annotated[float, Field(gt=1)] = 1.05,
        highest: Annotated[float, Field(gt=1)] = 1.25,
        ratios: Annotated[int, Field(gt=0)] = 10,
    ) -> None:
        if highest < lowest:
            raise ValueError(f"boundary_f1: highest is {highest}, below lowest, {lowest}")
        self.ratios = np.linspace(lowest, highest, ratios)

    def __call__(self, image: ScoredDepth) -> float | None:
        """Compute the weighted F1, 0 to 1."""
        predicted = self._pairs(image.predicted, image.scored)
        true = self._pairs(image.true, image.scored)
        if not any((pairs > self.ratios[0]).any() for pairs in true):
            return None
        scores = [_f1([p > ratio for p in predicted], [d > ratio for d in true]) for ratio in self.ratios]
        return float(np.average(scores, weights=self.ratios))

    def _pairs(self, depth: NDArray[np.float64], scored: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
        """Give the ratios of all neighbours, farther over nearer in each direction; 0 for pairs that do not count."""
        depth = np.maximum(np.where(scored, depth, 1), SMALLEST_M)
        ratios = []
        for axis in (0, 1):
            first, second = np.delete(depth, -1, axis), np.delete(depth, 0, axis)
            both = np.delete(scored, -1, axis) & np.delete(scored, 0, axis)
            ratios += [np.where(both, first / second, 0), np.where(both, second / first, 0)]
        return ratios


def _f1(predicted: list[NDArray[np.bool_]], true: list[NDArray[np.bool_]]) -> float:
    hits = [np.count_nonzero(p & d) for p, d in zip(predicted, true, strict=True)]

    def share(marks: list[NDArray[np.bool_]]) -> float:
        counts = [np.count_nonzero(mark) for mark in marks]
        return float(np.mean([hit / count if count else 0 for hit, count in zip(hits, counts, strict=True)]))

    precision, recall = share(predicted), share(true)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
