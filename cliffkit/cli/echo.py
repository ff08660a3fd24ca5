"""What commands print: names and reasons from elsewhere are shown, and do nothing to a screen."""

from __future__ import annotations

import click

from cliffkit.text import printable


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text as `click.echo` does, with control characters and marks of direction escaped."""
    click.echo(printable(text), err=err, nl=nl)
