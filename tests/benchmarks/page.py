"""What was measured, in measured.json, and the tables of docs/why/performance.md: a column per machine."""

from __future__ import annotations

import ast
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import Row

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: python tests/benchmarks --write -->", "<!-- end of tables -->"


@dataclass(frozen=True)
class Measured:
    """Every row with its benchmark and the machine it was measured on, and what is known of each machine."""

    machines: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str, Row]] = field(default_factory=list)
    """(benchmark, machine, row)."""

    @classmethod
    def read(cls, path: Path) -> Measured:
        """Read what was measured so far."""
        if not path.exists():
            return cls()
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(data["machines"], [(name, place, row_of(found)) for name, place, found in data["rows"]])

    def write(self, path: Path) -> None:
        """Write it with one row a line, so that a change of a figure is a change of a line."""
        rows = [json.dumps([name, place, dataclasses.asdict(row)]) for name, place, row in self.rows]
        lines = ",\n".join(rows)
        path.write_text(f'{{"machines": {json.dumps(self.machines)},\n"rows": [\n{lines}\n]}}\n', encoding="utf-8")

    def with_rows(self, name: str, place: str, said: str, rows: list[Row]) -> Measured:
        """Put a benchmark's new rows in place of those that it had on this machine; its aims are theirs everywhere."""
        aims = {(row.what, row.against): row.target for row in rows}
        kept = [
            (benchmark, where, dataclasses.replace(row, target=aims.get((row.what, row.against), row.target)))
            for benchmark, where, row in self.rows
            if (benchmark, where) != (name, place)
        ]
        merged = sorted(kept + [(name, place, row) for row in rows], key=lambda each: each[:2])
        return Measured(dict(sorted((self.machines | {place: said}).items())), merged)

    def tables(self) -> str:
        """Give the page's part: the machines, the aims that were missed, and a table for each benchmark."""
        aims = [row.reached for *_, row in self.rows if row.reached is not None]
        missed = [each for each in self.rows if each[2].reached is False]
        parts = [
            "\n".join(f"- {place}: {said}" for place, said in self.machines.items()),
            f"### Aims missed\n{sum(aims)} of {len(aims)} aims are reached.{' The others:' if missed else ''}",
        ]
        if missed:
            parts.append(_table(missed, with_name=True))
        for name in dict.fromkeys(name for name, *_ in self.rows):
            rows = [each for each in self.rows if each[0] == name]
            parts.append(f"### `{name}`\n{about(name)}\n\n{_table(rows)}")
        return "\n\n".join(parts)


def row_of(found: dict[str, Any]) -> Row:
    """Give a row back from its fields."""
    return Row(**found | {"spread": tuple(found["spread"])})


def about(name: str) -> str:
    """Give the first sentence of a benchmark's module."""
    said = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")))
    assert said
    return said.split("\n\n")[0].replace("\n", " ")


def _table(rows: list[tuple[str, str, Row]], *, with_name: bool = False) -> str:
    """Give a line to each comparison, and a column to each machine that has one of them."""
    places = sorted({place for _, place, _ in rows})
    lines: dict[tuple[str, str, str], dict[str, Row]] = {}
    for name, place, row in rows:
        lines.setdefault((name, row.what, row.against), {})[place] = row
    head = [*(["benchmark"] if with_name else []), "what", "against", "aim", *places]
    table = [head, ["---"] * len(head)]
    for (name, what, against), found in lines.items():
        aim = next(iter(found.values())).target
        figures = [_figures(found[place], details=not with_name) if place in found else "" for place in places]
        table.append([*([f"`{name}`"] if with_name else []), what, against, aim, *figures])
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def _figures(row: Row, *, details: bool) -> str:
    """Give the ratio, bold where it misses its aim, and its quartiles where they are others; below, the details."""
    ratio, (low, high) = f"{row.ratio:.4g}", (f"{end:.4g}" for end in row.spread)
    shown = f"**{ratio}**" if row.reached is False else ratio
    quartiles = "" if low == high == ratio else f" ({low} to {high})"
    return f"{shown}{quartiles}" + (f"<br>{row.details}" if details and row.details else "")


def put(tables: str, page: Path) -> None:
    """Put the tables into the page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}", encoding="utf-8")
