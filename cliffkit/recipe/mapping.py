"""A recipe or study as a mapping in memory, held to the same rules as a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from cliffkit.errors import Fault, RecipeError
from cliffkit.recipe.yamlnodes import MAX_DEPTH
from cliffkit.recipe.yamlstrict import MAX_INTEGER, MAX_VALUES, Document, Path_, dotted
from cliffkit.text import excerpt


def from_memory(data: Any, name: str) -> Document:
    """Take a document from a mapping, or a part of one; `name` stands in errors where a file has its path and line.

    Values are those that YAML has. Tuples count as lists, paths as text, NumPy's numbers as numbers. Any other value is
    a fault of the document. The values are copied. Raises RecipeError where they are nested too deep or too many.
    """
    copying = _Copying(name)
    plain = copying.plain(data, ())
    return Document(name, plain, {}, tuple(copying.faults))


class _Copying:
    """The values of one mapping, as YAML has them, with their faults."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self.count = 0

    def plain(self, value: Any, path: Path_) -> Any:
        """Copy a value and all below it."""
        self.count += 1
        if len(path) > MAX_DEPTH or self.count > MAX_VALUES:
            message = f"more than {MAX_DEPTH} lists and mappings inside of each other, or {MAX_VALUES} values in all"
            raise RecipeError([*self.faults, Fault(self.name, dotted(path), f"{message}; write fewer")])
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, Integral):
            return self._integer(int(value), path)
        if isinstance(value, Real):
            return float(value)
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, Mapping):
            return {str(key): self.plain(inner, (*path, str(key))) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(inner, (*path, i)) for i, inner in enumerate(value)]
        message = "cannot stand in a recipe; write text, a number, true or false, None, a list or a mapping"
        self.faults.append(Fault(self.name, dotted(path), f"{excerpt(value)} {message}"))
        return None

    def _integer(self, value: int, path: Path_) -> int | None:
        if -MAX_INTEGER < value < MAX_INTEGER:
            return value
        message = "a whole number of more than 64 bits; none can stand in a recipe"
        self.faults.append(Fault(self.name, dotted(path), message))
        return None
