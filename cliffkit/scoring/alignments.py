"""How predictions are brought to the truth: one rule for each alignment that a protocol can name.

A rule has two halves. `evidence` takes predicted and true depths of the scored pixels of one image, arrays of one shape
in metres, and keeps a few numbers. `fit` takes the evidence of one image, or of all images of a set, and gives the
`Fit`. Only pixels with a finite prediction are evidence; for a logarithm or a disparity the prediction must also be
above `FLOOR_M`. Each half raises ValueError where there is no fit. All is computed in float64.

Least squares, `Moments`: with x the prediction and y the truth, both as depth, disparity or log depth,

- scale: sum x y / sum x^2. A factor of 0 or less is refused, since it would turn depth over.
- affine: slope = sum (x - mean x)(y - mean y) / sum (x - mean x)^2, offset = mean y - slope mean x. Where all x are
  equal, as for one pixel, the slope is 0: the aligned prediction is mean y, which every least-squares fit gives there.
- log: the factor exp(mean(ln d - ln p)). Source: the best scale of Eigen, Puhrsch and Fergus, NIPS 2014.

Least squares are not robust: one wild pixel moves them. Medians are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

Evidence = tuple[float, ...]
"""What a rule keeps of an image."""

FLOOR_M = 1e-6
"""Smallest prediction that has a disparity or a logarithm, metres; smaller predictions are raised to it."""

LEAST_DISPARITY = 1e-3
"""Smallest aligned disparity, 1 / metres; smaller ones, negative ones too, are raised to it, and so lie at 1000 m.
The clamp of a protocol then lowers them to its largest depth. Source: 1e-3 as Marigold's evaluation (Ke et al., CVPR
2024); with a clamp the result is that of MiDaS (Ranftl et al., PAMI 2022), which raises them to 1 / the largest depth.
"""

_CONSTANT = 1e-12
"""Relative deviation below which predictions count as equal: rounding of float64."""


class Fit(NamedTuple):
    """Predictions p are replaced by scale p + offset; in disparity by 1 / (scale / p + offset)."""

    scale: float = 1.0
    offset: float = 0.0
    """Metres, or 1 / metres in disparity."""
    disparity: bool = False

    def aligned(self, predicted: Floats) -> Floats:
        """Align predictions in metres of any shape; NaN stays NaN. Monotonic over all predictions."""
        if self.disparity:
            wide = np.maximum(predicted, FLOOR_M, dtype=np.float64)
            return (1 / np.maximum(self.scale / wide + self.offset, LEAST_DISPARITY)).astype(predicted.dtype)
        scaled = predicted if self.scale == 1 else predicted * self.scale
        return scaled if self.offset == 0 else scaled + self.offset


UNCHANGED = Fit()
"""The fit that leaves predictions as they are."""


class Moments(NamedTuple):
    """Sums of pairs (x, y), about their means, so that sums of images add up without loss."""

    n: float
    mean_x: float
    mean_y: float
    xx: float
    """Sum of (x - mean x)^2."""
    xy: float
    """Sum of (x - mean x)(y - mean y)."""


class Rule(NamedTuple):
    """An alignment: what is kept of each image, and what follows from one image or more."""

    evidence: Callable[[Floats, Floats], Evidence]
    fit: Callable[[Sequence[Evidence]], Fit]


def fit_image(align: str, predicted: Floats, true: Floats) -> Fit:
    """Fit the predictions of one image to their truth. Raises ValueError where there is no fit."""
    return fit_set(align, [RULES[align].evidence(predicted, true)])


def fit_set(align: str, images: Sequence[Evidence]) -> Fit:
    """Fit the predictions of several images to their truth, from the evidence of each. Raises ValueError as a rule."""
    return RULES[align].fit(images)


def _nothing(predicted: Floats, true: Floats) -> Evidence:
    return ()


def _unchanged(images: Sequence[Evidence]) -> Fit:
    return UNCHANGED


def _medians(predicted: Floats, true: Floats) -> Evidence:
    """Divide the median of the truth by that of the prediction, over pixels with a finite prediction."""
    finite = np.isfinite(predicted)
    if not finite.all():
        predicted, true = predicted[finite], true[finite]
    if not predicted.size:
        raise ValueError("cannot align: no scored pixel has a finite prediction")
    middle = _median(predicted)
    if not middle > 0:
        raise ValueError(f"cannot align: the median of the prediction is {middle:g} m")
    return (_median(true) / middle,)


def _median_ratio(images: Sequence[Evidence]) -> Fit:
    """Take the median of the images' ratios: as monodepth2 prints it (Godard et al., ICCV 2019)."""
    return Fit(float(np.median([ratio for (ratio,) in images])))


