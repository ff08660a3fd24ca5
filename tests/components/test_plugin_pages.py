"""docs/guides/plugins/: a page for each kind of component, and every example on it works as it stands there.

The examples are written into one package, `my_parts`, which is loaded as a plugin beside the installed ones. Each is
held against its check by its own test, and then trained for two steps by the recipe that the page gives.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml

import cliffkit
from cliffkit import testing
from cliffkit.components.load import Plugins, load_plugins
from cliffkit.components.registry import KINDS
from cliffkit.recipe.check import check_part

PAGES = Path(__file__).parents[2] / "docs" / "guides" / "plugins"
SECTION = re.compile(r"^## Example: (\w+)\n(.*?)(?=^## )", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"`my_parts/(\w+)\.py`:\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)

SMALL = """
name: tried
seed: 0
data: {use: pairs, size: [32, 48]}
model:
  backbone: {use: handbuilt}
  pyramid: {use: symmetric, channels: 8}
  fusion: {use: add}
embedding: {use: none}
loss: [{use: l1}]
train: {depth: {steps: 2, batch: 2, validate_every: 2}}
evaluate: [full]
"""
"""A recipe of two steps, into which the recipe of an example is put."""


@dataclass(frozen=True)
class Example:
    """An example of a page."""

    kind: str
    name: str
    modules: Mapping[str, str]
    """Source text by the module's name in `my_parts`."""
    registered: str
    """Its lines in `cliffkit_register`."""
    test: str
    recipe: str | None
    """A part of a recipe, as YAML; None where a recipe cannot name the kind."""

    @classmethod
    def parse(cls, kind: str, name: str, text: str) -> Example:
        """Read a section. Fails where a block of the section is nothing that is tried."""
        modules = dict(MODULE.findall(text))
        blocks = [block for block in PYTHON.findall(text) if block not in modules.values()]
        (registered,) = (block for block in blocks if block.startswith("registry.add("))
        (test,) = (block for block in blocks if "\ndef test_" in block)
        assert len(blocks) == 2, f"{kind}.md, {name}: a Python block is neither module, registration nor test"
        recipes = YAML.findall(text)
        assert len(recipes) == (kind not in ("executor", "tracker"))
        return cls(kind, name, modules, registered, test, recipes[0] if recipes else None)


EXAMPLES = [
    Example.parse(page.stem, name, text)
    for page in sorted(PAGES.glob("*.md"))
    for name, text in SECTION.findall(page.read_text(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def with_examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugins]:
    """The installed plugins, and beside them one that holds every example."""
    folder = tmp_path_factory.mktemp("examples")
    package = folder / "my_parts"
    package.mkdir()
    lines = "".join(example.registered for example in EXAMPLES).splitlines()
    hook = ["from cliffkit.hookspecs import hookimpl", "@hookimpl", "def cliffkit_register(registry):"]
    (package / "__init__.py").write_text("\n".join([*hook, *(f"    {line}" for line in lines)]), encoding="utf-8")
    for example in EXAMPLES:
        for name, source in example.modules.items():
            (package / f"{name}.py").write_text(source, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))  # of the processes that an executor starts
        mine = EntryPoint("my_parts", "my_parts", "cliffkit")
        yield load_plugins(entries=[*entry_points(group="cliffkit"), mine], strict=True)
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_parts"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, make_pairs: Callable[..., Path]) -> Path:
    """Eight pairs, which every example trains on but one that is data itself."""
    return make_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all, so that the pairs are packed once."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page_with_an_example_and_its_check(kind: str) -> None:
    page = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    assert "\n## What it gets and gives\n" in page
    assert f"\n`check_{kind}(" in page.partition("\n## Its check\n")[2]
    assert f"check_{kind}" in testing.__all__
    examples = [example for example in EXAMPLES if example.kind == kind]
    assert examples
    for example in examples:
        assert f'registry.add("{kind}", "{example.name}", ' in example.registered
        assert re.search(rf"\bcheck_{kind}\(", example.test)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_short(example: Example) -> None:
    for source in example.modules.values():
        assert len([line for line in source.splitlines() if line.strip()]) < 40


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_passes_its_check_and_trains(
    example: Example, with_examples: Plugins, pairs: Path, runs: Path, tmp_path: Path
) -> None:
    scope: dict[str, Any] = {}
    exec(example.test, scope)
    for test in [value for name, value in scope.items() if name.startswith("test_")]:
        test(**dict.fromkeys(signature(test).parameters, tmp_path))

    assert example.name in with_examples.registry.names(example.kind)
    if example.recipe is None:
        part = check_part(example.kind, example.name, with_examples.registry, "the page")
        assert part.component.plugin == "my_parts"
        return
    recipe = merged(yaml.safe_load(SMALL), yaml.safe_load(example.recipe))
    data = {"pairs": pairs} if recipe["data"]["use"] == "pairs" else {recipe["data"]["use"]: tmp_path}
    run = cliffkit.run(recipe, data=data, runs=runs, device="cpu", progress=False, plugins=with_examples)
    parts = [part for part in run.recipe.parts() if part.component.plugin == "my_parts"]
    assert example.name in {part.component.name for part in parts}
    assert set(run.metrics) == {protocol.name for protocol in run.recipe.protocols}


def merged(base: Any, change: Any) -> Any:
    """A recipe with another's values in it; a part that is named replaces what was there, a network all parts."""
    if not isinstance(base, dict) or not isinstance(change, dict) or change.keys() & {"use", "network"}:
        return change
    return {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}
