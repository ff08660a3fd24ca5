"""Files and folders written whole or not at all. Errors of writing them are reported in one form."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from cliffkit.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a file system, or of a share of it, that has no room."""


@contextlib.contextmanager
def writing(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn an error of the file system within into a UserError with the path, the cause and the remedy.

    `needed` is the number of bytes about to be written, where it is known.
    """
    try:
        yield
    except OSError as error:
        cause, remedy = error.strerror or str(error), "see that its folder is there and may be written"
        if error.errno in FULL:
            cause, remedy = f"{cause}: {_room(path, needed)}", "make room"
        elif error.errno == errno.EFBIG:
            remedy = f"raise the limit of file sizes (ulimit -f){f' to {needed:,} bytes or more' if needed else ''}"
        raise UserError(f"{path}: cannot be written: {cause}; {remedy}, and run again") from error


def _room(path: Path, needed: int | None) -> str:
    """Say what is needed and what is free on the file system of a path."""
    existing = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    free = f"{shutil.disk_usage(existing).free:,} bytes free"
    with contextlib.suppress(AttributeError, OSError):  # Windows has no statvfs
        if os.statvfs(existing).f_favail == 0:
            free += ", and no room for another file (inodes)"
    return free if needed is None else f"{needed:,} bytes needed, {free}"


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there. Raises UserError where that fails."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def reserve(path: Path, size: int) -> None:
    """Give a file its size and its room on the disk. Raises OSError where there is no room.

    A memory map of a file without room would end the process at the first page that cannot be written.
    """
    with path.open("r+b" if path.exists() else "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except AttributeError:  # macOS and Windows
            file.truncate(size)


def write_atomic(path: Path, write: Callable[[Path], object], *, wait: bool = True, needed: int | None = None) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place. Raises UserError where that fails.

    Without `wait` the file need not be on the disk when this returns, and may be lost with the power. `needed` is the
    file's size in bytes, where it is known.
    """
    temporary = path.with_name(_temporary_name(path))
    try:
        with writing(path, needed):
            write(temporary)
            if wait:
                sync(temporary)
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _temporary_name(path: Path) -> str:
    """Name a temporary file of this process. The name is short, however long the final one is: both have one limit."""
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    return f".{digest}.{_machine()}.{os.getpid()}.tmp"


def _machine() -> str:
    """Tell this machine from others that write into the same folder."""
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes of this machine left in a folder; what cannot go stays."""
    for path in folder.glob(f".*.{_machine()}.*.tmp"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, wait: bool = True) -> None:
    """Write a text file as `write_atomic` does."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), wait=wait)


def write_json(path: Path, value: Any, *, wait: bool = True) -> None:
    """Write a JSON file as `write_atomic` does. NaN is refused: readers of JSON do not know it."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n", wait=wait)


def replace_folder(source: Path, target: Path) -> None:
    """Put a whole folder in the place of another, or of nothing. Raises UserError where that fails."""
    with writing(target):
        _replace_folder(source, target)


def _replace_folder(source: Path, target: Path) -> None:
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
    """Give a file a second name, or copy it where the file system has no hard links.

    What had the name before stays until the new file is there whole.
    """

    def make(temporary: Path) -> None:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)

    write_atomic(target, make, wait=False)


def join(sources: Sequence[Path], target: Path) -> None:
    """Write the content of several files, one after another, into another as `write_atomic` does."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            for source in sources:
                with source.open("rb") as part:
                    shutil.copyfileobj(part, file)

    write_atomic(target, write)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
