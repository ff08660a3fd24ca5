"""A recipe or study as a mapping in memory, held to the same rules as a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from cliffkit.errors import Fault
from cliffkit.recipe.yamlstrict import Document, Path_, dotted


def from_memory(data: Any, name: str) -> Document:
    """Take a document from a mapping, or a part of one; `name` stands in errors where a file has its path and line.

    Values are those that YAML has. Tuples count as lists, paths as text, NumPy's numbers as numbers; anything else is
    a fault of the document. What is given is copied.
    """
    faults: list[Fault] = []
    plain = _plain(data, (), name, faults)
    return Document(name, plain, {}, tuple(faults))


def _plain(value: Any, path: Path_, name: str, faults: list[Fault]) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, (*path, str(key)), name, faults) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, (*path, i), name, faults) for i, inner in enumerate(value)]
    message = f"{value!r} cannot stand in a recipe; write text, a number, true or false, None, a list or a mapping"
    faults.append(Fault(name, dotted(path), message))
    return None
