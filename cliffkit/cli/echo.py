"""Output of commands. Names and reasons from elsewhere are shown, but cannot act on a screen."""

from __future__ import annotations

import click

from cliffkit.text import printable


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text as `click.echo` does, with control characters and marks of direction escaped."""
    click.echo(printable(text), err=err, nl=nl)
