"""The state of an optimiser as tensors and plain numbers, and back to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cliffkit.errors import UserError
from cliffkit.training.tensors import Tensors

PLAIN = (int, float, str, type(None))
"""Types that JSON gives back as they were."""


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Give the optimiser's tensors, named `3.exp_avg` by parameter and quantity, and its numbers, for JSON.

    Numbers may stand in the state of a parameter, as a count of steps, or in a group, as an estimate of the rate.
    Raises UserError for a state of another type.
    """
    whole = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, values in whole["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value
            elif isinstance(value, PLAIN):
                numbers[f"{index}.{name}"] = value
            else:
                raise UserError(
                    f"optimiser {type(optimizer).__name__} keeps a {type(value).__name__} as '{name}'; a checkpoint "
                    "holds tensors, numbers, text and None: mend the optimiser's plugin"
                )
    groups = [
        {name: value for name, value in group.items() if isinstance(value, PLAIN)} for group in whole["param_groups"]
    ]
    return tensors, {"state": numbers, "groups": groups}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, plain: Mapping[str, Any]) -> None:
    """Put `optimizer_state` back to the bit."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **plain["state"]}.items():
        index, _, name = key.partition(".")
        like = parameters[int(index)]
        if isinstance(value, Tensor) and value.shape == like.shape:
            # In its parameter's memory layout: fused optimisers walk through both in the order of memory.
            value = torch.empty_like(like, dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[name] = value

    whole = optimizer.state_dict()
    groups = [{**group, **numbers} for group, numbers in zip(whole["param_groups"], plain["groups"], strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": groups})

    # torch brings each tensor to its parameter's device, which is right, and to its type, which loses bits.
    for index, values in state.items():
        target = optimizer.state[parameters[index]]
        for name, value in values.items():
            if isinstance(value, Tensor) and target[name].dtype != value.dtype:
                target[name] = value.to(target[name].device)
