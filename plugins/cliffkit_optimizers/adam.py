"""Adam and AdamW of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch.optim import Optimizer

from cliffkit.interfaces import ParameterGroup
from cliffkit_optimizers.fused import is_fused

Beta = Annotated[float, Field(ge=0, lt=1)]


def adam(
    groups: Sequence[ParameterGroup],
    lr: float,
    /,
    *,
    betas: tuple[Beta, Beta] = (0.9, 0.999),
    eps: Annotated[float, Field(gt=0)] = 1e-8,
    amsgrad: bool = False,
) -> Optimizer:
    """Build Adam, whose weight decay is an L2 penalty. Source: Kingma and Ba, ICLR 2015.

    Options:
        betas: Decay of the running means of gradients and of their squares.
        eps: Number added to the denominator.
        amsgrad: Whether the largest mean of squares so far is used. Source: Reddi et al., ICLR 2018.
    """
    return torch.optim.Adam(groups, lr, betas, eps, amsgrad=amsgrad, fused=is_fused(groups) or None)


def adamw(
    groups: Sequence[ParameterGroup],
    lr: float,
    /,
    *,
    betas: tuple[Beta, Beta] = (0.9, 0.999),
    eps: Annotated[float, Field(gt=0)] = 1e-8,
    amsgrad: bool = False,
) -> Optimizer:
    """Build Adam with decoupled weight decay. Source: Loshchilov and Hutter, ICLR 2019.

    Options:
        betas: Decay of the running means of gradients and of their squares.
        eps: Number added to the denominator.
        amsgrad: Whether the largest mean of squares so far is used. Source: Reddi et al., ICLR 2018.
    """
    return torch.optim.AdamW(groups, lr, betas, eps, amsgrad=amsgrad, fused=is_fused(groups) or None)
