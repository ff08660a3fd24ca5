"""Built-in optimisers beside plain loops of their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cliffkit_optimizers.adam import adam, adamw
from cliffkit_optimizers.fused import FUSED
from cliffkit_optimizers.sgd import sgd

LR, DECAY, STEPS = 0.05, 0.3, 5


def slopes() -> list[float]:
    """Gradients of a single weight, whatever it is."""
    return [0.5, -1.25, 2.0, 0.75, -0.1]


def by_adam(weight: float, decoupled: bool) -> float:
    mean = square = 0.0
    for step, slope in enumerate(slopes(), 1):
        if decoupled:
            weight -= LR * DECAY * weight
        else:
            slope += DECAY * weight
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        weight -= LR * (mean / (1 - 0.9**step)) / (math.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return weight


def by_sgd(weight: float, momentum: float, nesterov: bool) -> float:
    velocity = 0.0
    for slope in slopes():
        slope += DECAY * weight
        velocity = momentum * velocity + slope
        weight -= LR * (slope + momentum * velocity if nesterov else velocity)
    return weight


@pytest.mark.parametrize(
    ("factory", "options", "expected"),
    [
        (adam, {}, by_adam(0.8, False)),
        (adamw, {}, by_adam(0.8, True)),
        (sgd, {}, by_sgd(0.8, 0.9, False)),
        (sgd, {"momentum": 0.5, "nesterov": True}, by_sgd(0.8, 0.5, True)),
        (sgd, {"momentum": 0.0}, by_sgd(0.8, 0.0, False)),
    ],
)
def test_a_weight_goes_where_the_formula_takes_it(
    factory: Callable[..., Optimizer], options: dict[str, Any], expected: float
) -> None:
    weight = nn.Parameter(torch.full((3, 2), 0.8))
    optimizer = factory([{"params": [weight], "weight_decay": DECAY}], LR, **options)
    for slope in slopes():
        weight.grad = torch.full_like(weight, slope)
        optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((3, 2), expected))


@pytest.mark.parametrize("factory", [adam, adamw, sgd])
def test_a_step_is_fused_where_torch_fuses_it(factory: Callable[..., Optimizer]) -> None:
    def fused(*weights: Tensor) -> Any:
        return factory([{"params": [nn.Parameter(weight)]} for weight in weights], LR).param_groups[0]["fused"]

    assert "cpu" in FUSED
    assert fused(torch.ones(2))
    assert not fused(torch.ones(2), torch.ones(2, device="meta"))


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sgd: nesterov needs a momentum; set momentum=0.9"):
        sgd([{"params": [nn.Parameter(torch.ones(1))]}], LR, momentum=0.0, nesterov=True)
