"""The house rules that a machine can hold: imports go down, plugins see the public surface, functions stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

GROUND = (
    *("text", "errors", "events", "workers", "images", "resizing", "layers", "cameras", "protocols", "interfaces"),
    "hookspecs",
)
"""Flat modules, and a folder that is as flat to whoever imports from it."""

PUBLIC = (*GROUND, "testing")
"""What plugins may import. `testing` stands higher, since its check of optimisers uses the engine's checkpoint."""

FLOORS = (
    *GROUND,
    "components",
    *("scoring", "statistics", "pictures"),
    "recipe",
    "store",
    "data",
    "training",
    "testing",
    "method",
    "prediction",
    "stages",
    "jobs",
    "study",
    *("report", "display"),
    "bundles",
    "verbs",
    "__init__",
    "cli",
    "__main__",
)
"""Rooms of the engine from the ground up; a room imports from itself and from rooms before it."""

LONGEST_FUNCTION, LONGEST_MODULE = 60, 280
"""Lines. A module is to be about 250 at most."""

ENGINE = sorted((ROOT / "cliffkit").rglob("*.py"))
PLUGINS = sorted(path for path in (ROOT / "plugins").rglob("*.py") if "tests" not in path.parts)


def _room(path: Path) -> str:
    return path.relative_to(ROOT / "cliffkit").with_suffix("").parts[0]


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """The modules that a file imports, wherever in the file, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    room = _room(path)
    upwards = [
        f"line {line}: {module}"
        for line, module in _imports(path)
        if module.startswith("cliffkit.")
        and (other := module.split(".")[1]) in FLOORS
        and other != room
        and FLOORS.index(other) > FLOORS.index(room)
    ]
    assert not upwards


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_engine_loads_timm_only_where_it_is_used(path: Path) -> None:
    """It takes longer than torch, and every command and worker would wait for it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_once = [line for line, module in _imports(path) if module.split(".")[0] == "timm"]
    inside = {
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert set(at_once) <= inside


def test_every_room_has_its_floor() -> None:
    rooms = {_room(path) for path in ENGINE}
    assert rooms <= set(FLOORS), "a new room: say in FLOORS where it stands"
    assert set(FLOORS) <= rooms, "a floor without a room: take it out of FLOORS"


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_plugins_import_the_public_surface_and_their_own_package(path: Path) -> None:
    package = next(part for part in path.relative_to(ROOT / "plugins").parts if part.startswith("cliffkit_"))
    strange = [
        f"line {line}: {module}"
        for line, module in _imports(path)
        if module.startswith("cliffkit")
        and module.split(".")[0] != package
        and not (module.startswith("cliffkit.") and module.split(".")[1] in PUBLIC)
    ]
    assert not strange


@pytest.mark.parametrize("path", [*ENGINE, *PLUGINS], ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_and_modules_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}
    assert len(text.splitlines()) <= LONGEST_MODULE
