"""What tests of trackers read back: the curves of TensorBoard's files, and those that a log says they are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curves = dict[str, list[tuple[int, float]]]
"""Steps and values by name, as `depth/val/abs_rel`."""


def read_back(folder: Path) -> EventAccumulator:
    """The event files of a run, as TensorBoard itself reads them."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def curves_of(folder: Path) -> Curves:
    """The curves in a run's event files, without the test scores."""
    accumulator = read_back(folder)
    names = [name for name in accumulator.Tags()["scalars"] if not name.startswith("test/")]
    return {name: [(event.step, event.value) for event in accumulator.Scalars(name)] for name in names}


def curves_in(log: Path) -> Curves:
    """The curves that a run's log holds: the first 100 steps, every tenth, all that were validated."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    validated = {(line["stage"], line["step"]) for line in lines if "val" in line}
    curves: Curves = {}
    for line in lines:
        stage, step = line["stage"], line["step"]
        if step <= 100 or step % 10 == 0 or (stage, step) in validated:
            for name, value in _values(line):
                curves.setdefault(f"{stage}/{name}", []).append((step, math.nan if value is None else value))
    return curves


def close(one: Curves, other: Curves) -> bool:
    """Whether curves have the same points; event files hold float32."""
    return {name: [step for step, _ in points] for name, points in one.items()} == {
        name: [step for step, _ in points] for name, points in other.items()
    } and all(
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))
        for name, points in one.items()
        for (_, a), (_, b) in zip(points, other[name], strict=True)
    )


def _values(line: dict[str, object]) -> Iterator[tuple[str, float | None]]:
    for name, value in line.items():
        if name == "val":
            assert isinstance(value, dict)
            yield from ((f"val/{score}", number) for score, number in value.items())
        elif name not in ("stage", "step", "best"):
            assert value is None or isinstance(value, int | float)
            yield name, value
