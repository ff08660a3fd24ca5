"""The checks of optimisers and schedules fail for parts that break their contracts, and say how."""

import random

import pytest
import torch
from torch.optim import SGD, Optimizer

from cliffkit.interfaces import Schedule
from cliffkit.testing import check_optimizer, check_schedule


class Good(Optimizer):
    """Signs of gradients, averaged."""

    def __init__(self, groups, lr, /, *, share=0.9):
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self.share = share

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    mean = state.setdefault("mean", torch.zeros_like(p)).lerp_(p.grad, 1 - self.share)
                    self.update(group, p, mean)

    def update(self, group, p, mean):
        p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * mean.sign())


class Another:
    def __init__(self, groups, lr):
        self.param_groups = groups


def one_group(groups, lr):
    return SGD([p for group in groups for p in group["params"]], lr)


class Climbs(Good):
    def update(self, group, p, mean):
        p.add_(group["lr"] * mean.sign())


class RateOfItsOwn(Good):
    def update(self, group, p, mean):
        p.sub_(0.01 * mean.sign())


class NeverDecays(Good):
    def update(self, group, p, mean):
        p.sub_(group["lr"] * mean.sign())


class HiddenState(Good):
    count = 0

    def update(self, group, p, mean):
        self.count += 1
        super().update(group, p, mean / self.count)
        p.sub_(1e-4 * self.count * group["lr"])


def test_a_good_optimiser_passes():
    check_optimizer(Good, share=0.5)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Another, "Another: is no torch.optim.Optimizer"),
        (one_group, "SGD: has other parameter groups than it was given"),
        (Climbs, "after 40 steps; it must become less"),
        (RateOfItsOwn, "moves parameters of a group whose `lr` is 0"),
        (NeverDecays, "a `weight_decay` of 10 makes no weights smaller"),
        (HiddenState, "training that goes on from a checkpoint ends with other weights"),
    ],
)
def test_a_broken_optimiser_fails(factory, message):
    with pytest.raises(AssertionError, match=message):
        check_optimizer(factory)


class Falls(Schedule):
    def __init__(self, steps, /):
        self.steps = steps

    def __call__(self, step):
        return 1 - step / self.steps


class Bare:
    def __init__(self, steps):
        pass


class Negative(Falls):
    def __call__(self, step):
        return 0.5 - step / self.steps


class Tensors(Falls):
    def __call__(self, step):
        return torch.tensor(0.5)


class AlwaysZero(Falls):
    def __call__(self, step):
        return 0.0


class Counts(Falls):
    seen = 0

    def __call__(self, step):
        self.seen += 1
        return 1 / self.seen


class Random(Falls):
    def __call__(self, step):
        return random.random()


class FromTheStart(Falls):
    milestones = (0, 5)


def test_a_good_schedule_passes():
    check_schedule(Falls)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Bare, "Bare: is no cliffkit.interfaces.Schedule"),
        (Negative, "gives -0.07.* at step 4, expected a finite number, 0 or more"),
        (Tensors, r"gives tensor\(0.5000\) at step 0"),
        (AlwaysZero, "the rate is 0 in every step"),
        (Counts, "gives other factors in another order of steps"),
        (Random, "gives other factors in another order of steps"),
        (FromTheStart, r"milestones are \[0, 5\], expected numbers of finished steps, above 0"),
    ],
)
def test_a_broken_schedule_fails(schedule, message):
    with pytest.raises(AssertionError, match=message):
        check_schedule(schedule)
