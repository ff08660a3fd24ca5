"""The check of metrics fails for a metric that breaks its contract, and says how."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cliffkit.interfaces import Metric, ScoredDepth
from cliffkit.testing import check_metric


class Good(Metric):
    def __call__(self, image: ScoredDepth) -> float | None:
        return float(np.abs(image.predicted - image.true)[image.scored].mean())


class Turned(Good):
    higher_is_better = True


class Wordy(Good):
    unit = 3  # type: ignore[assignment]


class Loud(Metric):
    def __call__(self, image: ScoredDepth) -> float | None:
        return float(np.nan_to_num(np.abs(image.predicted - image.true)).mean())


class Endless(Metric):
    def __call__(self, image: ScoredDepth) -> float | None:
        return float("inf")


class Silent(Metric):
    def __call__(self, image: ScoredDepth) -> float | None:
        return None


class Fickle(Metric):
    def __call__(self, image: ScoredDepth) -> float | None:
        return random.random()


class Careless(Good):
    def __call__(self, image: ScoredDepth) -> float | None:
        image.predicted[image.scored] += 1
        return super().__call__(image)


def nothing() -> float:
    return 1.0


def test_a_metric_that_keeps_the_contract_passes() -> None:
    check_metric(Good)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Turned, r"Turned: the truth as prediction scores 0, a wrong prediction .* and higher_is_better is True"),
        (Wordy, "Wordy: `unit` is 3 and"),
        (Loud, "Loud: .* becomes .* by values in pixels that are not scored; leave them out"),
        (Endless, r"Endless: gives inf for an image of \(24, 32\); expected a finite number, or None"),
        (Silent, "Silent: no image has a value"),
        (Fickle, "Fickle: gives .* and then .* for one image; draw no random numbers"),
        (Careless, "Careless: changes `predicted` in place; copy it"),
        (nothing, r"nothing: gives float, no cliffkit\.interfaces\.Metric"),
    ],
)
def test_a_metric_that_breaks_it_is_told(factory: type, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_metric(factory)
