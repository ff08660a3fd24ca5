"""Damage for finished jobs, and a record that takes a changed job for a sound one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from cliffkit.store.artifacts import JobRecord
from cliffkit.store.checksums import checksums


def own(path: Path) -> None:
    """Cut a file's hard links, so that its damage is its own."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file and keep its time: what a failing disk does."""
    times = path.stat()
    own(path)
    with path.open("r+b") as file:
        file.seek(times.st_size // 2)
        byte = file.read(1)[0]
        file.seek(times.st_size // 2)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def truncate(path: Path) -> None:
    """Cut off the last third of a file."""
    own(path)
    os.truncate(path, path.stat().st_size * 2 // 3)


def empty(path: Path) -> None:
    """Leave nothing of a file but its name."""
    own(path)
    os.truncate(path, 0)


DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "a bit flipped": flip, "cut off": truncate, "empty": empty, "removed": Path.unlink,
}  # fmt: skip


def reseal(folder: Path) -> None:
    """Write the record of a job anew, so that its files count as those that it left."""
    record = JobRecord.read(folder)
    (folder / JobRecord.FILE).unlink()
    replace(record, files=checksums(folder)).write(folder)
