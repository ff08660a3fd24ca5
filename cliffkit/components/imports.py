"""Imports of large libraries, faster."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """Work within without Python's collector of garbage, above all import.

    torch and timm make a million objects while they are imported, none of them garbage. The collector looks at all of
    them again and again: a quarter of the time until a command begins.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
