"""What a recipe says under `evaluate`: protocols, each a short name or a mapping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cliffkit.components.registry import Registry
from cliffkit.protocols import Protocol
from cliffkit.recipe.checker import Checker
from cliffkit.recipe.faults import Faults
from cliffkit.recipe.part import Part
from cliffkit.recipe.yamlstrict import Document, Path_
from cliffkit.scoring.protocols import build_protocol, spelled_out

Scored = tuple[Part, Protocol]
"""A part of kind `protocol`, and what it gives."""


def check_protocols(checker: Checker, data: Any) -> tuple[Scored, ...]:
    """Check a list of protocols: each must be right, and no two of them may be equal or have one name."""
    if not isinstance(data, list) or not data:
        checker.faults.add(("evaluate",), "write a list of protocols, as [full]")
        return ()
    found: dict[str, Scored] = {}
    for i, said in enumerate(data):
        here = ("evaluate", i)
        scored = _protocol(checker, here, said)
        if scored is None:
            continue
        name = scored[1].name
        if name in found:
            clash = f"two protocols are called '{name}'; give one another `name`"
            checker.faults.add(here, f"'{name}' stands twice; keep one" if scored[1] == found[name][1] else clash)
        found.setdefault(name, scored)
    return tuple(found.values())


def check_protocol(said: str | Mapping[str, Any], registry: Registry) -> Protocol:
    """Check a protocol that stands outside any recipe, a short name or a mapping. Raises RecipeError."""
    document = Document("protocol", said, {})
    faults = Faults(document)
    scored = _protocol(Checker(document, registry, faults, {}), (), said)
    faults.check()
    assert scored
    return scored[1]


def _protocol(checker: Checker, path: Path_, said: Any) -> Scored | None:
    """Check one protocol."""
    mapping = dict(said) if isinstance(said, Mapping) else str(said)
    key = (Protocol, json.dumps(mapping))
    if key in checker.known:
        known: Scored = checker.known[key]
        return known
    try:
        part = checker.part("protocol", path, _mapping(mapping, checker.registry))
        if part is None or not _named(checker, path, part.engine["name"]):
            return None
        scored = part, build_protocol(part.component, part.options, part.engine)
    except ValueError as error:
        checker.faults.add(path, str(error))
        return None
    checker.known[key] = scored
    return scored


def _mapping(said: str | dict[str, Any], registry: Registry) -> dict[str, Any]:
    return spelled_out(said, registry) if isinstance(said, str) else said


def _named(checker: Checker, path: Path_, name: str | None) -> bool:
    """Say whether a protocol may be called so: a table must not show a changed protocol under another's name."""
    if name is None:
        return True
    if name in checker.registry.names("protocol"):
        message = f"'{name}' is the name of a protocol already; leave it out or write another"
        checker.faults.add((*path, "name"), message)
        return False
    return checker.faults.name((*path, "name"), name)
