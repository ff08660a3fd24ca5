"""`python tests/benchmarks [NAME...]`: measure, print one table, and with --write put it into docs/why/performance.md.

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

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "why" / "performance.md"
BEGIN, END = "<!-- table: python tests/benchmarks --write -->", "<!-- end of table -->"
NOT_BENCHMARKS = {"harness", "parts"}


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
    parser.add_argument("--write", action="store_true", help="replace these rows in docs/why/performance.md")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # a child's way to hand its rows over
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(names()):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if asked.into:
        found = [dataclasses.asdict(row) for row in importlib.import_module(asked.names[0]).rows()]
        asked.into.write_text(json.dumps(found), encoding="utf-8")
        return
    tables = {name: in_own_process(name) for name in asked.names or here()}
    print(f"\n{machine()}, {date.today()}\n")
    print("\n".join([HEAD, *(line(name, row) for name, found in tables.items() for row in found)]))
    if asked.write:
        write(tables)


def in_own_process(name: str) -> list[Row]:
    """A benchmark's rows, measured by a fresh interpreter."""
    print(f"{name}:", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "rows.json"
        done = subprocess.run([sys.executable, str(HERE), name, "--into", str(into)], check=False)
        if done.returncode:
            sys.exit(done.returncode)
        return [
            Row(**found | {"spread": tuple(found["spread"])}) for found in json.loads(into.read_text(encoding="utf-8"))
        ]


HEAD = (
    "| benchmark | processor | what | against | ratio | quartiles | target | reached | figures |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def measured_on(name: str) -> str:
    """The part of this machine that a benchmark is about: the GPU or the processor."""
    import torch

    return torch.cuda.get_device_name() if name == "gpu" and torch.cuda.is_available() else processor()


def line(name: str, row: Row) -> str:
    """A row in Markdown."""
    reached = {None: "", True: "yes", False: "**no**"}[row.reached]
    low, high = row.spread
    cells = (
        f"`{name}`",
        measured_on(name),
        row.what,
        row.against,
        f"{row.ratio:.3g}",
        f"{low:.3g}-{high:.3g}",
        row.target,
        reached,
        row.details,
    )
    return f"| {' | '.join(cells)} |"


def write(tables: dict[str, list[Row]]) -> None:
    """Replace the rows of the measured benchmarks on this processor in the page, and keep all others."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    kept: dict[tuple[str, str], list[str]] = {}
    machines = {}
    for each in old.splitlines():
        if each.startswith("| `"):
            name, where = (cell.strip(" `") for cell in each.split("|")[1:3])
            kept.setdefault((name, where), []).append(each)
        elif each.startswith("- "):
            machines[each.removeprefix("- ").split(":")[0]] = each
    kept |= {(name, measured_on(name)): [line(name, row) for row in found] for name, found in tables.items()}
    machines |= {place: f"- {machine(place)}; last measured {date.today()}." for place in map(measured_on, tables)}
    table = "\n".join([HEAD, *(each for key in sorted(kept) for each in kept[key])])
    listed = "\n".join(machines[name] for name in sorted(machines))
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n\n{listed}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
