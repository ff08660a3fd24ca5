"""Every hook a plugin can implement. Imports no torch, so that listing components stays fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

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


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set on a server."""

    name: str
    """Its name in the data set's folder."""
    url: str
    size: int | None = None
    """Bytes; None where they are not known from a source that can be relied on."""
    sha256: str | None = None
    """Checksum; None where it is not known from a source that can be relied on."""


@dataclass(frozen=True)
class Download:
    """A data set that `cliffkit data get` downloads."""

    dataset: str
    """Name of the component that reads it."""
    title: str
    page: str
    """Where its authors offer it."""
    terms: str
    """What its authors ask of users, in a sentence or two."""
    files: Sequence[RemoteFile]


@hookspec
def cliffkit_register(registry: Registry) -> None:
    """Name the components that this plugin gives: `registry.add(kind, name, "module:Class", summary)`."""


@hookspec
def cliffkit_downloads(downloads: list[Download]) -> None:
    """Name the data sets that can be downloaded: `downloads.append(Download(...))`."""


@hookspec
def cliffkit_commands(cli: click.Group) -> None:
    """Add commands to the `cliffkit` command line: `@cli.command()` inside."""


@hookspec
def cliffkit_event(event: Event) -> None:
    """Hear what happens while jobs run: see `cliffkit.events` for every kind of event."""
