"""Changes to a recipe's document: what a level of an axis is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cliffkit.components.registry import NONE, Registry
from cliffkit.recipe.override import exchanged, position, with_value
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import Recipe
from cliffkit.recipe.yamlstrict import Document

Patch = Mapping[str, Any]
"""Values by their paths in a recipe; empty: the base's own value."""

_ABSENT = object()
"""In the place of a value that is not there; null is a value."""


def made_ready(document: Document, patches: Iterable[Patch]) -> Document:
    """Give a recipe without the parts of the model that patches replace by a whole network, or the other way round.

    The patches of all axes count together: where one writes a network and another a part, that is for the check of the
    recipe to refuse.
    """
    paths = [steps for patch in patches for path, value in patch.items() for steps in leaves(path.split("."), value)]
    data = exchanged(document.data, paths)
    return document if data is document.data else replace(document, data=data)


def patched(
    document: Document, patch: Patch, places: Mapping[str, str], registry: Registry
) -> tuple[Document, dict[str, str]]:
    """Give a recipe with a patch, and why some of its paths have no place in the recipe.

    A mapping is merged into the mapping at its path; any other value replaces the old value. As with `--set`, a new
    component under `use` drops the options of the old component and keeps the engine's. `places` says where each path
    was written.
    """
    data = document.data
    replaced = dict(document.replaced)
    missing = {}
    for path, value in patch.items():
        steps = path.split(".")
        try:
            data = _merged(data, steps, value, registry)
        except LookupError as error:
            missing[path] = str(error)
        for leaf in [*leaves(steps, value), *([steps] if _value_at(document.data, steps) in (None, _ABSENT) else [])]:
            replaced[tuple(step if (i := position(step)) is None else i for step in leaf)] = places[path]
    return replace(document, data=data, replaced=replaced), missing


def _merged(data: Any, steps: list[str], value: Any, registry: Registry) -> Any:
    if not (isinstance(value, dict) and isinstance(_value_at(data, steps), dict)):
        return with_value(data, steps, value, registry)
    for key in sorted(value, key=lambda key: key != "use"):  # the component first: it says which options stay
        data = _merged(data, [*steps, key], value[key], registry)
    return data


def has_place(data: Any, steps: Iterable[str]) -> bool:
    """Say whether a recipe's data have a value at a path, null included."""
    return _value_at(data, steps) is not _ABSENT


def _value_at(data: Any, steps: Iterable[str]) -> Any:
    """Give the value at a path, `_ABSENT` where there is none."""
    for step in steps:
        i = position(step)
        if isinstance(data, list) and i is not None and i < len(data):
            data = data[i]
        elif isinstance(data, dict) and step in data:
            data = data[step]
        else:
            return _ABSENT
    return data


def leaves(steps: list[str], value: Any) -> Iterator[list[str]]:
    """Give the paths that a patch writes, down to values that are no mappings."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves([*steps, key], inner)
    else:
        yield steps


def _left_out(parts: Sequence[Part], path: str, prefix: str) -> Iterator[tuple[str, Patch]]:
    """Give, for each part of a list, a label and the patch that removes it; repeated names are numbered."""
    names = [part.component.name for part in parts]
    for i, name in enumerate(names):
        label = name if names.count(name) == 1 else f"{name} {i}"
        rest = [part.to_dict() for k, part in enumerate(parts) if k != i]
        yield f"without {prefix}{label}", {path: rest}


def removals(base: Recipe) -> Iterator[tuple[str, Patch]]:
    """Give, for each component that can be left out of a recipe, a label and the patch that removes it."""
    yield from _left_out(base.losses, "loss", "loss ")
    if base.embedding is not None and any(base.embedding.engine["weights"]):
        yield f"without embedding {base.embedding.component.name}", {"embedding.use": NONE}
    yield from _left_out(base.train.depth.augment, "train.depth.augment", "")
    for kind, part in base.model.items():
        if part.options.get("pretrained"):
            yield "without pretrained weights", {f"model.{kind}.pretrained": False}
