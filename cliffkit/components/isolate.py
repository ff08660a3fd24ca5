"""Exceptions of parts: an exception in a stranger's code becomes a message that names the part."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cliffkit.components.registry import Component
from cliffkit.errors import PartError, Stopped, UserError, cause


@contextmanager
def isolated(work: str, components: Iterable[Component]) -> Iterator[None]:
    """Run strangers' code within. Whatever it raises becomes a PartError, `sys.exit` too; UserErrors and stops pass.

    `work` begins the message. `components` are the components whose code may run.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, Stopped):
        raise
    except BaseException as error:
        raise PartError(f"{work}: {explain(error, components)}") from error


def explain(error: BaseException, components: Iterable[Component]) -> str:
    """Name the exception, and the part whose code raised it with the line; without such a part, the exception alone."""
    components = list(components)
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        part = _part(frame, components)
        if part:
            place = f"{Path(frame.f_code.co_filename).name}:{line}"
            return f"{cause(error)}, in {part} ({place}); mend or uninstall the plugin"
    return cause(error)


def _part(frame: FrameType, components: Iterable[Component]) -> str:
    """Name the component whose code a frame runs, or the plugin where its package has several; empty for other code."""
    name = str(frame.f_globals.get("__name__", ""))
    package = [part for part in components if re.split("[.:]", part.reference)[0] == name.partition(".")[0]]
    module = [part for part in package if part.reference.partition(":")[0] == name]
    outer = frame.f_code.co_qualname.partition(".")[0]
    for suspects in ([part for part in module if part.reference.partition(":")[2] == outer], module, package):
        if len(suspects) == 1:
            return str(suspects[0])
    return f"plugin '{package[0].plugin}'" if package else ""
