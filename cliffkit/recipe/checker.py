"""Check the values of one document: parts against their components, sections against their schemas."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from cliffkit.components.near import meant
from cliffkit.components.registry import Component, Registry
from cliffkit.errors import UserError
from cliffkit.recipe.faults import Faults
from cliffkit.recipe.options import engine_options
from cliffkit.recipe.part import Part
from cliffkit.recipe.schema import Section, options_schema
from cliffkit.recipe.sections import belongs
from cliffkit.recipe.yamlstrict import Document, Path_, dotted
from cliffkit.text import excerpt

Known = dict[tuple[Any, ...], Any]
"""A cache of the parts and sections that were checked and are right, by their content and place."""


NOWHERE: Mapping[str, Path_] = MappingProxyType({})

UNKNOWN_KEY = "unknown_key"
"""Type of the error that a part's own annotation raises for a key; its words stand alone, without the key's value."""

NAMED = ("optimizer", "schedule", "augment")
"""Kinds of which a recipe may write the name alone, as `optimizer: adamw`."""


class Checker:
    """Checks values of a document and adds a fault for each that is wrong.

    A value in `cache` is not checked again. A value that is right is added to it, and recipes share it.
    """

    def __init__(self, document: Document, registry: Registry, faults: Faults, cache: Known) -> None:
        self.document, self.registry, self.faults, self.cache = document, registry, faults, cache

    def part(
        self, kind: str, path: Path_, data: Any, *, alone: bool = False, places: Mapping[str, Path_] = NOWHERE
    ) -> Part | None:
        """Check a component with its options, and the engine's beside them unless the part stands `alone`.

        Some kinds may be named without a mapping. `places` says where options are written that stand elsewhere.
        """
        named = isinstance(data, str) and kind in NAMED
        if named:
            data = {"use": data}
        if not isinstance(data, dict) or not isinstance(data.get("use"), str):
            names = ", ".join(self.registry.choices(kind))
            article = "an" if kind[0] in "aeio" else "a"
            is_one_word = isinstance(data, str) and data.startswith("use:")
            hint = "; write a blank after the colon" if is_one_word else ""
            self.faults.add(path, f"name {article} {kind}, as {{use: NAME}}; there are: {names}{hint}")
            return None
        use = data["use"]
        at = path if named else (*path, "use")
        place = f"{self.document.place(at)}: {dotted(path)} ({use})"
        key = (kind, place, json.dumps(data))
        if key in self.cache:
            cached: Part = self.cache[key]
            return cached

        schemas = self._schemas(kind, use, at)
        if schemas is None:
            return None
        component, engine, schema = schemas
        if alone:
            engine, schema = None, options_schema(component.load())

        written = {name: value for name, value in data.items() if name != "use"}
        options = self.section(schema, path, written, f"`{use}` takes", places=places, alone=alone)
        if options is None:
            return None
        values, engine_names = dict(options), engine.model_fields if engine else {}
        part_options = {name: value for name, value in values.items() if name not in engine_names}
        part = self.cache[key] = Part(component, part_options, {name: values[name] for name in engine_names}, place)
        return part

    def _schemas(self, kind: str, use: str, at: Path_) -> tuple[Component, type[Section] | None, type[Section]] | None:
        """Give a component, the engine's options beside its own, and the schema of both."""
        try:
            component = self.registry.get(kind, use)
            factory = component.load()
            engine = engine_options(kind, factory)
            return component, engine, options_schema(factory, engine)
        except UserError as error:
            self.faults.add(at, str(error))
        except Exception as error:  # a stranger's signature may hold anything
            self.faults.add(at, f"{component}: {error}")
        return None

    def section(
        self,
        schema: type[Section],
        path: Path_,
        data: Any,
        has: str,
        *,
        before: Sequence[str] = (),
        after: Sequence[str] = (),
        places: Mapping[str, Path_] = NOWHERE,
        alone: bool = False,
    ) -> Section | None:
        """Check a mapping against a schema.

        `has` begins the list of its keys in messages, as `it has`; keys that others check stand `before` and `after`
        those of the schema. `places` says where values are written that stand elsewhere; what stands `alone`, outside
        any recipe, has no other sections in which a key might belong.
        """
        key = (schema, json.dumps(data))
        if key in self.cache:
            cached: Section = self.cache[key]
            return cached
        try:
            section = schema.model_validate_json(key[1])
            if self._paths_written(section, path, data, places):
                self.cache[key] = section
                return section
        except ValidationError as error:
            for fault in error.errors():
                where = _written(data, fault["loc"], fault["type"] == "missing")
                first, *rest = where or ("",)
                full = (*places[str(first)], *rest) if str(first) in places else (*path, *where)
                self.faults.add(full, _message(schema, fault, has, before, after, alone))
        return None

    def _paths_written(self, section: Section, path: Path_, data: Any, places: Mapping[str, Path_]) -> bool:
        """Say whether no path is empty text, which would mean the working folder."""
        empty = [name for name, value in section if isinstance(value, Path) and data.get(name) == ""]
        for name in empty:
            self.faults.add(places.get(name, (*path, name)), "the path is empty; write one, or leave the option out")
        return not empty


