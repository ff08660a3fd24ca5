"""Checks of optimisers and schedules."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cliffkit.interfaces import Schedule
from cliffkit.testing.common import build, expect, seeded
from cliffkit.training.checkpoint import FitState, resume_fit, save_fit

LR = 0.01


def check_optimizer(factory: Callable[..., Optimizer], **options: Any) -> None:
    """Check an optimiser: `factory(groups, lr, **options)`."""
    with seeded():
        net = _net()
        groups = _groups(net, 0.0)
        optimizer = factory(groups, LR, **options)
        expect(
            isinstance(optimizer, Optimizer), f"{type(optimizer).__name__}: is no torch.optim.Optimizer; subclass it"
        )
        subject = type(optimizer).__name__
        held = [list(map(id, group["params"])) for group in optimizer.param_groups]
        expect(
            held == [list(map(id, group["params"])) for group in groups],
            f"{subject}: has other parameter groups than it was given; hand `groups` on as they are",
        )

        start = _loss(net)
        _train(net, optimizer, 0, 40)
        end = _loss(net)
        expect(end < start, f"{subject}: a loss of {start:g} is {end:g} after 40 steps; it must become less")
        _check_groups(subject, factory, options)
        _check_resume(subject, factory, options)


def check_schedule(factory: Callable[..., Schedule], **options: Any) -> None:
    """Check a schedule: `factory(steps, **options)`."""
    with seeded():
        for steps in (1, 2, 7, 100):
            schedule = build(partial(factory, steps, **options), Schedule)
            subject = f"{type(schedule).__name__} of {steps} steps"
            factors = [schedule(step) for step in range(steps)]
            for step, factor in enumerate(factors):
                expect(
                    isinstance(factor, float | int) and math.isfinite(factor) and factor >= 0,
                    f"{subject}: gives {factor!r} at step {step}, expected a finite number, 0 or more",
                )
            expect(any(factors), f"{subject}: the rate is 0 in every step")
            torch.rand(3)
            again = factory(steps, **options)
            backwards = [again(step) for step in reversed(range(steps))][::-1]
            expect(
                backwards == factors,
                f"{subject}: gives other factors in another order of steps; make it a function of the step alone",
            )
            expect(
                all(isinstance(step, int) and step > 0 for step in schedule.milestones),
                f"{subject}: milestones are {list(schedule.milestones)}, expected numbers of finished steps, above 0",
            )


def _net() -> nn.Module:
    """Build a network with weights, biases and normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 1, 1))


def _groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Make groups as the engine does: those that decay and the others, each with a rate of its own."""
    wide = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    narrow = [parameter for parameter in net.parameters() if parameter.ndim <= 1]
    return [
        {"params": wide, "weight_decay": weight_decay, "lr": LR},
        {"params": narrow, "weight_decay": 0.0, "lr": LR / 10},
    ]


def _loss(net: nn.Module) -> float:
    with torch.no_grad():
        return float(_objective(net, torch.Generator().manual_seed(5)))


def _objective(net: nn.Module, random: torch.Generator) -> Tensor:
    image = torch.rand(4, 3, 8, 9, generator=random)
    truth = image.mean(dim=1, keepdim=True)[..., 1:-1, 1:-1]
    loss: Tensor = (net(image) - truth).square().mean()
    return loss


def _train(net: nn.Module, optimizer: Optimizer, start: int, stop: int) -> None:
    """Train as the engine does: the rate is set before each step, gradients are None after it."""
    for step in range(start, stop):
        for group, factor in zip(optimizer.param_groups, (1.0, 0.1), strict=True):
            group["lr"] = LR * factor * (1 - step / 100)
        _objective(net, torch.Generator().manual_seed(step)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _check_groups(subject: str, factory: Callable[..., Optimizer], options: dict[str, Any]) -> None:
    """Check that a group of rate 0 stays, and that weight decay pulls at the group that has it and at no other."""
    net = _net()
    optimizer = factory(_groups(net, 0.0), LR, **options)
    before = copy.deepcopy(net.state_dict())
    for _ in range(2):
        for group, rate in zip(optimizer.param_groups, (0.0, LR), strict=True):
            group["lr"] = rate
        _objective(net, torch.Generator().manual_seed(1)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    moved = {name for name, parameter in net.named_parameters() if not torch.equal(parameter, before[name])}
    still = {name for name, parameter in net.named_parameters() if parameter.ndim > 1}
    expect(not moved & still, f"{subject}: moves parameters of a group whose `lr` is 0; use each group's own rate")

    sizes = []
    for weight_decay in (0.0, 10.0):
        net = _net()
        optimizer = factory(_groups(net, weight_decay), LR, **options)
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        sizes.append([float(parameter.detach().norm()) for parameter in net.parameters() if parameter.ndim > 1])
    expect(
        all(decayed < plain for plain, decayed in zip(*sizes, strict=True)),
        f"{subject}: a `weight_decay` of 10 makes no weights smaller; use each group's own decay",
    )


def _check_resume(subject: str, factory: Callable[..., Optimizer], options: dict[str, Any]) -> None:
    """Check that training which goes on from a checkpoint ends with the bits of training that never stopped."""
    straight, broken = _net(), _net()
    _train(straight, factory(_groups(straight, 0.1), LR, **options), 0, 6)
    first = factory(_groups(broken, 0.1), LR, **options)
    _train(broken, first, 0, 3)
    with TemporaryDirectory() as folder:
        save_fit(Path(folder), FitState(step=3), broken, first)
        resumed = _net()
        second = factory(_groups(resumed, 0.1), LR, **options)
        resume_fit(Path(folder), resumed, second, torch.device("cpu"))
    _train(resumed, second, 3, 6)
    expect(
        all(torch.equal(value, straight.state_dict()[name]) for name, value in resumed.state_dict().items()),
        f"{subject}: training that goes on from a checkpoint ends with other weights; keep all state in `self.state`, "
        "as tensors and numbers, or in the groups, as numbers",
    )
