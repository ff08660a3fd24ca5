"""What the verbs are given, brought into the forms that the engine takes."""

from __future__ import annotations

import functools
import json
import os.path
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cliffkit.components.load import Plugins, load_plugins
from cliffkit.components.registry import Registry
from cliffkit.errors import RecipeError, UserError
from cliffkit.events import Event
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_written
from cliffkit.recipe.mapping import from_memory
from cliffkit.recipe.recipe import Recipe
from cliffkit.recipe.shipped import locate
from cliffkit.study.check import check_study, load_study
from cliffkit.study.study import Study
from cliffkit.text import cut

AnyPath = str | os.PathLike[str]

RecipeLike = AnyPath | Mapping[str, Any]
"""The path of a recipe's file, the name of a shipped recipe, or what a recipe says as a mapping."""

StudyLike = AnyPath | Mapping[str, Any]
"""The path of a study's file, the name of a shipped study, or what a study says as a mapping."""

Settings = Mapping[str, Any] | Iterable[str]
"""Changes to a recipe: values by their paths, `{"model.fusion.use": "add"}`, or texts `PATH=VALUE` as after --set."""

Data = Mapping[str, AnyPath]
"""The folders of data sets, by the data sets' names."""

Progress = bool | Callable[[Event], None]
"""True: shown on stderr, or below a notebook's cell. False: not shown. A function is called with every event."""


@functools.cache
def installed_plugins() -> Plugins:
    """Load the installed plugins, once per process."""
    return load_plugins()


def texts(settings: Settings) -> tuple[str, ...]:
    """Write settings as they stand after --set on the command line."""
    if not isinstance(settings, Mapping):
        return tuple(settings)
    return tuple(f"{path}={_yaml(value, path)}" for path, value in settings.items())


def path_of(given: AnyPath, name: str) -> Path:
    """Take an argument as a path. Raises UserError for empty text, which would mean the working folder."""
    if given == "":
        raise UserError(f"{name}: the path is empty; write one, as '.' for the working folder")
    return Path(given)


def folders(data: Data | None, registry: Registry) -> dict[str, Path]:
    """Check that every data set is registered and its folder is one. Raises UserError."""
    paths = {name: Path(os.path.expanduser(path_of(folder, f"data: {name}"))) for name, folder in (data or {}).items()}
    for name, folder in paths.items():
        if name not in registry.names("dataset"):
            raise UserError(f"data: {registry.missing('dataset', name)}")
        if not os.path.isdir(folder):  # false also for text that can be no path
            raise UserError(f"data: {name}: {cut(str(folder))} is no folder")
    return paths


def unread(given: Iterable[str], read: Iterable[str]) -> tuple[str, ...]:
    """Say which data sets were given a folder and are not among those that are read."""
    names = list(dict.fromkeys(read))
    what = f"the data set is {names[0]}" if len(names) == 1 else f"data sets are {', '.join(names)}"
    return tuple(f"data: {name}: its folder is not read; {what}" for name in given if name not in names)


def open_recipe(recipe: RecipeLike, registry: Registry, settings: Settings = ()) -> Recipe:
    """Read and check a recipe with its settings. Raises RecipeError with every fault."""
    if isinstance(recipe, Mapping):
        document = from_memory(recipe, "recipe")
    else:
        document = yamlstrict.load(locate(path_of(recipe, "recipe")))
    return check_written(document, registry, texts(settings))


def open_study(study: StudyLike, registry: Registry, settings: Settings = ()) -> Study:
    """Read and check a study with settings for its base recipe. Raises RecipeError with every fault."""
    if isinstance(study, Mapping):
        return check_study(from_memory(study, "study"), Path(), registry, texts(settings))
    return load_study(locate(path_of(study, "study")), registry, texts(settings))


def _yaml(value: Any, path: str) -> str:
    """Write a value as YAML on one line: bare where it is read back as the same text, else as JSON."""
    if isinstance(value, str):
        try:
            bare = yamlstrict.parse_value(value, path)
        except RecipeError:
            bare = None
        return value if bare == value else json.dumps(value)
    plain = from_memory(value, f"--set {path}")
    if plain.faults:
        raise RecipeError(plain.faults)
    return json.dumps(plain.data)
