"""Find plugins by their entry points and load each on its own, so that a broken one harms nobody else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from cliffkit import hookspecs
from cliffkit.components.loaded import first_look
from cliffkit.components.near import near
from cliffkit.components.registry import NameClashError, Registry
from cliffkit.errors import Stopped, UserError, cause

GROUP = "cliffkit"

DISABLE_VARIABLE = "CLIFFKIT_DISABLE_PLUGINS"


@dataclass(frozen=True)
class PluginStatus:
    """One installed plugin and what became of it."""

    name: str
    distribution: str
    version: str
    reference: str
    status: str
    """`loaded`, `disabled` or `failed`."""
    reason: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Plugins:
    """Every plugin found, the components they gave, and the hooks they implement."""

    registry: Registry
    manager: pluggy.PluginManager
    statuses: list[PluginStatus] = field(default_factory=list)

    def call(self, hook: str, **arguments: Any) -> dict[str, str]:
        """Call a hook of every plugin, each on its own; returns what went wrong by plugin."""
        failed = {}
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                _call(implementation, arguments)
            except (KeyboardInterrupt, Stopped):
                raise
            except BaseException as error:  # whatever a stranger's hook raises, sys.exit too
                failed[implementation.plugin_name] = f"{hook}: {cause(error)}"
        return failed


def load_plugins(*, strict: bool = False, entries: Iterable[EntryPoint] | None = None) -> Plugins:
    """Load every plugin of the entry-point group `cliffkit`, or of `entries`.

    A plugin that raises is reported in `statuses` and in `registry.failures`; with `strict` it raises UserError. Names
    in the variable CLIFFKIT_DISABLE_PLUGINS (separated by commas) are not imported at all. Two entry points of one
    name, and two components of one name, raise NameClashError whatever `strict` says.
    """
    disabled = {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()}
    manager = pluggy.PluginManager("cliffkit")
    manager.add_hookspecs(hookspecs)
    registry = Registry()
    plugins = Plugins(registry, manager)
    points = sorted(entry_points(group=GROUP) if entries is None else entries, key=lambda point: point.name)
    by_name: dict[str, EntryPoint] = {}
    for point in points:
        first = by_name.setdefault(point.name, point)
        if first is not point:
            if (first.value, _origin(first)) == (point.value, _origin(point)):
                continue  # one installation seen twice on sys.path
            raise NameClashError(
                f"two plugins are called '{point.name}': {first.value} of {_origin(first)[0]} and {point.value} of "
                f"{_origin(point)[0]}; uninstall one"
            )
        distribution, version = _origin(point)

        def status(outcome: str, why: str = "", point: EntryPoint = point) -> PluginStatus:
            return PluginStatus(point.name, *_origin(point), point.value, outcome, why)

        if point.name in disabled:
            plugins.statuses.append(status("disabled"))
            continue
        registry.from_plugin(point.name, version, distribution)
        try:
            _load(point, manager, registry)
        except (NameClashError, KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:  # whatever a stranger's module raises; a script's ends with sys.exit
            reason = cause(error)
            if strict:
                raise UserError(f"plugin '{point.name}' ({point.value}) failed to load: {reason}") from error
            registry.remove_plugin(point.name)
            registry.failures[point.name] = reason
            plugins.statuses.append(status("failed", reason))
        else:
            plugins.statuses.append(status("loaded"))
    return plugins


def _load(point: EntryPoint, manager: pluggy.PluginManager, registry: Registry) -> None:
    with contextlib.suppress(UserError):  # the import below gives the better message
        first_look(point.module)
    module = point.load()
    try:
        manager.register(module, name=point.name)
        hooks = [name for name in vars(hookspecs) if name.startswith("cliffkit_")]
        for name in vars(module):
            marked = manager.parse_hookimpl_opts(module, name)
            if marked and not marked.get("optionalhook") and (marked.get("specname") or name) not in hooks:
                raise ValueError(f"unknown hook '{name}'; {near(name, hooks, 'there are')}")
        manager.check_pending()
        for hook in vars(hookspecs):
            if hook.startswith("cliffkit_") and hasattr(module, hook) and not manager.parse_hookimpl_opts(module, hook):
                raise ValueError(f"{hook} is not marked as a hook and would never be called; write @hookimpl above it")
        for implementation in manager.hook.cliffkit_register.get_hookimpls():
            if implementation.plugin_name == point.name:
                _call(implementation, {"registry": registry})
    except BaseException:
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)
        raise


def _call(implementation: pluggy.HookImpl, arguments: Mapping[str, Any]) -> None:
    implementation.function(*(arguments[name] for name in implementation.argnames))


def _origin(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("unknown", "0")
