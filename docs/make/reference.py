"""Generated parts of docs/reference: commands, keys of a recipe, components, Python names.

The pages call these functions by cog: `just reference` writes the pages anew, and a test compares.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import click
from pydantic_core import to_jsonable_python

import cliffkit
from cliffkit import hookspecs, interfaces, testing
from cliffkit.cli.main import cli
from cliffkit.components.load import load_plugins
from cliffkit.components.registry import KINDS, Registry
from cliffkit.recipe.options import SIGNS, describe_options, explain_options
from cliffkit.recipe.schema import DepthSettings, EmbeddingSettings, FitSettings, Published, Section, TrainSettings

WIDTH = 80
"""Characters of a line of help."""


def registry() -> Registry:
    """Give the table of the built-in components, whatever else is installed."""
    strangers = [status.name for status in load_plugins().statuses if status.distribution != "cliffkit"]
    before = os.environ.get("CLIFFKIT_DISABLE_PLUGINS")
    os.environ["CLIFFKIT_DISABLE_PLUGINS"] = ",".join(strangers)
    try:
        return load_plugins().registry
    finally:
        if before is None:
            del os.environ["CLIFFKIT_DISABLE_PLUGINS"]
        else:
            os.environ["CLIFFKIT_DISABLE_PLUGINS"] = before


# ---- commands


def commands() -> str:
    """Give the help of every command, each under a heading."""
    return "\n".join(f"## {path}\n\n```text\n{text}\n```\n" for path, text in _help(cli, "cliffkit", None))


def _help(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from _help(found, child, context)


# ---- keys of a recipe


def training() -> str:
    """Give the keys of `train`, `train.depth` and `train.embedding`, and of a published number."""
    depth = {name: DepthSettings.model_fields[name] for name in DepthSettings.model_fields}
    own = {
        name: field for name, field in EmbeddingSettings.model_fields.items() if name not in FitSettings.model_fields
    }
    others = " and ".join(f"`{name}`" for name in depth if name not in FitSettings.model_fields)
    tables = {
        "`train`": (TrainSettings, TrainSettings.model_fields),
        "`train.depth`": (DepthSettings, depth),
        f"`train.embedding`, beside the keys of `train.depth` without {others}": (EmbeddingSettings, own),
        "an item of `published`": (Published, Published.model_fields),
    }
    return "\n".join(f"### {title}\n\n{_fields(section, fields)}" for title, (section, fields) in tables.items())


def _fields(section: type[Section], fields: dict[str, Any]) -> str:
    hints = get_type_hints(section)
    rows = ["| key | values | default | |", "|---|---|---|---|"]
    for name, field in fields.items():
        limits = [(sign, getattr(limit, word, None)) for limit in field.metadata for word, sign in SIGNS.items()]
        bounds = "".join(f" {sign} {value:g}" for sign, value in limits if value is not None)
        default = "needed" if field.is_required() else _cell(to_jsonable_python(field.default))
        rows.append(f"| `{name}` | {_type(hints[name])}{bounds} | {default} | {_text(field.description or '')} |")
    return "\n".join(rows) + "\n"


def _type(kind: Any) -> str:
    """Write a type as a reader of recipes knows it."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return " or ".join(_type(member) for member in get_args(kind))
    if str(origin) == "typing.Literal":
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Section):
        return "mapping of " + ", ".join(f"`{name}`" for name in kind.model_fields)
    if origin in (dict, list):
        return {dict: "mapping", list: "list"}[origin] + f" of {_type(get_args(kind)[-1])}"
    names = {type(None): "none", bool: "true, false", int: "whole number", float: "number", str: "text"}
    if kind in names:
        return names[kind]
    return "path" if kind is Path else _escaped(inspect.formatannotation(kind))


def _cell(value: Any) -> str:
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _text(text: str) -> str:
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


# ---- components


def components() -> str:
    """Give every built-in component with its options, by kind."""
    table = registry()
    return "\n".join(_kind(table, kind) for kind in KINDS)


def _kind(table: Registry, kind: str) -> str:
    members = [component for component in table if component.kind == kind]
    none = "" if members else "cliffkit brings none of this kind. "
    lines = [f"## {kind}", "", f"{none}[What a part of this kind gets and gives](../guides/plugins/{kind}.md).", ""]
    for component in members:
        lines += [f"### {component.name} ({kind})", "", component.summary[0].upper() + component.summary[1:] + ".", ""]
        options, texts = describe_options(component), explain_options(component)
        if options:
            lines += ["| option | values | |", "|---|---|---|"]
            lines += [
                f"| `{name}` | {_values(text)} | {_text(texts.get(name, ''))} |" for name, text in options.items()
            ]
            lines.append("")
    return "\n".join(lines)


def _values(text: str) -> str:
    return "`" + text.replace(" | ", " or ").replace("|", "/").replace("`", "'") + "`"


# ---- Python


def face() -> str:
    """Give the names of `cliffkit`, for mkdocstrings."""
    return _names("cliffkit", [name for name in cliffkit.__all__ if name != "__version__"])


def surface() -> str:
    """Give what plugins may import, for mkdocstrings."""
    return "\n".join(
        [
            _names("cliffkit.interfaces", interfaces.__all__),
            _names("cliffkit.testing", testing.__all__),
            _names("cliffkit.hookspecs", [name for name in vars(hookspecs) if name.startswith("cliffkit_")]),
            *(
                f"::: cliffkit.{module}\n"
                for module in ("layers", "cameras", "images", "protocols", "events", "errors")
            ),
        ]
    )


def _names(module: str, names: list[str]) -> str:
    return "\n".join(f"::: {module}.{name}\n" for name in sorted(names, key=str.lower))
