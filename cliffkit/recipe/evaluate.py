"""What a recipe says under `evaluate`: protocols, each a short name or a mapping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from cliffkit.components.registry import Registry
from cliffkit.protocols import ExtraMetric, Protocol
from cliffkit.recipe.checker import Checker
from cliffkit.recipe.faults import Faults
from cliffkit.recipe.part import Part
from cliffkit.recipe.yamlstrict import Document, Path_
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.protocols import build_protocol, spelled_out


class Scored(NamedTuple):
    """A part of kind `protocol`, and what it gives."""

    part: Part
    protocol: Protocol
    metrics: tuple[Part, ...]
    """Parts of kind `metric` that it asks for."""


def check_protocols(checker: Checker, data: Any) -> tuple[Scored, ...]:
    """Check a list of protocols: each must be right, and no two of them may be equal or have one name."""
    if not isinstance(data, list) or not data:
        checker.faults.add(("evaluate",), "write a list of protocols, as [full]")
        return ()
    protocols: dict[str, Scored] = {}
    for i, protocol in enumerate(data):
        here = ("evaluate", i)
        scored = _protocol(checker, here, protocol)
        if scored is None:
            continue
        name = scored.protocol.name
        if name in protocols:
            clash = f"two protocols are called '{name}'; give one another `name`"
            checker.faults.add(
                here, f"'{name}' stands twice; keep one" if scored.protocol == protocols[name].protocol else clash
            )
        protocols.setdefault(name, scored)
    return tuple(protocols.values())


def check_protocol(protocol: str | Mapping[str, Any], registry: Registry) -> Protocol:
    """Check a protocol that stands outside any recipe, a short name or a mapping. Raises RecipeError."""
    document = Document("protocol", protocol, {})
    faults = Faults(document)
    scored = _protocol(Checker(document, registry, faults, {}), (), protocol)
    faults.check()
    assert scored
    return scored.protocol


def _protocol(checker: Checker, path: Path_, data: Any) -> Scored | None:
    """Check one protocol."""
    mapping = dict(data) if isinstance(data, Mapping) else str(data)
    key = (Protocol, json.dumps(mapping))
    if key in checker.cache:
        cached: Scored = checker.cache[key]
        return cached
    try:
        part = checker.part("protocol", path, _mapping(mapping, checker.registry))
        if part is None or not _named(checker, path, part.engine["name"]):
            return None
        metrics = _metrics(checker, path, part.engine["metrics"] or [])
        if metrics is None:
            return None
        protocol = build_protocol(part.component, part.options, part.engine, [extra for _, extra in metrics])
        scored = Scored(part, protocol, tuple(metric for metric, _ in metrics))
    except ValueError as error:
        checker.faults.add(path, str(error))
        return None
    checker.cache[key] = scored
    return scored


def _metrics(checker: Checker, path: Path_, asked: list[Any]) -> list[tuple[Part, ExtraMetric]] | None:
    """Check the metrics that a protocol asks for, each named once; None where one is wrong."""
    metrics: dict[str, tuple[Part, ExtraMetric]] = {}
    for i, metric in enumerate(asked):
        here = (*path, "metrics", i)
        part = checker.part("metric", here, {"use": metric} if isinstance(metric, str) else metric)
        if part is None:
            return None
        name = part.engine["name"] or part.component.name
        if name in (*METRICS, *metrics, "n", "absent"):
            checker.faults.add(here, f"'{name}' is the name of another metric; give this one another `name`")
            return None
        if part.engine["name"] is not None and not checker.faults.name((*here, "name"), name):
            return None
        built = part.build()
        component, options = part.component, to_jsonable_python(dict(part.options))
        extra = ExtraMetric(
            name,
            component.reference,
            json.dumps(options, sort_keys=True),
            str(built.unit),
            bool(built.higher_is_better),
            component.identity().code,
        )
        metrics[name] = part, extra
    return list(metrics.values())


def _mapping(data: str | dict[str, Any], registry: Registry) -> dict[str, Any]:
    return spelled_out(data, registry) if isinstance(data, str) else data


def _named(checker: Checker, path: Path_, name: str | None) -> bool:
    """Say whether a protocol may have a name: a table must not show a changed protocol under another's name."""
    if name is None:
        return True
    if name in checker.registry.names("protocol"):
        message = f"'{name}' is the name of a protocol already; leave it out or write another"
        checker.faults.add((*path, "name"), message)
        return False
    return checker.faults.name((*path, "name"), name)
