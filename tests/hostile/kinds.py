"""The kinds of hostile cases, each a module here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

Case = Callable[[int, Random], "str | None"]
"""Tries the case of a number; returns what was found wrong. Whatever it raises is a finding too."""


class Prepared(NamedTuple):
    """A kind that is ready."""

    cases: int
    """How many the whole has."""
    case: Case


class Kind(NamedTuple):
    """One kind of hostile cases."""

    about: str
    share: float
    """Part of the time."""
    suite: int
    """Cases that the tests try."""
    prepare: Callable[[Path], Prepared]
    """Makes what the cases need in a folder that all kinds share."""


def kinds() -> Mapping[str, Kind]:
    """All kinds, by name."""
    from . import damage, data, disk, kills, recipes, sharing

    return {
        "recipes": Kind(
            "mutated recipes and studies: checked within a second, or refused by a message", 0.2, 200, recipes.prepare
        ),
        "data": Kind("mutated data files: read right, or refused by a message", 0.1, 30, data.prepare),
        "kills": Kind("SIGKILL at random moments, then going on: the same bits", 0.35, 1, kills.prepare),
        "damage": Kind("one file of a finished run damaged: the same bits again", 0.05, 2, damage.prepare),
        "disk": Kind(
            "the disk full, read-only, closed or gone at some write: a message, then the same bits",
            0.2,
            4,
            disk.prepare,
        ),
        "sharing": Kind("two to eight processes on one store, some killed: the same bits", 0.1, 1, sharing.prepare),
    }
