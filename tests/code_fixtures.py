"""A plugin of two fusions whose files a test edits, and processes that come and go."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from cliffkit.components import identity, loaded
from cliffkit.components.load import Plugins, load_plugins

FILES = {
    "__init__.py": """\
from cliffkit.hookspecs import hookimpl

@hookimpl
def cliffkit_register(registry):
    registry.add("fusion", "scaled", "fake_scaled.scaled:Scaled", "add the coarse features, scaled")
    registry.add("fusion", "halved", "fake_scaled.halved:Halved", "add half of the coarse features")
""",
    "scale.py": "SCALE = 0.5\n",
    "scaled.py": """\
from cliffkit.interfaces import Fusion
from cliffkit.layers import resize
from fake_scaled.scale import SCALE

class Scaled(Fusion):
    def __init__(self, channels, /):
        super().__init__()

    def forward(self, low, high):
        return low + SCALE * resize(high, low)
""",
    "halved.py": """\
from cliffkit.interfaces import Fusion
from cliffkit.layers import resize

class Halved(Fusion):
    def __init__(self, channels, /):
        super().__init__()

    def forward(self, low, high):
        return low + resize(high, low) / 2
""",
}


class OwnPlugin:
    """The plugin `scaled`, a package in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "fake_scaled"
        self.folder.mkdir()
        for name, text in FILES.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        self.restart()

    def edit(self, name: str, old: str, new: str) -> None:
        """Edit a file as a user does while processes run."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")

    def restart(self) -> Plugins:
        """Go on as a new process would: nothing of the plugin is imported, nothing was read."""
        forget()
        return self.plugins()

    def plugins(self) -> Plugins:
        """Find it among the installed plugins."""
        return load_plugins(entries=[*entry_points(group="cliffkit"), EntryPoint("scaled", "fake_scaled", "cliffkit")])


def forget() -> None:
    """Forget what this process has read and imported of the plugin."""
    for name in [name for name in sys.modules if name.split(".")[0] == "fake_scaled"]:
        del sys.modules[name]
    for function in (loaded.first_look, loaded.loaded_code, identity.own_packages):
        function.cache_clear()
    importlib.invalidate_caches()


@pytest.fixture
def own_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnPlugin]:
    """The plugin, to be edited."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second would look like the file before it
    yield OwnPlugin(folder)
    forget()
    shutil.rmtree(folder)
