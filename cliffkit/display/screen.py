"""Where progress is shown: a terminal, a notebook, or neither."""

from __future__ import annotations

from importlib.util import find_spec

from rich.console import Console


def screen() -> Console:
    """Open stderr; in a notebook, the output below the cell."""
    return Console(stderr=True, highlight=False)


def can_redraw(console: Console) -> bool:
    """Say whether bars and tables can be drawn again in place; in a notebook rich needs ipywidgets for that.

    Elsewhere progress is shown as lines.
    """
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
