"""Metrics that a protocol asks for beside the nine: built from what the protocol says of them, never without."""

from __future__ import annotations

import functools
import importlib
import json
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import cause
from cliffkit.interfaces.metric import Metric, ScoredDepth
from cliffkit.protocols import ExtraMetric, Protocol, View
from cliffkit.scoring.alignments import Fit
from cliffkit.scoring.sums import Floats
from cliffkit.scoring.views import as_scored, image_region, scored_pixels


def extra_scores(
    prediction: Floats,
    truth: Floats,
    valid: NDArray[np.bool_],
    protocol: Protocol,
    camera: NDArray[np.float64] | None,
    fit: Fit | None = None,
) -> Mapping[str, float]:
    """Compute the metrics that a protocol asks for, by their names; NaN where the image has none.

    Arrays (H, W) are in the protocol's view, and so is the camera. Raises ValueError, with the metric's name, where one
    raises anything, or gives what is no finite number.
    """
    if not protocol.metrics:
        return {}
    scored = scored_pixels(truth, valid, protocol)
    predicted = as_scored(prediction, truth, valid, protocol, fit).astype(np.float64)
    image = ScoredDepth(predicted, truth.astype(np.float64), scored, camera)
    return {metric.name: _value(metric, image) for metric in protocol.metrics}


def _value(metric: ExtraMetric, image: ScoredDepth) -> float:
    try:
        value = built(metric)(image)
        if value is None:
            return math.nan
        if not math.isfinite(value):
            raise ValueError(f"gives {value}, no finite number")
    except Exception as error:  # whatever a stranger's metric raises
        raise ValueError(f"metric '{metric.name}': {cause(error)}") from error
    return float(value)


@functools.cache
def built(metric: ExtraMetric) -> Metric:
    """Build a metric from what a protocol says of it."""
    module, _, attribute = metric.reference.partition(":")
    made: Metric = getattr(importlib.import_module(module), attribute)(**json.loads(metric.options))
    return made


def camera_in_view(
    intrinsics: NDArray[np.floating] | None, height: int, width: int, view: View
) -> NDArray[np.float64] | None:
    """Give the camera (4,) of a view of an image of height x width pixels; None where the image's is unknown."""
    if intrinsics is None or not np.isfinite(intrinsics).all():
        return None
    top, left, rows, columns = image_region(height, width, view)
    out_rows, out_columns = view.size or (rows, columns)
    y, x = out_rows / rows, out_columns / columns
    fx, fy, cx, cy = intrinsics.astype(np.float64)
    return np.array([fx * x, fy * y, (cx - left) * x, (cy - top) * y])
