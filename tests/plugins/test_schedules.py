"""Built-in schedules at points reckoned by hand, and beside torch's own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, PolynomialLR

from cliffkit.interfaces import Schedule
from cliffkit_schedules.constant import Constant
from cliffkit_schedules.cosine import Cosine
from cliffkit_schedules.onecycle import OneCycle
from cliffkit_schedules.poly import Poly
from cliffkit_schedules.step import Step


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Constant(100), {0: 1.0, 99: 1.0}),
        (Cosine(100), {0: 1.0, 25: 0.853553390593, 50: 0.5, 75: 0.146446609407, 100: 0.0}),
        (Cosine(100, lowest=0.2), {0: 1.0, 50: 0.6, 100: 0.2}),
        (Step(100, milestones=(10, 20)), {9: 1.0, 10: 0.1, 19: 0.1, 20: 0.01, 99: 0.01}),
        (Step(100, milestones=(20, 10), decay=0.5), {9: 1.0, 10: 0.5, 20: 0.25}),
        (Step(100), {99: 1.0}),
        (Poly(100), {0: 1.0, 50: 0.5**0.9, 100: 0.0}),
        (Poly(100, power=2.0), {50: 0.25, 90: 0.01}),
        (OneCycle(101, rise=0.5, start=0.5, end=0.1, shape="linear"), {0: 0.5, 49: 0.994949, 75: 0.545545, 100: 0.1}),
        (OneCycle(1), {0: 1.0}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Schedule) else "",
)
def test_the_factor_at_points_reckoned_by_hand(schedule: Schedule, factors: dict[int, float]) -> None:
    assert {step: schedule(step) for step in factors} == pytest.approx(factors, rel=1e-5, abs=1e-12)


def test_milestones_are_those_of_a_schedule_with_steps() -> None:
    assert list(Step(9, milestones=(3, 6)).milestones) == [3, 6]
    assert not any(schedule(9).milestones for schedule in (Constant, Cosine, OneCycle, Poly, Step))


def rates(scheduler: Any, steps: int, **options: Any) -> list[float]:
    """The factor of each step by a scheduler of torch, around a rate of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 1.0)
    following: LRScheduler = scheduler(optimizer, **options)
    factors = []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        following.step() if len(factors) < steps else None
    return factors


@pytest.mark.parametrize("steps", [4, 10, 101])
@pytest.mark.parametrize(("shape", "strategy"), [("cosine", "cos"), ("linear", "linear")])
@pytest.mark.parametrize("rise", [0.3, 0.5])
def test_one_cycle_is_torchs(steps: int, shape: Any, strategy: str, rise: float) -> None:
    theirs = rates(
        OneCycleLR, steps, max_lr=1.0, total_steps=steps, pct_start=rise, anneal_strategy=strategy,
        div_factor=20.0, final_div_factor=50.0,
    )  # fmt: skip
    ours = OneCycle(steps, rise=rise, start=0.05, end=0.001, shape=shape)
    assert [ours(step) for step in range(steps)] == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_poly_is_torchs() -> None:
    ours = Poly(30, power=0.7)
    theirs = rates(PolynomialLR, 30, total_iters=30, power=0.7)
    assert [ours(step) for step in range(30)] == pytest.approx(theirs, rel=1e-6)


def test_the_defaults_of_one_cycle_are_torchs() -> None:
    ours = OneCycle(50)
    theirs = rates(OneCycleLR, 50, max_lr=1.0, total_steps=50)
    assert [ours(step) for step in range(50)] == pytest.approx(theirs, rel=1e-9)
    assert math.isclose(max(ours(step) for step in range(50)), 1.0)