def _written(data: Any, location: tuple[Any, ...], missing: bool) -> Path_:
    """Give the steps of pydantic's location that are written in the data: for unions and tuples it adds others."""
    path: list[str | int] = []
    for step in location:
        if not ((isinstance(data, dict) and step in data) or (isinstance(data, list) and step in range(len(data)))):
            break
        path.append(step)
        data = data[step]
    return (*path, location[-1]) if missing else tuple(path)


def _message(
    schema: type[BaseModel], error: Any, has: str, before: Sequence[str], after: Sequence[str], alone: bool
) -> str:
    """Say in one sentence what pydantic found wrong."""
    within = error["loc"] if error["type"] == "model_type" else error["loc"][:-1]
    section = _section(schema, within)
    fields = list(section.model_fields)
    if section is schema:
        fields = [*before, *fields, *after]
    if error["type"] == "extra_forbidden":
        takes = f"{has}: {', '.join(fields)}" if fields else f"{has} no options"
        key = error["loc"][-1]
        where = "" if alone else belongs(key)
        return "; ".join(filter(None, ("unknown option", f"{where}{takes}", meant(key, fields))))
    if error["type"] == "missing" and isinstance(error["loc"][-1], int):
        return "is missing; the list is too short"
    if error["type"] == "missing":
        return f"is missing; {has}: {', '.join(fields)}"
    if error["type"] == "model_type":
        return f"{excerpt(error['input'])} is no mapping; {has}: {', '.join(fields)}"
    if error["type"] in _PLAIN:
        return f"{excerpt(error['input'])} {_PLAIN[error['type']]}"
    text = str(error["msg"])
    if error["type"] == UNKNOWN_KEY:
        return text
    return f"{excerpt(error['input'])}: {text[0].lower()}{text[1:]}"


_LIST = "is no list; write one in brackets, as [1, 2]"

_PLAIN = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": "is no mapping; write one in braces, as {name: value}",
    "int_type": "is no whole number",
    "int_from_float": "is no whole number",
    "float_type": "is no number",
    "bool_type": "is neither true nor false",
    "string_type": "is no text; put it in quotes",
}
"""What pydantic found wrong with a value, in plainer words than its own, by its types of errors."""


def _section(schema: type[BaseModel], steps: Iterable[str | int]) -> type[BaseModel]:
    """Give the nested section that a location lies in."""
    for step in steps:
        field = schema.model_fields.get(str(step))
        inner = [] if field is None else list(_sections_in(field.annotation))
        if not inner:
            break
        schema = inner[0]
    return schema


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Give the sections that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)
