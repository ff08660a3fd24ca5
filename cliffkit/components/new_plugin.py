"""A plugin package to begin with: entry point, part, test and README, for every kind of component."""

from __future__ import annotations

import ast
import keyword
import re
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

from cliffkit.components.registry import KINDS, Registry
from cliffkit.errors import UserError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")


class Kind(NamedTuple):
    """Texts about the part that a template makes."""

    summary: str
    """One line for `cliffkit list`."""
    use: str
    """The command that uses the part."""


MADE: Mapping[str, Kind] = {
    "backbone": Kind("strided convolutions at four levels", "cliffkit run cliff_none --set model.backbone.use=$name"),
    "pyramid": Kind("every level by itself to one width", "cliffkit run cliff_none --set model.pyramid.use=$name"),
    "fusion": Kind(
        "add coarse features through a learned gate", "cliffkit run cliff_none --set model.fusion.use=$name"
    ),
    "head": Kind("depth by a softplus, always positive", "cliffkit run cliff_none --set 'model.head={use: $name}'"),
    "network": Kind("a small encoder and decoder", "cliffkit run cliff_none --set 'model.network={use: $name}'"),
    "embedding": Kind(
        "block means of depth", "cliffkit run cliff_hegR --set 'embedding={use: $name, weights: [1, 1]}'"
    ),
    "loss": Kind("L2 near zero, L1 beyond, smooth between", "cliffkit run cliff_none --set 'loss=[{use: $name}]'"),
    "augment": Kind("take the colours out", "cliffkit run cliff_none --set 'train.depth.augment=[{use: $name}]'"),
    "optimizer": Kind("torch's RMSprop", "cliffkit run cliff_none --set 'train.depth.optimizer={use: $name}'"),
    "schedule": Kind("full rate, then a line", "cliffkit run cliff_none --set 'train.depth.schedule={use: $name}'"),
    "dataset": Kind("a folder of .npz files", "cliffkit run cliff_none --set data.use=$name --data $name=FOLDER"),
    "protocol": Kind("near pixels alone", "cliffkit run cliff_none --set 'evaluate=[$name]'"),
    "metric": Kind(
        "mean of the worst errors", "cliffkit run cliff_none --set 'evaluate=[{use: full, metrics: [$name]}]'"
    ),
    "executor": Kind("a process for every piece of work", "cliffkit ablate cliffnet --executor $name"),
    "tracker": Kind("a table of numbers for every run", "cliffkit run cliff_none --track $name"),
}
"""The kinds that a package can be written for."""

FUNCTIONS = ("optimizer", "protocol")
"""Kinds whose parts are functions; all others are classes."""


def new_plugin(name: str, kind: str, parent: Path, registry: Registry) -> Path:
    """Write a package for a part of a kind into a folder of its own in `parent`; returns that folder.

    Raises UserError for a name that is no name or taken, and for a folder that is there already; OSError where
    it cannot be written, and nothing of it stays.
    """
    texts = _render(name, kind)
    if name in registry.names(kind):
        raise UserError(f"there is a {kind} '{name}' already; give yours another name")
    folder = parent / f"cliffkit-{name}"
    if folder.exists():
        raise UserError(f"{folder} is there already; give another name, or remove it")
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)  # half a package would stand in the way of the next attempt
        raise
    return folder


def _render(name: str, kind: str) -> dict[str, str]:
    """Give the files of the package by their paths in it. Raises UserError for a name that would not work."""
    module = name.replace("-", "_").lower()
    if not NAME.fullmatch(name) or keyword.iskeyword(module) or module in KINDS:
        rule = "use letters, digits, and '-' or '_' between them, a letter first, as in gated-add"
        raise UserError(f"'{name}' is no name for a part; {rule}")
    camel = "".join(word[0].upper() + word[1:] for word in re.split("[_-]", name))
    words = {
        "name": name,
        "kind": kind,
        "Kind": kind.capitalize(),
        "summary": MADE[kind].summary,
        "use": Template(MADE[kind].use).substitute(name=name),
        "distribution": f"cliffkit-{name}",
        "plugin": name,
        "package": f"cliffkit_{module}",
        "module": module,
        "part": module if kind in FUNCTIONS else camel,
    }
    part = _template(f"{kind}.py", words)
    if words["part"] in _names(part):
        raise UserError(f"'{name}' means something else in a {kind}'s module; take another name")
    return {
        "pyproject.toml": _template("pyproject.toml", words),
        "README.md": _template("README.md", words),
        f"{words['package']}/__init__.py": _template("init.py", words),
        f"{words['package']}/{module}.py": part,
        f"tests/test_{module}.py": _template(f"{kind}_test.py", words),
    }


def _template(file: str, words: Mapping[str, str]) -> str:
    text = (files("cliffkit.components") / "templates" / f"{file}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(words)


def _names(code: str) -> set[str]:
    """Give the names that a module imports."""
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}
