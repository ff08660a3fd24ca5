"""How everything here is measured: two ways of doing one thing, turn by turn, and the ratio of each pair.

Absolute times are noise on shared machines; the ratio of two neighbours in time is not.
"""

from __future__ import annotations

import functools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    against: str
    ratio: float
    """Ours over theirs where less is better, theirs over ours where it is a speed-up; the median over pairs."""
    spread: tuple[float, float]
    """The quartiles of the ratio."""
    target: str
    """As "<= 1.03" or ">= 2.5"; empty: no target, shown for comparison."""
    details: str
    """Absolute figures, for orientation."""

    @property
    def reached(self) -> bool | None:
        """Whether the median keeps the target; None where there is none."""
        if not self.target:
            return None
        sign, value = self.target.split()
        return self.ratio <= float(value) if sign == "<=" else self.ratio >= float(value)


def seconds(work: Callable[[], object]) -> float:
    """What one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def paired(
    own: Callable[[], object], other: Callable[[], object], repeats: int, warmup: int = 1
) -> list[tuple[float, float]]:
    """Seconds of both, pair by pair, who goes first taking turns."""
    for _ in range(warmup):
        own()
        other()
    pairs = []
    for i in range(repeats):
        if i % 2:
            theirs = seconds(other)
            pairs.append((seconds(own), theirs))
        else:
            ours = seconds(own)
            pairs.append((ours, seconds(other)))
    return pairs


def row(
    what: str, against: str, pairs: list[tuple[float, float]], target: str, details: str = "", *, unit: str = "ms"
) -> Row:
    """A line from pairs of seconds: ours over theirs for a target "<=", theirs over ours for ">="."""
    faster = target.startswith(">=")
    ratios = sorted(b / a if faster else a / b for a, b in pairs)
    scale = {"s": 1, "ms": 1e3, "us": 1e6}[unit]
    ours, theirs = (statistics.median(pair[k] for pair in pairs) * scale for k in (0, 1))
    figures = f"{short(ours)} against {short(theirs)} {unit}, {len(pairs)} pairs"
    return Row(
        what, against, statistics.median(ratios), quartiles(ratios), target, "; ".join(filter(None, [figures, details]))
    )


def short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def quartiles(values: list[float]) -> tuple[float, float]:
    """First and third."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def progress(text: str) -> None:
    """A line for who waits."""
    print(f"  {text}", file=sys.stderr, flush=True)


@contextmanager
def file_calls(folder: Path) -> Iterator[list[tuple[str, str]]]:
    """List the calls of the file system within that name a path below a folder, each with its path.

    Python tells of all but looks at a file's facts (`stat`, `access`), which are wrapped. What a library of C or Rust
    asks for by itself is not seen.
    """
    calls: list[tuple[str, str]] = []

    def note(event: str, path: object) -> None:
        if isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(str(folder)):
            calls.append((event.removeprefix("os."), os.fspath(path)))

    def looking(name: str, look: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Any, *args: Any, **kwargs: Any) -> Any:
            note(name, path)
            return look(path, *args, **kwargs)

        return wrapped

    _listen()
    originals = {name: getattr(os, name) for name in ("stat", "lstat", "access")}
    _LISTENING.append(note)
    for name, look in originals.items():
        setattr(os, name, looking(name, look))
    try:
        yield calls
    finally:
        _LISTENING.remove(note)
        for name, look in originals.items():
            setattr(os, name, look)


@functools.cache  # a hook stays as long as its process
def _listen() -> None:
    sys.addaudithook(lambda event, args: [note(event, args[0]) for note in _LISTENING if event in _EVENTS and args])


_LISTENING: list[Callable[[str, object], None]] = []
_EVENTS = {
    "open",
    *(f"os.{name}" for name in ("listdir", "scandir", "mkdir", "rename", "remove", "rmdir", "link", "truncate")),
}


def machine() -> str:
    """The machine beside its processor's name: cores, GPU, versions."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {gpu}; Python {platform.python_version()}, torch {torch.__version__}"


def processor() -> str:
    """The processor's name, and what of bf16 it computes: by these a row tells where it was measured."""
    lines = list(_lines(Path("/proc/cpuinfo")))
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    bf16 = [words for flag, words in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 BF16")) if flag in flags]
    return f"{model.replace('(R)', '')}, {bf16[0] if bf16 else 'no bf16'}"


def _lines(path: Path) -> Iterator[str]:
    return iter(path.read_text(encoding="utf-8").splitlines()) if path.exists() else iter(())
