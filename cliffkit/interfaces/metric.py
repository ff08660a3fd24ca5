"""The contract of metrics beside the nine that every protocol gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoredDepth:
    """One image as a protocol scores it. All maps are (H, W), in the protocol's view."""

    predicted: NDArray[np.float64]
    """Metres, aligned and clamped; finite where `scored`."""
    true: NDArray[np.float64]
    """Metres; only where `scored` has it a meaning."""
    scored: NDArray[np.bool_]
    """Pixels that the protocol scores, at least one."""
    camera: NDArray[np.float64] | None = None
    """(4,): fx, fy, cx, cy in pixels of these maps, the origin at the outer corner of the first pixel; None where the
    data set knows no camera."""


class Metric(ABC):
    """A metric of one image, which a protocol may ask for: `metric(image)`.

    The factory gets nothing; its keyword-only parameters are options. The engine averages a metric over the images that
    have a value. A metric is a function of its image and options alone, and changes no map. It may be called by several
    threads at once.
    """

    unit: ClassVar[str] = ""
    """Unit of the value, as `m`; empty for plain ratios."""
    higher_is_better: ClassVar[bool] = False
    """Whether more is better."""

    @abstractmethod
    def __call__(self, image: ScoredDepth) -> float | None:
        """Compute the metric, a finite number; None where the image has none, as one without the pixels it needs."""