def _of_depth(predicted: Floats, true: Floats) -> Evidence:
    finite = np.isfinite(predicted)
    return _moments(predicted[finite].astype(np.float64), true[finite].astype(np.float64))


def _of_disparity(predicted: Floats, true: Floats) -> Evidence:
    """Keep the moments of disparities; an infinite depth has disparity 0."""
    above = predicted > FLOOR_M
    return _moments(1 / predicted[above].astype(np.float64), 1 / true[above].astype(np.float64))


def _of_logs(predicted: Floats, true: Floats) -> Evidence:
    above = np.isfinite(predicted) & (predicted > FLOOR_M)
    return _moments(np.log(predicted[above].astype(np.float64)), np.log(true[above].astype(np.float64)))


def _scale(images: Sequence[Evidence]) -> Fit:
    all_ = _merged(images)
    square = all_.xx + all_.n * all_.mean_x**2
    if not square > 0:
        raise ValueError("cannot align: every prediction is 0 m")
    factor = (all_.xy + all_.n * all_.mean_x * all_.mean_y) / square
    if not factor > 0:
        raise ValueError(f"cannot align: the least-squares factor is {factor:g}")
    return Fit(factor)


def _affine(images: Sequence[Evidence]) -> Fit:
    all_ = _merged(images)
    if all_.xx <= all_.n * (_CONSTANT * all_.mean_x) ** 2:
        return Fit(0.0, all_.mean_y)
    slope = all_.xy / all_.xx
    return Fit(slope, all_.mean_y - slope * all_.mean_x)


def _affine_disparity(images: Sequence[Evidence]) -> Fit:
    return _affine(images)._replace(disparity=True)


def _log_scale(images: Sequence[Evidence]) -> Fit:
    all_ = _merged(images)
    return Fit(math.exp(all_.mean_y - all_.mean_x))


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "none": Rule(_nothing, _unchanged),
        "median": Rule(_medians, _median_ratio),
        "scale": Rule(_of_depth, _scale),
        "affine": Rule(_of_depth, _affine),
        "affine_disparity": Rule(_of_disparity, _affine_disparity),
        "log": Rule(_of_logs, _log_scale),
    }
)
"""The rule of every alignment, by the name that protocols use."""


def _moments(x: NDArray[np.float64], y: NDArray[np.float64]) -> Moments:
    """Sum pairs up; `n` is 0 where there are none."""
    if not x.size:
        return Moments(0.0, 0.0, 0.0, 0.0, 0.0)
    mean_x, mean_y = float(x.mean()), float(y.mean())
    x = x - mean_x
    return Moments(float(x.size), mean_x, mean_y, float(x @ x), float(x @ (y - mean_y)))


def _merged(images: Sequence[Evidence]) -> Moments:
    """Add up the moments of images. Raises ValueError where no image has a pixel that can be aligned.

    Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
    """
    total = Moments(0.0, 0.0, 0.0, 0.0, 0.0)
    for image in map(Moments._make, images):
        n = total.n + image.n
        if not image.n:
            continue
        x, y, share = image.mean_x - total.mean_x, image.mean_y - total.mean_y, image.n / n
        both = total.n * share
        total = Moments(
            n,
            total.mean_x + share * x,
            total.mean_y + share * y,
            total.xx + image.xx + both * x * x,
            total.xy + image.xy + both * x * y,
        )
    if not total.n:
        raise ValueError("cannot align: no scored pixel has a prediction that could be aligned")
    return total


def _median(values: Floats) -> float:
    """`np.median` of values without NaN; it looks for NaN by a second partition, which costs more than the first."""
    half = values.size // 2
    parted = np.partition(values, half)
    upper = float(parted[half])
    return upper if values.size % 2 else (float(parted[:half].max()) + upper) / 2
