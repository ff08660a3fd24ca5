"""Recipes and studies that come with cliffkit, by name: `cliff_hegR`, `nyu/cliff_resnet50_hegR`, study `cliffnet`."""

from __future__ import annotations

import difflib
import os
import re
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from cliffkit.errors import Fault, RecipeError, UserError

STUDIES = "studies"
"""The folder of the shipped studies; their names leave it out."""

_BASE = re.compile(r"^base:.*$", re.MULTILINE)


def shipped() -> dict[str, Path]:
    """Find the files of all shipped recipes and studies, by name, sorted."""
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "recipes").is_dir():
        paths = {path.relative_to(checkout / "recipes"): path for path in (checkout / "recipes").rglob("*.yaml")}
    else:
        paths = _installed()
    return {_name(relative): paths[relative] for relative in sorted(paths, key=_name)}


def locate(given: str | os.PathLike[str]) -> Path:
    """Find the file that a user means: a file of that path, else the shipped recipe or study of that name.

    Raises RecipeError for a path without a file that is nearly such a name; any other path comes back as it is.
    """
    path = Path(given)
    if os.path.isfile(path):  # false also for text that can be no path
        return path
    paths = shipped()
    name = path.as_posix()
    if name in paths:
        return paths[name]
    plain = name.removesuffix(".yaml").removeprefix("recipes/").removeprefix(f"{STUDIES}/")
    lowered = {name.lower(): name for name in paths}
    near = difflib.get_close_matches(plain.lower(), lowered, n=1, cutoff=0.8)
    if near and not os.path.exists(path):
        message = f"no such file; did you mean '{lowered[near[0]]}', which comes with cliffkit?"
        raise RecipeError([Fault(str(path), "", message)])
    return path


def is_study(path: Path) -> bool:
    """Say whether a shipped file is a study."""
    return path.parent.name == STUDIES


def about(path: Path) -> str:
    """Say what a shipped file is: the first line of its head comment, its name where there is none."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip().rstrip(".:") if first.startswith("#") else path.stem


def copy(name: str, to: Path | None = None) -> list[Path]:
    """Write a shipped recipe or study out, comments and all; returns the files written.

    `to` is a file (.yaml) or a folder; by default the working folder. The recipe that a study varies is written beside
    it. Raises UserError for an unknown name, and where a file that says something else would be written over.
    """
    paths = shipped()
    if name not in paths:
        near = difflib.get_close_matches(name, paths, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(paths)}"
        raise UserError(f"no recipe called '{name}' comes with cliffkit; {hint}")
    source = paths[name]
    folder = to or Path()
    target = folder if folder.suffix in (".yaml", ".yml") else folder / source.name

    texts = {target: source.read_text(encoding="utf-8")}
    if is_study(source):
        base = _base(source)
        texts[target] = _BASE.sub(f"base: {base.name}", texts[target], count=1)
        texts[target.parent / base.name] = base.read_text(encoding="utf-8")

    for path, text in texts.items():
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise UserError(f"{path} is there already and says something else; name another file, or remove it")
    for path, text in texts.items():
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_text(text, encoding="utf-8")
        except OSError:
            path.unlink(missing_ok=True)  # half a file would stand in the way of the next attempt
            raise
    return list(texts)


def _base(study: Path) -> Path:
    """Find the recipe that a shipped study varies."""
    written = _BASE.search(study.read_text(encoding="utf-8"))
    assert written is not None
    return study.parent / written.group().removeprefix("base:").strip()


def _installed() -> dict[Path, Path]:
    """Find the recipes of the installed distribution, by their paths in the folder of recipes."""
    try:
        listed = files("cliffkit") or []
    except PackageNotFoundError:
        listed = []
    paths = {}
    for file in listed:
        _, folder, inner = file.as_posix().partition("share/cliffkit/recipes/")
        if folder and inner.endswith(".yaml"):
            paths[Path(inner)] = Path(os.path.normpath(str(file.locate())))
    return paths


def _name(relative: Path) -> str:
    return relative.with_suffix("").as_posix().removeprefix(f"{STUDIES}/")
