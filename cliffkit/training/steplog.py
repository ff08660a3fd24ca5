"""log.jsonl: what happened at every step, for people with a plotting script."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliffkit.store.artifacts import damaged, read_bytes


class StepLog:
    """log.jsonl: one line per step and validation; a resumed fit forgets lines after its checkpoint."""

    def __init__(self, path: Path, active: bool) -> None:
        self.path, self.active = path, active

    def keep_until(self, step: int) -> None:
        """Drop every line after a step, and a last line that was cut off."""
        if not self.active:
            return
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) if self.path.exists() else []
        remaining = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        self.path.write_text("".join(remaining), encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a line; what is not finite is written as null, since JSON has no NaN."""
        if self.active:
            with self.path.open("a", encoding="utf-8") as file:
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


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
