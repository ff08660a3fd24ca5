"""Checksums of files: whoever reads a file later can tell whether it is the file that was written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS"
"""The file of checksums in a run's folder, as `sha256sum --check` reads it."""

BLOCK = 1 << 20
"""Bytes that are read at once."""

MOST_KNOWN = 1 << 16
"""Number of checksums that a process keeps, some 20 MB."""


@dataclass(frozen=True)
class FileSum:
    """Size and checksum of a file."""

    bytes: int
    sha256: str


def checksum(path: Path) -> FileSum:
    """Compute the checksum of a file; once per process, unless the file changes. Raises OSError."""
    return checksum_of(path, path.stat())


def checksum_of(path: Path, stat: os.stat_result) -> FileSum:
    """Compute the checksum of a file as `checksum` does, where its `stat` is known."""
    # Whatever writes into a file changes one of these numbers. A file that moves with its folder keeps them.
    identity = path.name, stat.st_dev, stat.st_ino, stat.st_size, stat.st_ctime_ns
    if identity not in _known:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[identity] = _sha256(path)
    return FileSum(stat.st_size, _known[identity])


def checksums(folder: Path) -> dict[str, FileSum]:
    """Compute the checksums of all files below a folder, by their paths from there. Raises OSError."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): checksum(path) for path in files}


def find_damage(folder: Path, sums: Mapping[str, FileSum], hashed: Iterable[str]) -> str | None:
    """Say which file of a folder is not as it was written, and how it differs; None where all are.

    All files are compared by size, which takes one call of the file system each; those of the names in `hashed` by
    checksum too.
    """
    stats = {}
    for name, written in sums.items():
        try:
            stats[name] = (folder / name).stat()
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if stats[name].st_size != written.bytes:
            return f"{name} has {stats[name].st_size:,} bytes, and {written.bytes:,} were written"
    for name in hashed:
        written = sums[name]
        try:
            found = checksum_of(folder / name, stats[name])
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if found != written:
            return f"{name} has other bytes than were written (sha256 {found.sha256[:12]}, not {written.sha256[:12]})"
    return None


def beginning(path: Path, size: int) -> FileSum | None:
    """Compute the checksum of the first bytes of a file; None where it is shorter or cannot be read."""
    digest, left = hashlib.sha256(), size
    try:
        with path.open("rb") as file:
            while left and (content := file.read(min(left, BLOCK))):
                digest.update(content)
                left -= len(content)
    except OSError:
        return None
    return FileSum(size, digest.hexdigest()) if left == 0 else None


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


_known: dict[tuple[str, int, int, int, int], str] = {}
"""The checksums of files that were read, by what tells a file from others."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
