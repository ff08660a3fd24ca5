"""Stochastic gradient descent of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch.optim import Optimizer

from cliffkit.interfaces import ParameterGroup
from cliffkit_optimizers.fused import is_fused


def sgd(
    groups: Sequence[ParameterGroup],
    lr: float,
    /,
    *,
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    nesterov: bool = False,
) -> Optimizer:
    """Build stochastic gradient descent; weight decay is an L2 penalty.

    Raises ValueError for nesterov without momentum.

    Options:
        momentum: Share of the last update that is added to the next.
        nesterov: Whether the gradient is looked up ahead. Source: Sutskever et al., ICML 2013.
    """
    if nesterov and not momentum:
        raise ValueError("sgd: nesterov needs a momentum; set momentum=0.9")
    return torch.optim.SGD(groups, lr, momentum, nesterov=nesterov, fused=is_fused(groups) or None)
