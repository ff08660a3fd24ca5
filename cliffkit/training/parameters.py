"""Parameters by pattern: which have a learning rate of their own, which stay as they are, which decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from cliffkit.components.near import meant, near
from cliffkit.errors import UserError
from cliffkit.recipe.schema import LayerRates
from cliffkit.training.layers import number_layers


def matches(name: str, pattern: str) -> bool:
    """Tell whether a pattern means a dotted name: the name itself, what it begins with, or a shell pattern of it."""
    return name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)


Rates = Mapping[str, float | LayerRates]
"""Factors of the learning rate, by patterns of parameters' names."""


def check_patterns(module: nn.Module, groups: Rates, freeze: Iterable[str], stage: str) -> None:
    """Raise UserError for a pattern that matches no parameter, for a rate by layer of what has no layers, and where
    nothing is left to train.
    """
    names = [name for name, _ in module.named_parameters()]
    for key, patterns in (("groups", groups), ("freeze", freeze)):
        for pattern in patterns:
            if not any(matches(name, pattern) for name in names):
                raise UserError(f"train.{stage}.{key}: '{pattern}' matches no parameter; {_suggest(pattern, names)}")
    modules = dict(module.named_modules())
    for pattern in (pattern for pattern, rate in groups.items() if isinstance(rate, LayerRates)):
        if pattern not in modules:
            raise UserError(
                f"train.{stage}.groups: '{pattern}' has layer_decay and is no module; name one, as backbone"
            )
        if len(set(number_layers(modules[pattern]).values())) == 1:
            raise UserError(
                f"train.{stage}.groups: '{pattern}' has layer_decay and a single layer; write a factor, as 0.1"
            )
    if all(any(matches(name, pattern) for pattern in freeze) for name in names):
        raise UserError(f"train.{stage}.freeze: every parameter is frozen; leave one out, or there is nothing to train")


def _suggest(pattern: str, names: Sequence[str]) -> str:
    """Give the near miss of a pattern among parameters and the modules that hold them, or the outermost modules."""
    steps = [name.split(".") for name in names]
    prefixes = {".".join(step[: i + 1]): None for step in steps for i in range(len(step))}
    outermost = {step[0]: None for step in steps}
    return meant(pattern, prefixes) or near(pattern, outermost, "there are")


def freeze_parameters(module: nn.Module, patterns: Sequence[str]) -> list[nn.Module]:
    """Take gradients from parameters that match; give the normalisations whose running statistics must stay too.

    Such a normalisation lies within a module that matches, or all of its own parameters match.
    """
    still: list[nn.Module] = []
    for name, part in module.named_modules():
        names = [f"{name}.{key}".lstrip(".") for key, _ in part.named_parameters(recurse=False)]
        frozen = [any(matches(parameter_name, pattern) for pattern in patterns) for parameter_name in names]
        for parameter, stays in zip(part.parameters(recurse=False), frozen, strict=True):
            if stays:
                parameter.requires_grad_(False)
        is_inside = any(matches(name, pattern) for pattern in patterns)
        if isinstance(part, _NormBase) and (is_inside or (bool(frozen) and all(frozen))):
            still.append(part)
    return still


class Group(NamedTuple):
    """Parameters that are trained alike."""

    factor: float
    """Factor of the learning rate."""
    decays: bool
    """Whether the weights decay; biases and normalisation do not."""
    parameters: list[nn.Parameter]


def divide(objective: nn.Module, module: nn.Module, rates: Rates) -> list[Group]:
    """Divide all trainable parameters by learning rate and decay.

    `rates` are factors of the rate, by patterns of names in `module`. Where several patterns match, the last counts.
    """
    factors = _factors(module, rates)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    divided: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in objective.parameters():
        if parameter.requires_grad:
            factor = factors.get(names.get(id(parameter), ""), 1.0)
            divided.setdefault((factor, parameter.ndim > 1), []).append(parameter)

    return [
        Group(factor, decays, divided[factor, decays])
        for factor in dict.fromkeys(factor for factor, _ in divided)
        for decays in (True, False)
        if (factor, decays) in divided
    ]


def _factors(module: nn.Module, rates: Rates) -> dict[str, float]:
    """Give the factors of the parameters that a pattern matches, by their names."""
    factors: dict[str, float] = {}
    for pattern, rate in rates.items():
        if isinstance(rate, LayerRates):
            layers = number_layers(module.get_submodule(pattern))
            last = max(layers.values())
            factors |= {f"{pattern}.{name}": rate.rate * rate.layer_decay ** (last - k) for name, k in layers.items()}
        else:
            factors |= {name: rate for name, _ in module.named_parameters() if matches(name, pattern)}
    return factors
