"""Every hook a plugin can implement. Imports no torch, so that listing components stays fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    import click

    from cliffkit.events import Event

hookspec = pluggy.HookspecMarker("cliffkit")
hookimpl = pluggy.HookimplMarker("cliffkit")


class Registry(Protocol):
    """The table of components, as `cliffkit_register` sees it."""

    def add(self, kind: str, name: str, reference: str, summary: str = "") -> None:
        """Register a component under its kind and name; the module of `reference` is imported when it is used.

        Raises UserError for an unknown kind or a malformed reference.
        """


@hookspec
def cliffkit_register(registry: Registry) -> None:
    """Name the components that this plugin gives: `registry.add(kind, name, "module:Class", summary)`."""


@hookspec
def cliffkit_commands(cli: click.Group) -> None:
    """Add commands to the `cliffkit` command line: `@cli.command()` inside."""


@hookspec
def cliffkit_event(event: Event) -> None:
    """Hear what happens while jobs run: see `cliffkit.events` for every kind of event."""
