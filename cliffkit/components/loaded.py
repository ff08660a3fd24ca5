"""The code that this process computes parts with.

Python imports a module once, even if its file changes later. So a module's source is read once too, if possible before
the import. A part thus keeps its identity as long as the process lives.
"""

from __future__ import annotations

import functools
import importlib.util
import struct
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import psutil

from cliffkit.components.identity import Identity, identify, own_packages
from cliffkit.components.source import Source, read_source
from cliffkit.errors import UserError


@functools.cache
def first_look(module: str) -> Source | None:
    """Read a module's source as it was when this process first asked for it.

    Raises UserError where the module was imported before, and its file has changed since.
    """
    source = read_source(module)
    if source is not None and source.path is not None and module in sys.modules and _is_newer(source.path, module):
        raise UserError(
            f"{source.path} was edited after this process had imported it, so what it computes is not what the file "
            "says; start again (in a notebook: restart the kernel)"
        )
    return source


def _is_newer(path: Path, module: str) -> bool:
    """Tell whether a module's file was changed in this process's time, and is not the one that Python compiled.

    Python notes time and size of the source in the compiled file. Where there is none, nothing is known.
    """
    spec = getattr(sys.modules[module], "__spec__", None)
    if spec is None or not isinstance(spec.loader, SourceFileLoader) or sys.dont_write_bytecode:
        return False
    try:
        with open(spec.cached or "", "rb") as file:
            magic, flags, seconds, size = struct.unpack("<4sIII", file.read(16))
        stat = path.stat()
    except (OSError, struct.error):
        return False
    if magic != importlib.util.MAGIC_NUMBER or flags:  # of another Python, or compared by a hash
        return False
    is_other = (int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF) != (seconds, size)
    return is_other and stat.st_mtime > psutil.Process().create_time()


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
