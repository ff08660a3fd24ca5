"""Faults of one file, gathered so that a reader sees all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from cliffkit.errors import Fault, RecipeError
from cliffkit.recipe.schema import MAX_SEED
from cliffkit.recipe.yamlstrict import Document, Path_, dotted
from cliffkit.text import excerpt

MAX_NAME = 128
"""Largest number of characters in a name. A folder's name has a variant and a key too, at most 255 bytes."""


class Faults:
    """The faults of a document, those of its YAML first."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._faults = list(document.faults)
        self._places = {(fault.place, fault.path) for fault in document.faults}
        self._unread = frozenset(self._places)
        """Values that were not read as they are written; whatever else is wrong with them means nothing."""

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, path: Path_, message: str) -> None:
        """Add a fault of the value at a path."""
        fault = Fault(self._document.place(path), dotted(path), message)
        if (fault.place, fault.path) not in self._unread:
            self._add(fault)

    def include(self, others: Iterable[Fault], suffix: str, *, all_places: bool = False) -> None:
        """Add faults of another check, each with a suffix; not those of places that have one, unless `all_places`."""
        for fault in [fault for fault in others if all_places or (fault.place, fault.path) not in self._places]:
            self._add(replace(fault, message=fault.message + suffix))

    def check(self) -> None:
        """Raise RecipeError with every fault, equal ones once, where there is any."""
        if self._faults:
            raise self.error()

    def error(self) -> RecipeError:
        """Give every fault, equal ones once, as an error to raise."""
        return RecipeError(dict.fromkeys(self._faults))

    def stop(self, message: str) -> RecipeError:
        """Give the error to raise where the whole document is of no use."""
        return RecipeError([*self._faults, Fault(self._document.file, "", message)])

    def name(self, path: Path_, value: Any) -> bool:
        """Say whether a value can name a recipe, study or protocol, and so a folder. If not, add a fault."""
        good = isinstance(value, str) and bool(value) and set(value) <= _NAME and value[0].isalnum()
        if not good:
            message = f"{excerpt(value)} is no name; use letters, digits, '.', '_' and '-', a letter or digit first"
            self.add(path, message)
        elif len(value) > MAX_NAME:
            good = False
            message = f"{excerpt(value, 40)} has {len(value)} characters; a name becomes a folder's, {MAX_NAME} at most"
            self.add(path, message)
        return good

    def seed(self, path: Path_, value: Any) -> bool:
        """Say whether a value is a seed. If not, add a fault."""
        good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED
        if not good:
            self.add(path, f"{excerpt(value)} is no seed; write a whole number from 0 to {MAX_SEED}")
        return good

    def _add(self, fault: Fault) -> None:
        self._faults.append(fault)
        self._places.add((fault.place, fault.path))


_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
