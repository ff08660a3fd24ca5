"""The optimiser's parameter groups, the learning rate of a step, the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cliffkit.recipe.schema import Fit
from cliffkit.training.checkpoint import weights_of


def build_optimizer(objective: nn.Module, settings: Fit) -> torch.optim.Optimizer:
    """Build the optimiser of all trainable parameters; biases and normalisation do not decay."""
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for parameter in objective.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else free).append(parameter)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind([group for group in groups if group["params"]], lr=settings.lr, fused=True)


def learning_rate(settings: Fit, step: int) -> float:
    """Give the rate of the step that follows `step` finished ones."""
    warmup = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    if settings.schedule == "cosine":
        return settings.lr * warmup * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    if settings.schedule == "step":
        return settings.lr * warmup * settings.decay ** sum(step >= milestone for milestone in settings.milestones)
    return settings.lr * warmup


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
