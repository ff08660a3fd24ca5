"""The code that this process computes parts with.

Python imports a module once, even if its file changes later. So a module's source is read once too, if possible before
the import. A part thus keeps its identity as long as the process lives.
"""

from __future__ import annotations

import functools

from cliffkit.components.identity import Identity, identify, own_packages
from cliffkit.components.source import Source, read_source
from cliffkit.errors import UserError


@functools.cache
def first_look(module: str) -> Source | None:
    """Read a module's source as it was when this process first asked for it."""
    return read_source(module)


@functools.cache
def loaded_code(reference: str, distribution: str) -> Identity:
    """Identify the code with which this process imports `module:Class`, or has imported it. Raises UserError."""
    return identify(reference, own_packages(reference.partition(":")[0], distribution), first_look)


def check_current(reference: str, distribution: str) -> None:
    """Compare the code that this process has imported with the files; comments do not count.

    Raises UserError where they differ: late imports and other processes would use the new code.
    """
    loaded = loaded_code(reference, distribution)
    edited = loaded.changed()
    if edited and identify(reference, own_packages(reference.partition(":")[0], distribution)).code != loaded.code:
        raise UserError(
            f"{', '.join(edited)} was edited after this process had read it; put it back, or start again as it is "
            "(in a notebook: restart the kernel): then whatever uses the part is done anew"
        )
