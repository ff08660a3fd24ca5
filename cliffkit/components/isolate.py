"""Whose fault it is when a part raises: what strangers' code raises becomes a message that names the part."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cliffkit.components.registry import Component
from cliffkit.errors import PartError, Stopped, UserError, cause


@contextmanager
def isolated(work: str, components: Iterable[Component]) -> Iterator[None]:
    """Run strangers' code within. Whatever it raises becomes a PartError, `sys.exit` too; UserErrors and stops pass.

    `work` begins the message; `components` are those that the code may be of.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, Stopped):
        raise
    except BaseException as error:
        raise PartError(f"{work}: {explain(error, components)}") from error


def explain(error: BaseException, components: Iterable[Component]) -> str:
    """Say what was raised, and by which part's code, with its line; where no part's code is found, what was raised."""
    frames = [
        (str(frame.f_globals.get("__name__", "")), f"{Path(frame.f_code.co_filename).name}:{line}")
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    candidates = [(component.reference.partition(":")[0], component) for component in components]
    for name, place in reversed(frames):
        package = name.partition(".")[0]
        suspects = [(module, part) for module, part in candidates if module.partition(".")[0] == package]
        if suspects:
            part = next((part for module, part in suspects if module == name), suspects[0][1])
            return f"{cause(error)}, in {part} ({place}); mend or uninstall the plugin"
    return cause(error)
