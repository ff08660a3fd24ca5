"""Files and folders written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomic(path: Path, write: Callable[[Path], object], *, wait: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place.

    Without `wait` the file need not be on the disk when this returns, and may be lost with the power.
    """
    temporary = path.with_name(_temporary_name(path))
    try:
        write(temporary)
        if wait:
            sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_name(path: Path) -> str:
    """Name a temporary file of this process. The name is short, however long the final one is: both have one limit."""
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    return f".{digest}.{os.getpid()}.tmp"


def write_text(path: Path, text: str, *, wait: bool = True) -> None:
    """Write a text file as `write_atomic` does."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), wait=wait)


def write_json(path: Path, value: Any, *, wait: bool = True) -> None:
    """Write a JSON file as `write_atomic` does. NaN is refused: readers of JSON do not know it."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n", wait=wait)


def replace_folder(source: Path, target: Path) -> None:
    """Put a whole folder in the place of another, or of nothing."""
    for path in source.rglob("*"):
        sync(path)
    if target.exists():
        old = target.with_name(f".{target.name}.{os.getpid()}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
        os.rename(source, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(source, target)
    sync(target.parent)


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
