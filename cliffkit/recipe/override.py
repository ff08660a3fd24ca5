"""Change a recipe's document: `--set PATH=VALUE`, and what a study's levels write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cliffkit.components.near import meant
from cliffkit.components.registry import Registry
from cliffkit.errors import Fault, RecipeError
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.options import engine_options
from cliffkit.recipe.recipe import MODEL, NETWORK
from cliffkit.recipe.yamlstrict import Document, Path_
from cliffkit.text import excerpt

PUBLISHED = "published"

KEPT = ("name", "seed", PUBLISHED)
"""Keys of a recipe whose change leaves it the recipe for which others published numbers."""


def override(document: Document, overrides: Iterable[str], registry: Registry) -> Document:
    """Apply `PATH=VALUE` texts, VALUE in YAML.

    Setting `X.use` to another component drops the options of the former component. Options that the engine takes beside
    both components, such as the weights of an embedding loss, stay. Texts that write a whole network drop the parts
    that it replaces, and the other way round. Where anything but `KEPT` changes, published numbers are dropped, unless
    the texts write them: they are of the recipe as it was written.

    Raises RecipeError for a text that cannot be applied. Whether the result is a recipe is for `check_recipe`.
    """
    overrides = list(overrides)
    data = exchanged(document.data, [text.partition("=")[0].strip().split(".") for text in overrides])
    replaced = dict(document.replaced)
    faults: list[Fault] = []
    for text in overrides:
        place = f"--set {text}"
        target, equals, written = text.partition("=")
        if not equals or not target.strip():
            faults.append(Fault(place, "", "write PATH=VALUE, as in --set model.fusion.use=add"))
            continue
        try:
            value = yamlstrict.parse_value(written, place)
        except RecipeError as error:
            for fault in error.faults:
                faults.append(replace(fault, path=".".join(filter(None, (target.strip(), fault.path)))))
            continue
        steps = target.strip().split(".")
        try:
            data = with_value(data, steps, value, registry)
        except LookupError as error:
            faults.append(Fault(place, target, str(error)))
        else:
            replaced[_path(data, steps)] = place
    if faults:
        raise RecipeError([*document.faults, *faults])
    if isinstance(data, dict) and _content(data) != _content(document.data) and not _writes(overrides, PUBLISHED):
        data = {key: value for key, value in data.items() if key != PUBLISHED}
    return replace(document, data=data, replaced=replaced)


def _content(data: Any) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in KEPT} if isinstance(data, dict) else {}


def _writes(overrides: Iterable[str], key: str) -> bool:
    return any(text.partition("=")[0].strip().split(".")[0] == key for text in overrides)


def exchanged(data: Any, paths: Iterable[Sequence[str]]) -> Any:
    """Take out of a recipe's data what changes replace: the parts of the network where they write a whole network.

    Where they write parts alone, a whole network is taken out. Where they write both, everything stays: a fault that
    `check_recipe` reports. `paths` are those that the changes write.
    """
    model = data.get("model") if isinstance(data, dict) else None
    kinds = {path[1] for path in paths if len(path) > 1 and path[0] == "model"}
    parts = kinds & set(MODEL)
    replaced = MODEL if NETWORK in kinds and not parts else (NETWORK,) if parts and NETWORK not in kinds else ()
    if not isinstance(model, dict) or not model.keys() & set(replaced):
        return data
    return {**data, "model": {kind: part for kind, part in model.items() if kind not in replaced}}


def with_value(data: Any, steps: Sequence[str], value: Any, registry: Registry) -> Any:
    """Put `value` at a path of a recipe's data; all else is shared.

    Raises LookupError where a parent is missing, with cause and remedy.
    """
    kind = {"data": "dataset", "embedding": "embedding", "loss": "loss", "evaluate": "protocol"}.get(steps[0])
    try:
        return _with_value(data, steps, value, kind, registry)
    except LookupError:
        raise LookupError(f"no such place in the recipe: {_missing(data, steps)}") from None


def _missing(data: Any, steps: Sequence[str]) -> str:
    """Say where a path leaves a recipe's data, and what to write instead."""
    for i, step in enumerate(steps):
        number = position(step)
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and number is not None and number < len(data):
            data = data[number]
        elif isinstance(data, list):
            count = f"{len(data)} entr{'y' if len(data) == 1 else 'ies'}"
            return f"'{'.'.join(steps[:i])}' is a list of {count}, numbered from 0"
        elif isinstance(data, dict):
            whole, rest = ".".join(steps[: i + 1]), steps[i + 1 :]
            form = f"{': {'.join(rest)}: ...{'}' * len(rest)}"
            return f"'{whole}' is not written in it; {meant(step, data) or f'write all of it, as {whole}={{{form}'}"
        else:
            return f"'{'.'.join(steps[:i])}' is {excerpt(data)} there, no mapping"
    raise AssertionError("the path is there")


def _with_value(data: Any, steps: Sequence[str], value: Any, kind: str | None, registry: Registry) -> Any:
    step, *rest = steps
    i = position(step)
    if isinstance(data, list) and i is not None and i < len(data):
        return [*data[:i], _with_value(data[i], rest, value, kind, registry) if rest else value, *data[i + 1 :]]
    if not isinstance(data, dict):
        raise LookupError(step)
    if rest:
        return {**data, step: _with_value(data[step], rest, value, kind, registry)}
    if step == "use" and data.get("use", value) != value:
        kept = _engine_names(kind, value, registry)
        data = {key: option for key, option in data.items() if key in kept}
    return {**data, step: value}


def position(step: str) -> int | None:
    """Read a step of a path as a position in a list; None where it is none. No list is as long as nine digits."""
    return int(step) if step.isdecimal() and len(step) < 9 else None


def _engine_names(kind: str | None, use: Any, registry: Registry) -> Iterable[str]:
    """Give the engine's options beside a component; none where it is missing, a fault that `check_recipe` reports."""
    if kind is None or use not in registry.names(kind):
        return ()
    section = engine_options(kind)
    return section.model_fields if section else ()


def _path(data: Any, steps: Iterable[str]) -> Path_:
    """Give the steps to a value that is there, those into lists as numbers."""
    path: list[str | int] = []
    for step in steps:
        path.append(int(step) if isinstance(data, list) else step)
        data = data[path[-1]]
    return tuple(path)
