"""A table as a list of rows, readable as text, in a notebook, and by pandas."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from cliffkit.errors import UserError

SHOWN = 20
"""Rows that are shown of a longer table, half of them from its end."""


class Rows(Sequence[Mapping[str, Any]]):
    """A table: a sequence of rows, each a mapping from column to value.

    Example: `[row["abs_rel"] for row in run.per_image]`; `print(run.per_image)`; `run.per_image.to_pandas()`.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        self._rows = tuple(rows)
        self.columns = tuple(columns)
        """Names of the columns, in the order in which they are shown."""

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Rows: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Rows:
        """Give one row, or a table of some."""
        return Rows(self._rows[index], self.columns) if isinstance(index, slice) else self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and (self.columns, self._rows) == (other.columns, other._rows)

    __hash__ = None  # type: ignore[assignment]  # rows are mappings, which have no hash

    def column(self, name: str) -> list[Any]:
        """Give the values of one column, row by row. Raises KeyError where there is no such column."""
        return [row[name] for row in self._rows]

    def to_pandas(self) -> Any:
        """Make a pandas.DataFrame, one column per column. Raises UserError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise UserError("pandas is not installed; `pip install pandas`, or use the rows as they are") from error
        return pandas.DataFrame(list(self._rows), columns=list(self.columns))

    def __repr__(self) -> str:
        """Write the table as text, its middle left out where it is long."""
        lines = [self.columns, *self._cells()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        numbers = [all(isinstance(row[name], int | float) for row in self._rows) for name in self.columns]

        def aligned(line: Sequence[str]) -> str:
            cells = zip(line, widths, numbers, strict=True)
            return "  ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in cells).rstrip()

        return "\n".join(map(aligned, lines))

    def _repr_html_(self) -> str:
        """Write the table for a notebook."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in line)}</tr>" for line in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _cells(self) -> list[Sequence[str]]:
        lines: list[Sequence[str]] = [[_text(row[name]) for name in self.columns] for row in self._rows]
        if len(lines) <= SHOWN:
            return lines
        gap = [f"… {len(lines) - SHOWN} more", *[""] * (len(self.columns) - 1)]
        return [*lines[: SHOWN // 2], gap, *lines[-SHOWN // 2 :]]


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
