"""The one table of components: kind and name to an object reference, imported only when used."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from cliffkit.components.identity import Identity
from cliffkit.components.imports import without_collector
from cliffkit.components.loaded import check_current, loaded_code
from cliffkit.components.near import near
from cliffkit.errors import PartError, Stopped, UserError, cause

KINDS = (
    "backbone",
    "pyramid",
    "fusion",
    "head",
    "network",
    "embedding",
    "loss",
    "augment",
    "optimizer",
    "schedule",
    "dataset",
    "protocol",
    "metric",
    "executor",
    "tracker",
)

NONE = "none"
"""What a recipe writes under `use` where it has no embedding generator: the engine's own word, no component's name."""


class NameClashError(UserError):
    """Two plugins give the same name. No choice between them would be right, so the command stops."""


@dataclass(frozen=True)
class Component:
    """A registered component: what a recipe names with `use`."""

    kind: str
    name: str
    reference: str
    """`package.module:Class`, imported by `load`."""
    summary: str
    """One line for `cliffkit list`."""
    plugin: str
    """The entry point that gave it."""
    version: str
    """Version of the distribution."""
    distribution: str = ""
    """Name of the installed distribution; empty where it is not known."""

    def load(self) -> Callable[..., Any]:
        """Import the factory. Raises UserError naming the plugin where that fails."""
        module_name, _, attribute = self.reference.partition(":")
        with contextlib.suppress(UserError):  # `identity` raises it again; the import may say it better
            loaded_code(self.reference, self.distribution)
        try:
            with without_collector():
                module = importlib.import_module(module_name)
                if not hasattr(module, attribute):
                    raise AttributeError(f"the module has no '{attribute}'; {_of(module)}")
                factory: Callable[..., Any] = getattr(module, attribute)
        except (KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:  # whatever a stranger's module raises
            raise PartError(
                f"{self} cannot be imported from {self.reference}: {cause(error)}; mend or uninstall the plugin"
            ) from error
        return factory

    def identity(self) -> Identity:
        """Identify the code that this process computes the part with. Raises UserError where a module is not found."""
        with self._named():
            return loaded_code(self.reference, self.distribution)

    def check_current(self) -> None:
        """Raise UserError where a file of the part was changed since this process read it."""
        with self._named():
            check_current(self.reference, self.distribution)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            raise UserError(f"{self}: {error}") from error

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' of plugin '{self.plugin}'"


def _of(module: ModuleType) -> str:
    """Say which classes and functions a module defines for others."""
    names = [
        name
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    return f"{Path(module.__file__ or module.__name__).name} has: {', '.join(names) or 'none that is public'}"


class Registry:
    """Components by kind and name. A name given twice is an error that names both givers."""

    def __init__(self) -> None:
        self._components: dict[tuple[str, str], Component] = {}
        self._plugin = ("", "", "")
        self.failures: dict[str, str] = {}
        """Plugins that could not be loaded, with the reason; named when a component is missing."""

    def from_plugin(self, plugin: str, version: str, distribution: str = "") -> None:
        """Name the plugin that adds the components from here on."""
        self._plugin = (plugin, version, distribution)

    def add(self, kind: str, name: str, reference: str, summary: str = "") -> None:
        """Register a component. Raises UserError for an unknown kind or a malformed reference, NameClashError."""
        plugin, version, distribution = self._plugin
        for word, value in {"kind": kind, "name": name, "reference": reference, "summary": summary}.items():
            if not isinstance(value, str) or not value.isprintable():
                raise UserError(f"plugin '{plugin}': {word} {value!r} is no text of one line; write it as one")
        if not name or name != "".join(name.split()):
            raise UserError(f"plugin '{plugin}': no {kind} can be called '{name}'; a name is a word without spaces")
        if kind not in KINDS:
            raise UserError(f"plugin '{plugin}' registers unknown kind '{kind}'; the kinds are {', '.join(KINDS)}")
        if name == NONE:
            raise UserError(f"plugin '{plugin}': no {kind} can be called '{NONE}', recipes mean none by it; rename it")
        module_name, _, attribute = reference.partition(":")
        if not module_name or not attribute:
            raise UserError(f"plugin '{plugin}': '{reference}' is no object reference; write 'package.module:Class'")
        rival = self._components.get((kind, name))
        if rival is not None:
            raise NameClashError(
                f"{kind} '{name}' is given by two plugins, '{rival.plugin}' ({rival.reference}) and '{plugin}' "
                f"({reference}); rename one, or switch one off with CLIFFKIT_DISABLE_PLUGINS"
            )
        self._components[kind, name] = Component(kind, name, reference, summary, plugin, version, distribution)

    def remove_plugin(self, plugin: str) -> None:
        """Forget everything a plugin added."""
        self._components = {key: c for key, c in self._components.items() if c.plugin != plugin}

    def __iter__(self) -> Iterator[Component]:
        order = {kind: i for i, kind in enumerate(KINDS)}
        return iter(sorted(self._components.values(), key=lambda c: (order[c.kind], c.name)))

    def names(self, kind: str) -> list[str]:
        """Every name registered for a kind, sorted."""
        return [component.name for component in self if component.kind == kind]

    def choices(self, kind: str) -> list[str]:
        """Every word that a recipe can write under `use` for a kind, sorted."""
        return sorted([*self.names(kind), *([NONE] if kind == "embedding" else [])])

    def get(self, kind: str, name: str) -> Component:
        """Look a component up. Raises UserError with near misses and with plugins that failed to load."""
        component = self._components.get((kind, name))
        if component is None:
            raise UserError(self.missing(kind, name))
        return component

    def missing(self, kind: str, name: str) -> str:
        """Give the sentence that says why a component is not there."""
        broken = "".join(f"; plugin '{plugin}' failed to load: {why}" for plugin, why in self.failures.items())
        return f"no {kind} is called '{name}'; {near(name, self.choices(kind), 'there are')}{broken}"
