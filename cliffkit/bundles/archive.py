"""One zip file with checksums: the same bytes for the same content, and safe to unpack whoever wrote it."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from cliffkit.errors import UserError
from cliffkit.store.checksums import SUMS
from cliffkit.store.files import write_atomic
from cliffkit.text import cut

Members = Mapping[str, bytes | Path]
"""Contents by their names in the archive, as bytes or as files."""

LARGEST, MOST_MEMBERS = 64 * 1024**3, 1_000_000
"""Bytes of all members together, and number of members, above which an archive is not unpacked."""

MOST_RATIO = 1100
"""Ratio of unpacked to packed bytes that no honest archive has: deflate gives 1032 at most."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip file can say: times would make every archive another."""

_STORED = (".safetensors", ".npz", ".png")
"""Endings of files that are compressed already, or cannot be."""


def write_archive(path: Path, members: Members) -> None:
    """Write members and their checksums into a zip file, atomically. Raises UserError where that fails."""
    contents = dict(sorted(members.items()))
    sums = "".join(f"{_digest(content)}  {name}\n" for name, content in contents.items())

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, content in {SUMS: sums.encode(), **contents}.items():
                _add(archive, name, content)

    write_atomic(path, write)


def unpack(path: Path, folder: Path) -> None:
    """Write the members of an archive below a folder. Raises UserError for a file that is no sound, safe archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not _is_folder(entry)]  # as other programs pack them
            _check(path, entries)
            for entry in entries:
                target = folder / entry.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: is no bundle, or is damaged: {error}; get the file again") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be unpacked: {error.strerror or error}; see that it is a bundle") from error


def find_changed(folder: Path) -> list[str]:
    """Say of each member of an unpacked archive that is not as `write_archive` wrote it how it differs."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return [f"{SUMS}: is missing or no text, so no file can be compared with its checksum"]
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SUMS}
    faults = [f"{name}: is listed in {SUMS} and is not there" for name in sorted(listed.keys() - there)]
    faults += [f"{name}: is there and not listed in {SUMS}" for name in sorted(there - listed.keys())]
    for name in sorted(there & listed.keys()):
        if (digest := _digest(folder / name)) != listed[name]:
            faults.append(f"{name}: has other bytes than were written (sha256 {digest[:12]}, not {listed[name][:12]})")
    return faults


def _add(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16  # as under Unix, wherever it is written
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
    if isinstance(content, bytes):
        archive.writestr(entry, content, compresslevel=9)
        return
    entry.file_size = content.stat().st_size
    with content.open("rb") as source, archive.open(entry, "w") as file:
        shutil.copyfileobj(source, file)


def _digest(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise UserError for an archive that would write outside of its folder, over itself, or without end."""
    if len(entries) > MOST_MEMBERS or sum(entry.file_size for entry in entries) > LARGEST:
        raise UserError(f"{path}: would unpack to more than a bundle can be; it is not unpacked")
    tests: tuple[tuple[str, Callable[[zipfile.ZipInfo], bool]], ...] = (
        ("leads out of the folder, or has a name that no bundle has", lambda entry: not is_plain(entry.filename)),
        ("is no plain file", lambda entry: not _is_file(entry)),
        ("unpacks to far more than it holds", lambda entry: entry.file_size > MOST_RATIO * (entry.compress_size + 1)),
    )
    seen: set[str] = set()
    for entry in entries:
        for words, is_wrong in tests:
            if is_wrong(entry):
                raise UserError(f"{path}: member {cut(ascii(entry.filename))} {words}; the file is not unpacked")
        if entry.filename.lower() in seen:
            raise UserError(f"{path}: two members are called {cut(ascii(entry.filename))}; the file is not unpacked")
        seen.add(entry.filename.lower())


def is_plain(name: str) -> bool:
    """Tell whether a name is a relative path of plain words, downwards only, on any system."""
    parts = PurePosixPath(name).parts
    return (
        bool(parts)
        and "/".join(parts) == name
        and all(re.fullmatch(r"[\w+=,@-][\w.+=,@ -]*", part) for part in parts)
        and not any(part.endswith((" ", ".")) for part in parts)
    )


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    """Tell whether a member is a folder of plain name, which holds nothing by itself."""
    return entry.is_dir() and not entry.file_size and is_plain(entry.filename.rstrip("/"))


def _is_file(entry: zipfile.ZipInfo) -> bool:
    """Tell whether a member is a plain file: no folder, no link, nothing encrypted."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return not entry.is_dir() and kind in (0, stat.S_IFREG) and not entry.flag_bits & 1
