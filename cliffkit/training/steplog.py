"""log.jsonl: what happened at every step, for people with a plotting script."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliffkit.store.artifacts import damaged, read_bytes
from cliffkit.store.files import writing


class StepLog:
    """log.jsonl: one line per step and validation; a resumed fit forgets lines after its checkpoint."""

    def __init__(self, path: Path, active: bool) -> None:
        self.path, self.active = path, active

    def keep_until(self, step: int) -> None:
        """Drop every line after a step, and all from the first that cannot be read: it came after the checkpoint."""
        if not self.active:
            return
        lines = self.path.read_bytes().splitlines(keepends=True) if step and self.path.exists() else []
        remaining = itertools.takewhile(_is_line, lines)
        content = b"".join(line for line in remaining if json.loads(line)["step"] <= step)
        with writing(self.path):
            self.path.write_bytes(content)

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a line; what is not finite is written as null, since JSON has no NaN."""
        if self.active:
            with writing(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_finite(record)) + "\n")


def validation_curve(path: Path, score: str) -> list[tuple[int, float]]:
    """Read a validation score by step from a log, NaN where it was not finite.

    Raises UserError where the log is missing or damaged.
    """
    lines = read_bytes(path).decode("utf-8", errors="replace").splitlines()
    try:
        records = [json.loads(line) for line in lines if '"val"' in line]  # few of thousands
        curve = [(int(record["step"]), record["val"][score]) for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"is no log of a fit: {type(error).__name__}: {error}") from error
    return [(step, math.nan if value is None else float(value)) for step, value in curve]


def _is_line(line: bytes) -> bool:
    """Tell whether a line of a log is whole."""
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line)["step"], int)
    except (ValueError, KeyError, TypeError):
        return False


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
