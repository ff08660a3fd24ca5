"""log.jsonl: what happened at every step, for people with a plotting script."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliffkit.store.artifacts import damaged
from cliffkit.store.checksums import BLOCK, FileSum
from cliffkit.store.files import writing


class StepLog:
    """log.jsonl: one line per step and validation. A fit writes it and reads it once, where it goes on."""

    def __init__(self, path: Path, active: bool) -> None:
        self.path, self.active = path, active
        self._bytes, self._hash = 0, hashlib.sha256()

    def keep(self, size: int) -> None:
        """Drop all but the first `size` bytes, those up to the checkpoint from which a fit goes on."""
        if not self.active:
            return
        with writing(self.path), self.path.open("a+b") as file:
            file.truncate(size)
            file.seek(0)
            self._bytes, self._hash = size, hashlib.file_digest(file, "sha256")

    def write(self, *records: Mapping[str, Any]) -> None:
        """Add lines; what is not finite is written as null, since JSON has no NaN."""
        if self.active:
            content = "".join(json.dumps(_finite(record)) + "\n" for record in records).encode()
            with writing(self.path), self.path.open("ab") as file:
                file.write(content)
            self._bytes += len(content)
            self._hash.update(content)

    def sum(self) -> FileSum:
        """Give the checksum of what was kept and written. It costs the same however long the log is."""
        return FileSum(self._bytes, self._hash.hexdigest())


def validation_lines(path: Path) -> list[bytes]:
    """Read the lines of a log that are of a validation, few of thousands; the others are not held in memory.

    Raises UserError where the log is missing.
    """
    lines, rest = [], b""
    try:
        with path.open("rb") as file:
            # Blocks are searched, since to make a million lines of a log takes twice as long.
            while block := file.read(BLOCK):
                whole, newline, rest = (rest + block).rpartition(b"\n")
                whole += newline
                at = whole.find(b'"val"')
                while at >= 0:
                    end = whole.index(b"\n", at) + 1
                    lines.append(whole[whole.rfind(b"\n", 0, at) + 1 : end])
                    at = whole.find(b'"val"', end)
    except OSError as error:
        raise damaged(path, f"cannot be read: {error.strerror}") from error
    return lines


def validation_curve(path: Path, score: str) -> list[tuple[int, float]]:
    """Read a validation score by step from a log, NaN where it was not finite.

    Raises UserError where the log is missing or damaged.
    """
    try:
        records = [json.loads(line) for line in validation_lines(path)]
        curve = [(int(record["step"]), record["val"][score]) for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"is no log of a fit: {type(error).__name__}: {error}") from error
    return [(step, math.nan if value is None else float(value)) for step, value in curve]


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
