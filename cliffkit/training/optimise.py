"""The optimiser's parameter groups, the learning rate of a step, the running average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cliffkit.interfaces import Schedule
from cliffkit.recipe.fit import Fit
from cliffkit.recipe.schema import FitSettings
from cliffkit.training.checkpoint import weights_of


def build_optimizer(objective: nn.Module, training: Fit) -> torch.optim.Optimizer:
    """Build the optimiser of all trainable parameters; biases and normalisation do not decay."""
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for parameter in objective.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else free).append(parameter)
    settings = training.settings
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    used = [group for group in groups if group["params"]]
    optimizer: torch.optim.Optimizer = training.optimizer.build(used, settings.lr)
    return optimizer


def learning_rate(settings: FitSettings, schedule: Schedule, step: int) -> float:
    """Give the rate of the step that follows `step` finished ones."""
    warmup = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    return settings.lr * warmup * schedule(step)


def update_average(average: dict[str, Tensor], module: nn.Module, wanted: float, step: int) -> None:
    """Move the running average towards the weights after `step` finished steps.

    The decay grows towards `wanted`, so that the first weights do not linger in the average of a short fit.
    """
    decay = min(wanted, step / (10 + step))
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
    own = {name: value.clone() for name, value in weights_of(module).items()}
    module.load_state_dict(average)
    yield
    module.load_state_dict(own)
