"""Checksums of files: whoever reads a file later can tell whether it is the file that was written."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS"
"""The file of checksums in a run's folder, as `sha256sum --check` reads it."""


@dataclass(frozen=True)
class FileSum:
    """Size and checksum of a file."""

    bytes: int
    sha256: str


def checksum(path: Path) -> FileSum:
    """Compute the checksum of a file; once per process, unless the file changes. Raises OSError."""
    stat = path.stat()
    return FileSum(stat.st_size, _sha256(str(path), stat.st_dev, stat.st_ino, stat.st_size, stat.st_ctime_ns))


def checksums(folder: Path) -> dict[str, FileSum]:
    """Compute the checksums of all files below a folder, by their paths from there. Raises OSError."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): checksum(path) for path in files}


def find_damage(folder: Path, sums: Mapping[str, FileSum], hashed: Iterable[str]) -> str | None:
    """Say which file of a folder is not as it was written, and how it differs; None where all are.

    All files are compared by size, which costs nothing; those of the names in `hashed` by checksum too.
    """
    for name, written in sums.items():
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if size != written.bytes:
            return f"{name} has {size:,} bytes, and {written.bytes:,} were written"
    for name in hashed:
        written = sums[name]
        try:
            found = checksum(folder / name)
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if found != written:
            return f"{name} has other bytes than were written (sha256 {found.sha256[:12]}, not {written.sha256[:12]})"
    return None


def beginning(path: Path, size: int) -> FileSum | None:
    """Compute the checksum of the first bytes of a file; None where it is shorter or cannot be read."""
    try:
        content = path.read_bytes()[:size]
    except OSError:
        return None
    return FileSum(size, hashlib.sha256(content).hexdigest()) if len(content) == size else None


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Add a checksum of their own to the facts of a JSON file."""
    return {**facts, _SEAL: _seal(facts)}


def unsealed(content: Any) -> dict[str, Any] | None:
    """Give the facts that `sealed` wrote, without their checksum; None for content that is not as it was written."""
    if not isinstance(content, dict):
        return None
    facts = {name: value for name, value in content.items() if name != _SEAL}
    return facts if content.get(_SEAL) == _seal(facts) else None


_SEAL = "sha256"


def _seal(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def format_sums(sums: Mapping[str, FileSum]) -> str:
    """Write checksums as `sha256sum` does."""
    return "".join(f"{written.sha256}  {name}\n" for name, written in sums.items())


def find_changed(folder: Path, names: Iterable[str]) -> str | None:
    """Say which of some files of a run's folder differs from SHA256SUMS; None where none does.

    A file is changed too if it is there and not listed, or listed and not there. A file that is neither is passed over.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"{SUMS} cannot be read: {error.strerror}"
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in names:
        if name not in listed:
            if (folder / name).exists():
                return f"{name} is not listed in {SUMS}"
            continue
        try:
            digest = checksum(folder / name).sha256
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if digest != listed[name]:
            return f"{name} is not the file that was written: {SUMS} lists another checksum"
    return None


@functools.lru_cache(maxsize=4096)
def _sha256(path: str, device: int, inode: int, size: int, changed: int) -> str:
    """Hash a file. The arguments after the path change with the file, so that the cache forgets a changed file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
