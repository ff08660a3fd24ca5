"""`python tests/benchmarks [NAME...]`: measure, print tables, and with --write put them into docs/why/performance.md.

Each benchmark is a module here with a function `rows()`, run in a process of its own. Let nothing else compute beside
them. Nothing is asserted: a target that is missed says so in the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from harness import Row, machine, processor
from page import Measured, put, row_of

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "why" / "performance.md"
MEASURED = HERE / "measured.json"
NOT_BENCHMARKS = {"harness", "page", "parts"}


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem for path in HERE.glob("[a-z]*.py") if path.stem not in NOT_BENCHMARKS)


def here() -> list[str]:
    """The benchmarks that this machine can do: `gpu` needs a CUDA GPU."""
    import torch

    return [name for name in names() if name != "gpu" or torch.cuda.is_available()]


def main() -> None:
    """Measure what is named, by default everything."""
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; by default all")
    parser.add_argument("--write", action="store_true", help="put these figures into docs/why/performance.md")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # a child's way to hand its rows over
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names()):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if asked.into:
        found = [dataclasses.asdict(row) for row in importlib.import_module(asked.names[0]).rows()]
        asked.into.write_text(json.dumps(found), encoding="utf-8")
        return
    measured, failed = Measured(), []
    for name in asked.names or here():
        rows = in_own_process(name)
        if rows is None:
            failed.append(name)
            continue
        measured = add(measured, name, rows)
        if asked.write:  # at once: a later one may fail, or be stopped, in an hour of work
            known = add(Measured.read(MEASURED), name, rows)
            known.write(MEASURED)
            put(known.tables(), PAGE)
    if measured.rows:
        print(f"\n{measured.tables()}")
    if failed:
        sys.exit(f"not measured, for the reasons above: {', '.join(failed)}")


def add(measured: Measured, name: str, rows: list[Row]) -> Measured:
    """Put what was measured on this machine, today, into what was measured before."""
    return measured.with_rows(name, measured_on(name), f"{machine()}; last measured {date.today()}.", rows)


def in_own_process(name: str) -> list[Row] | None:
    """A benchmark's rows, measured by a fresh interpreter; None where it failed."""
    print(f"{name}:", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "rows.json"
        done = subprocess.run([sys.executable, str(HERE), name, "--into", str(into)], check=False)
        if done.returncode:
            return None
        return [row_of(found) for found in json.loads(into.read_text(encoding="utf-8"))]


def measured_on(name: str) -> str:
    """The part of this machine that a benchmark is about: the GPU or the processor."""
    import torch

    return torch.cuda.get_device_name() if name == "gpu" and torch.cuda.is_available() else processor()


if __name__ == "__main__":
    main()
