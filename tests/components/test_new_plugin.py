"""`cliffkit plugins new`: for every kind a package that keeps its contract, lints, and works in a recipe at once."""

from __future__ import annotations

import importlib
import json
import shlex
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

import cliffkit
from cliffkit.components.load import load_plugins
from cliffkit.components.new_plugin import MADE, new_plugin
from cliffkit.components.registry import KINDS, Registry
from cliffkit.errors import UserError

from ..conftest import Invoke

RUFF = Path(sys.executable).with_name("ruff")


@pytest.fixture
def package(kind: str, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package for a part called `my-KIND`, importable."""
    folder = new_plugin(f"my-{kind}", kind, tmp_path, registry)
    monkeypatch.syspath_prepend(folder)
    return folder


def test_there_is_one_for_every_kind() -> None:
    assert set(MADE) == set(KINDS)


@pytest.mark.parametrize("kind", MADE)
def test_its_own_test_passes_at_once(package: Path, kind: str) -> None:
    """In this process, but for what the test itself starts; nothing is installed."""
    options = ["-p", "no:cacheprovider", "-c", str(package / "pyproject.toml"), "--rootdir", str(package)]
    assert pytest.main([*options, "-q", "--import-mode=importlib", str(package)]) == 0


@pytest.mark.parametrize("kind", MADE)
def test_works_in_a_recipe(package: Path, kind: str) -> None:
    """By the command that its README gives."""
    name = f"my-{kind}"
    point = EntryPoint(name, f"cliffkit_my_{kind}", "cliffkit")
    plugins = load_plugins(entries=[*entry_points(group="cliffkit"), point], strict=True)
    (component,) = (each for each in plugins.registry if each.name == name)
    assert component.summary == MADE[kind].summary
    assert component.load().__doc__

    lines = (package / "README.md").read_text(encoding="utf-8").splitlines()
    (command,) = (line for line in lines if line.startswith(("cliffkit run", "cliffkit ablate")))
    words = shlex.split(command)
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert name in "".join(words[3:])
    assert cliffkit.validate(words[2], set=settings, plugins=plugins) == []


@pytest.mark.parametrize("kind", MADE)
def test_is_in_good_form(package: Path, kind: str) -> None:
    rules = ["--isolated", "--no-cache", "--config", "line-length = 120"]
    for command in (["check", "--select", "E,F,W,I,B,UP,RUF"], ["format", "--check"]):
        ran = subprocess.run([RUFF, *command, *rules, "."], cwd=package, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout


def test_is_told_by_the_command(invoke: Invoke, tmp_path: Path) -> None:
    said = invoke("plugins", "new", "gated", "--kind", "fusion", "--out", tmp_path, "--json")
    folder = Path(json.loads(said.stdout)["folder"])
    assert folder == tmp_path / "cliffkit-gated"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == [
        "README.md",
        "cliffkit_gated/__init__.py",
        "cliffkit_gated/gated.py",
        "pyproject.toml",
        "tests/test_gated.py",
    ]
    assert "class Gated(Fusion)" in (folder / "cliffkit_gated" / "gated.py").read_text()
    assert (
        "In this folder, the one of `pyproject.toml`:\n\n```bash\npip install -e '.[test]' "
        in (folder / "README.md").read_text()
    )
    assert "$" not in "".join(path.read_text() for path in folder.rglob("*.*"))
    told = invoke("plugins", "new", "gated_too", "--kind", "fusion", "--out", tmp_path).stdout
    folder = tmp_path / "cliffkit-gated_too"
    assert f"next: pip install -e '{folder}[test]' && python -m pytest {folder}\n" in told
    again = invoke("plugins", "new", "gated", "--kind", "fusion", "--out", tmp_path)
    assert again.exit_code == 2
    assert "cliffkit-gated is there already" in again.stderr
    assert invoke("plugins").stdout.startswith("augments")


@pytest.mark.parametrize("name", ["2d", "a b", "", "../up", "class", "fusion", "-x", "a--b", "é"])
def test_refuses_what_is_no_name(name: str, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UserError, match="is no name for a part; use letters"):
        new_plugin(name, "fusion", tmp_path, registry)
    assert not list(tmp_path.iterdir())


def test_refuses_names_that_are_taken(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UserError, match="there is a fusion 'cliff' already"):
        new_plugin("cliff", "fusion", tmp_path, registry)
    with pytest.raises(UserError, match="'tensor' means something else in a fusion's module"):
        new_plugin("tensor", "fusion", tmp_path, registry)
    assert not list(tmp_path.iterdir())


def test_the_package_s_module_is_imported_only_when_used(tmp_path: Path, registry: Registry) -> None:
    folder = new_plugin("gated", "fusion", tmp_path, registry)
    code = "import sys, cliffkit_gated; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0
    assert importlib.util.find_spec("cliffkit_gated") is None
