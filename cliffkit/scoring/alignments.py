"""How a prediction is brought to the scale of the truth: one function per alignment that a protocol can name.

Each takes predicted and true depths of the scored pixels of one image, arrays of one shape in metres, and gives the
factor by which predictions are multiplied. Raises ValueError where there is no such factor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def none(predicted: Floats, true: Floats) -> float:
    """Leave predictions as they are."""
    return 1.0


def median(predicted: Floats, true: Floats) -> float:
    """Divide the median of the truth by that of the prediction, over pixels with a finite prediction."""
    finite = np.isfinite(predicted)
    if not finite.all():
        predicted, true = predicted[finite], true[finite]
    if not predicted.size:
        raise ValueError("cannot align: no scored pixel has a finite prediction")
    middle = _median(predicted)
    if not middle > 0:
        raise ValueError(f"cannot align: the median of the prediction is {middle:g} m")
    return _median(true) / middle


SCALES: Mapping[str, Callable[[Floats, Floats], float]] = MappingProxyType({"none": none, "median": median})
"""The function of every alignment, by the name that protocols use."""


def _median(values: Floats) -> float:
    """`np.median` of values without NaN; it looks for NaN by a second partition, which costs more than the first."""
    half = values.size // 2
    parted = np.partition(values, half)
    upper = float(parted[half])
    return upper if values.size % 2 else (float(parted[:half].max()) + upper) / 2
