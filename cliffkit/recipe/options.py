"""The options that a recipe writes beside a component: its own and the engine's."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import Field, create_model
from pydantic_core import to_jsonable_python

from cliffkit.components.registry import Component
from cliffkit.recipe.schema import (
    DataOptions,
    EmbeddingOptions,
    LevelWeight,
    LossOptions,
    MetricOptions,
    ProtocolOptions,
    Section,
    options_schema,
)

SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
"""How bounds of an option are written, by pydantic's names for them."""


def describe_options(component: Component) -> dict[str, str]:
    """Describe each option that a component takes in a recipe: type, bounds and default, in words."""
    factory = component.load()
    schema = options_schema(factory, engine_options(component.kind, factory))
    kinds = get_type_hints(schema)  # without the bounds
    described = {}
    for name, field in schema.model_fields.items():
        kind = inspect.formatannotation(kinds[name]).replace("pathlib.", "").replace("typing.", "")
        limits = [(sign, getattr(limit, word, None)) for limit in field.metadata for word, sign in SIGNS.items()]
        bounds = "".join(f" {sign} {value:g}" for sign, value in limits if value is not None)
        default = "needed" if field.is_required() else f"default {to_jsonable_python(field.default)}"
        described[name] = f"{kind}{bounds}, {default}"
    return described


def explain_options(component: Component) -> dict[str, str]:
    """Give a line of help for each option: the engine's own, and those that the component's docstring explains.

    A docstring does so below `Options:`, in lines `    name: text` that may go on with more indentation.
    """
    engine = engine_options(component.kind)
    texts = {name: field.description or "" for name, field in engine.model_fields.items()} if engine else {}
    _, _, section = (inspect.getdoc(component.load()) or "").partition("\n\nOptions:\n")
    texts |= dict(re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", section, re.MULTILINE))
    return {name: " ".join(text.split()) for name, text in texts.items()}


def engine_options(kind: str, factory: Callable[..., Any] | None = None) -> type[Section] | None:
    """Give the engine's own options beside those of a component, where a kind has any.

    Where the factory of the component is given, defaults that it sets are in: the weights of an embedding's levels.
    """
    sections: dict[str, type[Section]] = {
        "dataset": DataOptions,
        "embedding": EmbeddingOptions,
        "loss": LossOptions,
        "protocol": ProtocolOptions,
        "metric": MetricOptions,
    }
    weights = getattr(factory, "default_weights", None)
    return _weighted(tuple(weights)) if kind == "embedding" and weights is not None else sections.get(kind)


@functools.cache
def _weighted(weights: tuple[float, ...]) -> type[Section]:
    """Give the options of an embedding generator that has default weights of its own."""
    field = EmbeddingOptions.model_fields["weights"]
    default: Any = Field(list(weights), description=field.description)
    return create_model("EmbeddingOptions", __base__=EmbeddingOptions, weights=(list[LevelWeight], default))
