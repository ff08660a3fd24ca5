"""Two versions of a report's file, compared number by number."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import NamedTuple

from cliffkit.text import cut

TOLERANCE = 1e-9
"""Share of a number in a table, and difference of two, below which they are one number: sums in another order differ
in their last digits. Numbers that are written rounded must be equal."""

_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|∞")

_AROUND = 40
"""Characters about a number that are shown with it."""


class Difference(NamedTuple):
    """A place at which a file is not as the scores give it."""

    words: str
    is_number: bool
    """Whether a number differs; else words alone."""


def compare_csv(name: str, theirs: str, ours: str, labels: int) -> Iterator[Difference]:
    """Compare two tables cell by cell; the first `labels` columns name a row in what is said."""
    rows, expected = (list(csv.reader(io.StringIO(text, newline=""))) for text in (theirs, ours))
    if rows[:1] != expected[:1]:
        yield Difference(
            f"{name}: the head of the table is {_row(rows[:1])}, and should be {_row(expected[:1])}", False
        )
        return
    if len(rows) != len(expected):
        yield Difference(f"{name}: has {len(rows) - 1} rows, and the scores give {len(expected) - 1}", True)
    for line, (row, other) in enumerate(zip(rows[1:], expected[1:], strict=False), start=2):
        for column, mine, right in zip(expected[0], row, other, strict=False):
            if not _equal(mine, right):
                words = f"{name} line {line} ({', '.join(other[:labels])}): {column} is {mine or 'empty'}"
                yield Difference(f"{words}, and the scores give {right or 'nothing'}", True)
        if len(row) != len(other):
            yield Difference(f"{name} line {line}: has {len(row)} columns of {len(other)}", False)


def compare_lines(name: str, theirs: Sequence[str], ours: Sequence[str]) -> Iterator[Difference]:
    """Compare two texts line by line; a difference is a number wherever the words about it are equal.

    Of texts that differ in their numbers of lines, what stands between the equal beginning and the equal end is told.
    """
    if len(theirs) == len(ours):
        for number, (mine, right) in enumerate(zip(theirs, ours, strict=True), start=1):
            if mine != right:
                yield from _compare_line(f"{name} line {number}", mine, right)
        return
    start = _alike(theirs, ours)
    end = min(_alike(theirs[::-1], ours[::-1]), min(len(theirs), len(ours)) - start)
    words = (
        f"says {_lines(theirs[start : len(theirs) - end])}, and the scores give {_lines(ours[start : len(ours) - end])}"
    )
    yield Difference(f"{name} line {start + 1}: {words}", True)


def _alike(theirs: Sequence[str], ours: Sequence[str]) -> int:
    """Count the lines at the beginning of two texts that are equal."""
    pairs = enumerate(zip(theirs, ours, strict=False))
    return next((i for i, (mine, right) in pairs if mine != right), min(len(theirs), len(ours)))


def _compare_line(place: str, theirs: str, ours: str) -> Iterator[Difference]:
    numbers = [list(_NUMBER.finditer(text)) for text in (theirs, ours)]
    if _NUMBER.sub("#", theirs) != _NUMBER.sub("#", ours):
        start = next((i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]), 0)
        parts = (cut(text[max(0, start - _AROUND) : start + 2 * _AROUND]) for text in (theirs, ours))
        mine, right = parts
        yield Difference(f"{place}: says '{mine}', and should say '{right}'", False)
        return
    for mine, right in zip(*numbers, strict=True):
        if mine.group() != right.group():
            around = theirs[max(0, mine.start() - _AROUND) : mine.end() + _AROUND // 2].strip()
            yield Difference(f"{place}: {mine.group()}, and the scores give {right.group()} (in '{around}')", True)


def count_numbers(text: str) -> int:
    """Count the numbers in a text."""
    return sum(1 for _ in _NUMBER.finditer(text))


def _equal(mine: str, right: str) -> bool:
    if mine == right:
        return True
    try:
        a, b = float(mine), float(right)
    except ValueError:
        return False
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE * 1e-3)


def _row(rows: Sequence[Sequence[str]]) -> str:
    return cut(",".join(rows[0])) if rows else "empty"


def _lines(lines: Sequence[str]) -> str:
    return f"'{cut(' / '.join(lines))}'" if lines else "nothing"


def page_lines(page: str, section: str) -> tuple[list[str], list[str]]:
    """Take a page apart: a line for each tag with its attributes and for each text.

    Gives the lines outside of one section, and those inside of it.
    """
    reader = _Reader(section)
    reader.feed(page)
    reader.close()
    return reader.outside, reader.inside


class _Reader(HTMLParser):
    """Lists tags and texts; the section that is set apart is known by the name of its heading."""

    def __init__(self, section: str) -> None:
        super().__init__(convert_charrefs=True)
        self.outside: list[str] = []
        self.inside: list[str] = []
        self._section, self._is_inside = section, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes: Mapping[str, str | None] = dict(attrs)
        if tag == "section":
            self._is_inside = attributes.get("aria-labelledby") == self._section
        self._add(f"<{tag} {' '.join(f'{name}={value}' for name, value in attrs)}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._is_inside = False
        self._add(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        for line in data.splitlines():
            if line.strip():
                self._add(line.strip())

    def handle_comment(self, data: str) -> None:
        self._add(f"<!--{data}-->")

    def _add(self, line: str) -> None:
        (self.inside if self._is_inside else self.outside).append(line)
