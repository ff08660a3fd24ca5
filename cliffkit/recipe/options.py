"""The options that a recipe writes beside a component: its own and the engine's."""

from __future__ import annotations

import inspect
from typing import get_type_hints

from pydantic_core import to_jsonable_python

from cliffkit.components.registry import Component
from cliffkit.recipe.schema import (
    DataOptions,
    EmbeddingOptions,
    LossOptions,
    ProtocolOptions,
    Section,
    options_schema,
)


def describe_options(component: Component) -> dict[str, str]:
    """What a component takes in a recipe: each option's type and default, in words."""
    factory = component.load()
    schema = options_schema(factory, engine_options(component.kind))
    kinds = get_type_hints(schema)  # without the bounds
    described = {}
    for name, field in schema.model_fields.items():
        kind = inspect.formatannotation(kinds[name]).replace("pathlib.", "").replace("typing.", "")
        default = "needed" if field.is_required() else f"default {to_jsonable_python(field.default)}"
        described[name] = f"{kind}, {default}"
    return described


def engine_options(kind: str) -> type[Section] | None:
    """Give the engine's own options beside those of a component, where a kind has any."""
    sections: dict[str, type[Section]] = {
        "dataset": DataOptions,
        "embedding": EmbeddingOptions,
        "loss": LossOptions,
        "protocol": ProtocolOptions,
    }
    return sections.get(kind)
