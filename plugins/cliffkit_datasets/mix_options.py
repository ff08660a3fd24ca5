"""Options of the data sets of a mix, checked in a recipe as those of a data set that stands alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class OfMembers:
    """Marks options by the names of data sets: those of each are the keyword-only parameters of its factory."""

    def __init__(self, members: Mapping[str, Callable[..., Any]]) -> None:
        self._members = members

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Give the schema by which a recipe's mapping is checked; the engine asks for it."""
        members = {
            name: _mapping(_types(factory, handler), f"unknown option; `{name}` takes")
            for name, factory in self._members.items()
        }
        return _mapping(members, "unknown data set; there are")


def _types(factory: Callable[..., Any], handler: GetCoreSchemaHandler) -> dict[str, CoreSchema]:
    """Give the schema of each option of a data set."""
    parameters = inspect.signature(factory, eval_str=True).parameters.values()
    return {p.name: handler.generate_schema(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY}


def _mapping(schemas: Mapping[str, CoreSchema], fault: str) -> CoreSchema:
    """Make the schema of a mapping with these keys and no others: `fault` begins what is said of another key."""

    def refuse(value: object) -> NoReturn:
        raise PydanticCustomError("unknown_key", "{fault}: {keys}", {"fault": fault, "keys": ", ".join(schemas)})

    return core_schema.typed_dict_schema(
        {key: core_schema.typed_dict_field(schema, required=False) for key, schema in schemas.items()},
        extra_behavior="allow",
        extras_schema=core_schema.no_info_plain_validator_function(refuse),
        config=core_schema.CoreConfig(strict=True, allow_inf_nan=False),  # as the engine's own sections
    )
