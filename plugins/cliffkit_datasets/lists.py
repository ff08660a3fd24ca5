"""List files, as repositories share them: a sample on each line, its files one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from cliffkit.errors import UserError

FOLDERS = ("", "train_test_inputs", "splits", "data_splits")
"""Folders, below that of the data, in which list files are looked for."""

NO_TRUTH = "None"
"""What lists write in place of a depth map that does not exist."""


class Line(NamedTuple):
    """One line of a list."""

    place: str
    """File and line, for messages."""
    words: tuple[str, ...]
    """Its columns."""


def find_list(dataset: str, root: Path, option: str, named: str, known: Sequence[str]) -> Path:
    """Find a list: the file that the option names, else the first of the known names, in FOLDERS below `root`.

    Raises UserError where there is none.
    """
    for name in [named] if named else known:
        for folder in FOLDERS:
            if (root / folder / name).is_file():
                return root / folder / name
    wanted = named or ", ".join(known[:-1]) + f" or {known[-1]}"
    raise UserError(
        f"{root}: there is no list of samples {wanted}, neither in it nor in {', '.join(filter(None, FOLDERS))} below "
        f"it; copy the list there, or name it by the option {option} of {dataset}"
    )


def read_list(path: Path, least: int) -> list[Line]:
    """Read a list of lines of at least `least` columns, which blanks separate; empty lines are passed over.

    Raises UserError where the file is none, or empty, and for a line that is too short.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error}); copy the list again") from error
    lines = [
        Line(f"{path}:{number}:", tuple(line.split()))
        for number, line in enumerate(text.splitlines(), 1)
        if line.split()
    ]
    if not lines:
        raise UserError(f"{path}: is empty; copy the list again")
    for line in lines:
        if len(line.words) < least:
            raise UserError(
                f"{line.place} has {len(line.words)} columns, fewer than {least}; the list is of another layout, or "
                "damaged"
            )
    return lines


def below(line: Line, path: str) -> str:
    """Give a listed path below the folder of the data, without a leading /, with which joining would drop that folder.

    Raises UserError for a path that leaves the folder.
    """
    plain = path.replace("\\", "/").lstrip("/")
    if not plain or ".." in plain.split("/") or PureWindowsPath(path).drive:
        raise UserError(f"{line.place} {path} leaves the folder of the data; write paths below it")
    return plain


def rooted(lines: Sequence[Line]) -> int:
    """Count lines whose first path begins with /."""
    return sum(line.words[0].startswith("/") for line in lines)
