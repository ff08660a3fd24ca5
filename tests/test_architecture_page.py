"""docs/why/architecture.md names the rooms, functions and files that there are."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "why" / "architecture.md").read_text(encoding="utf-8")
ROOMS = {path.stem for path in (ROOT / "cliffkit").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


def section(title: str) -> str:
    """The text under a heading, up to the next one of the same rank."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_room_is_in_the_tree_and_on_a_floor() -> None:
    left = [line.strip().partition("  ")[0] for line in section("The tree").splitlines()]
    tree = {name for column in left for name in re.findall(r"\w+", column)}
    floors = set(re.findall(r"`(\w+)`", section("The floors").partition("\nPlugins import")[0]))
    assert tree >= ROOMS - {"__main__"}
    assert floors == ROOMS - {"__init__", "__main__"}


def test_every_dataclass_of_facts_is_there() -> None:
    artifacts = importlib.import_module("cliffkit.store.artifacts")
    rows = re.findall(r"^\| `\S+` \| .* \| (.*) \|$", section("Jobs and keys"), re.MULTILINE)
    names = re.findall(r"`(\w+)`", " ".join(rows))
    assert len(names) > 5
    assert [name for name in names if not hasattr(artifacts, name)] == []


ENGINE = sorted((ROOT / "cliffkit").rglob("*.py"))
NAMES = sorted(set(re.findall(r"`((?:\w+/)?\w+(?:\.\w+)+)(?:\(.*?\))?`", section("The way of a batch"))))
"""Files, functions and methods, as `training/fit.fit`, `optimise.learning_rate`, `Sample.to`, `objectives.py`."""


@pytest.mark.parametrize("name", NAMES)
def test_what_is_named_on_the_way_of_a_batch_is_there(name: str) -> None:
    first, *rest = name.split(".")
    files = [path for path in ENGINE if path.with_suffix("").as_posix().endswith(f"/{first}")]
    if rest == ["py"]:
        assert files
    elif first[0].islower():
        modules = [importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)) for file in files]
        assert find(next(module for module in modules if rest[0] in vars(module)), rest)
    else:
        homes = map(importlib.import_module, ("cliffkit.interfaces", "cliffkit.data.batches", "cliffkit.data.pack"))
        assert find(next(home for home in homes if first in vars(home)), [first, *rest])


def find(owner: Any, names: list[str]) -> Any:
    """What an attribute of an attribute is. Raises AttributeError where there is none."""
    for name in names:
        owner = getattr(owner, name)
    return owner
