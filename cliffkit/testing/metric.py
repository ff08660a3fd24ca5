"""Checks of metrics that a protocol may ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from cliffkit.interfaces import Metric, ScoredDepth
from cliffkit.testing.common import expect

SHAPES = ((24, 32), (17, 9), (1, 1))
"""Heights and widths of the maps: even, odd, and of one pixel."""


def check_metric(factory: Callable[..., Metric], **options: Any) -> None:
    """Check a metric: `factory(**options)`."""
    metric = factory(**options)
    subject = getattr(factory, "__name__", repr(factory))
    expect(isinstance(metric, Metric), f"{subject}: gives {type(metric).__name__}, no cliffkit.interfaces.Metric")
    expect(
        isinstance(metric.unit, str) and isinstance(metric.higher_is_better, bool),
        f"{subject}: `unit` is {metric.unit!r} and `higher_is_better` {metric.higher_is_better!r}; a text and a bool",
    )
    values = []
    for image in _images():
        value = _value(subject, metric, image)
        values.append(value)
        again = _value(subject, factory(**options), image)
        expect(value == again, f"{subject}: gives {value} and then {again} for one image; draw no random numbers")
        loud = replace(image, predicted=np.where(image.scored, image.predicted, np.nan))
        loud = replace(loud, true=np.where(image.scored, image.true, np.nan))
        unseen = _value(subject, metric, loud)
        expect(
            unseen == value,
            f"{subject}: {value} becomes {unseen} by values in pixels that are not scored; leave them out",
        )
    expect(any(value is not None for value in values), f"{subject}: no image has a value; give one where it can be")
    _check_direction(subject, metric)


def _value(subject: str, metric: Metric, image: ScoredDepth) -> float | None:
    """Compute the metric of an image, which must be a finite number or None and leave the maps alone."""
    copies = [values.copy() for values in (image.predicted, image.true, image.scored)]
    value = metric(image)
    for name, before, after in zip(
        ("predicted", "true", "scored"), copies, (image.predicted, image.true, image.scored), strict=True
    ):
        expect(
            np.array_equal(before, after, equal_nan=name != "scored"), f"{subject}: changes `{name}` in place; copy it"
        )
    expect(
        value is None or (isinstance(value, float | int) and math.isfinite(value)),
        f"{subject}: gives {value!r} for an image of {image.true.shape}; expected a finite number, or None",
    )
    return value


def _images() -> Iterator[ScoredDepth]:
    """Give slanted walls with a box in front, wrongly predicted: all scored with a camera, some scored without."""
    for k, (height, width) in enumerate(SHAPES):
        random = np.random.default_rng(k)
        rows, columns = np.mgrid[:height, :width] / max(height, width)
        true = 2 + 3 * rows + columns
        true[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 1.2
        predicted = true * random.lognormal(0.1, 0.1, true.shape)
        camera = np.array([width, width, width / 2, height / 2], np.float64)
        yield ScoredDepth(predicted, true, np.ones(true.shape, np.bool_), camera)
        some = random.random(true.shape) < 0.7
        some[0, 0] = True
        yield ScoredDepth(predicted, true, some)


def _check_direction(subject: str, metric: Metric) -> None:
    """Check that the truth itself scores no worse than a wrong prediction."""
    for image in _images():
        value, best = metric(image), metric(replace(image, predicted=image.true))
        if value is None or best is None:
            continue
        better = best >= value if metric.higher_is_better else best <= value
        expect(
            better,
            f"{subject}: the truth as prediction scores {best:g}, a wrong prediction {value:g}, and higher_is_better "
            f"is {metric.higher_is_better}; turn it over",
        )
