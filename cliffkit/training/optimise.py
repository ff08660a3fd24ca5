"""The optimiser's parameter groups, the learning rate of a step, the running average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cliffkit.interfaces import Schedule
from cliffkit.recipe.fit import Fit
from cliffkit.recipe.schema import FitSettings
from cliffkit.training.parameters import divide
from cliffkit.training.tensors import weights_of


def build_optimizer(
    objective: nn.Module, module: nn.Module, training: Fit
) -> tuple[torch.optim.Optimizer, list[float]]:
    """Build the optimiser of an objective's trainable parameters; give the factor of each of its groups' rates.

    The recipe's patterns are of names in `module`, which the objective holds.
    """
    settings = training.settings
    divided = divide(objective, module, settings.groups)
    groups = [
        {
            "params": group.parameters,
            "lr": settings.lr * group.factor,
            "weight_decay": settings.weight_decay if group.decays else 0.0,
        }
        for group in divided
    ]
    optimizer: torch.optim.Optimizer = training.optimizer.build(groups, settings.lr)
    return optimizer, [group.factor for group in divided]


def learning_rate(settings: FitSettings, schedule: Schedule, step: int) -> float:
    """Give the rate of the step that follows `step` finished ones."""
    warmup = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    return settings.lr * warmup * schedule(step)


def update_average(average: dict[str, Tensor], module: nn.Module, limit: float, step: int) -> None:
    """Move the running average towards the weights after `step` finished steps.

    The decay grows towards `limit`, so that the first weights do not linger in the average of a short fit.
    """
    decay = min(limit, step / (10 + step))
    with torch.no_grad():
        for name, value in weights_of(module).items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)


@contextmanager
def averaged(module: nn.Module, average: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Give the module its averaged weights within the block, where there is an average."""
    if average is None:
        yield
        return
    weights = {name: value.clone() for name, value in weights_of(module).items()}
    module.load_state_dict(average)
    yield
    module.load_state_dict(weights)
