"""Protocols as recipes write them: short names, and the options that the engine applies to every protocol."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cliffkit.components.isolate import isolated
from cliffkit.components.near import meant
from cliffkit.components.registry import Component, Registry
from cliffkit.errors import UserError
from cliffkit.protocols import ALIGNMENTS, ExtraMetric, Protocol

VALIDATION = Protocol("full", "cliffkit: every valid pixel", min_depth_m=1e-3, clamp_low_m=1e-3)
"""How the validation split is scored, whatever protocols the test split is scored by."""

MODIFIERS: Mapping[str, tuple[str, Any]] = {
    "flip": ("flip", True),
    **{name: ("align", name) for name in ALIGNMENTS if name != "none"},
    "set": ("align_over", "set"),
}
"""What may follow a protocol's short name, each after a `+`, and the setting that it is short for: average with the
mirrored prediction, align, align once for all test images."""


def spelled_out(short: str, registry: Registry) -> dict[str, Any]:
    """Write `eigen+flip+median` as the mapping that it is short for.

    Raises UserError with the near miss and the list for an unknown name or modifier, for a repeated modifier, and for
    two alignments.
    """
    name, *modifiers = short.split("+")
    if name not in registry.names("protocol"):
        raise UserError(f"{registry.missing('protocol', name)}; each takes {_modifier_list()}")
    for modifier in modifiers:
        if modifier not in MODIFIERS:
            hint = " ".join(filter(None, (meant(modifier, MODIFIERS), f"there are: {', '.join(MODIFIERS)}")))
            raise UserError(f"protocol '{short}': no modifier is called '{modifier}'; {hint}")
    if len(set(modifiers)) < len(modifiers):
        raise UserError(f"protocol '{short}' repeats a modifier; name each of {_modifier_list()} once at most")
    settings = dict(MODIFIERS[modifier] for modifier in modifiers)
    if len(settings) < len(modifiers):
        raise UserError(f"protocol '{short}' names more than one alignment; keep one")
    return {"use": name, **settings}


def build_protocol(
    component: Component,
    options: Mapping[str, Any],
    engine: Mapping[str, Any],
    metrics: Sequence[ExtraMetric] = (),
) -> Protocol:
    """Call a protocol's factory and apply the engine's options `name`, `flip`, `align`, `align_over`, None where unset.

    Without `name` the protocol is called after the component with all that is changed, in one order, so that equal
    protocols have equal names: `eigen+cap_m=8+flip+median`. Raises UserError for options that make no protocol, and
    for a factory that gives something else.
    """
    factory = component.load()
    with isolated(f"{component} cannot be built", [component]):
        try:
            built = factory(**options)
        except ValueError as error:
            raise UserError(str(error)) from error
    if not isinstance(built, Protocol):
        raise UserError(
            f"protocol '{component.name}' of plugin '{component.plugin}' gives {type(built).__name__}; it must give a "
            "cliffkit.protocols.Protocol"
        )
    changed = [f"{name}={_plain(value)}" for name, value in _changed(factory, options).items()]
    if changed:
        built = replace(built, source=f"changed in {', '.join(changed)}, else {built.source}")
    changes = {name: engine[name] for name in ("flip", "align", "align_over") if engine[name] is not None}
    for name, value in changes.items():
        if value != getattr(built, name):
            changed.append(_modifier(name, value))
    if metrics:
        changed.append(f"metrics={','.join(metric.name for metric in metrics)}")
        changes["metrics"] = tuple(metrics)
    return replace(built, name=engine["name"] or "+".join([component.name, *changed]), **changes)


def is_short(name: str, use: str) -> bool:
    """Tell whether a protocol's name is a short name that `spelled_out` reads, of the component `use`."""
    first, *modifiers = name.split("+")
    return first == use and set(modifiers) <= set(MODIFIERS)


def _changed(factory: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the options that differ from their defaults, in the order of the signature."""
    parameters = inspect.signature(factory).parameters
    return {name: options[name] for name in parameters if name in options and options[name] != parameters[name].default}


def _modifier(name: str, value: Any) -> str:
    """Write what the engine changes of a protocol in short."""
    return next((short for short, setting in MODIFIERS.items() if setting == (name, value)), f"{name}={_plain(value)}")


def _plain(value: Any) -> str:
    """Write the value of an option as a recipe has it, without blanks."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)


def _modifier_list() -> str:
    return ", ".join(f"+{modifier}" for modifier in MODIFIERS)
