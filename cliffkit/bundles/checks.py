"""The outcome of a check, and how two files of facts differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cliffkit.errors import UserError, cause
from cliffkit.text import excerpt

MOST_FAULTS = 20
"""Faults of one file that are named; more are counted."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check of a bundle."""

    name: str
    compared: str
    """What was compared with what, in words."""
    faults: tuple[str, ...]
    """What does not hold, each with its place."""
    remarks: tuple[str, ...] = ()
    """What could not be compared, and why."""

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def attempt(faults: list[str], folder: Path, work: Callable[[], None]) -> bool:
    """Do a part of a check; a file that is missing or cannot be read becomes a fault. Tells whether it went well."""
    try:
        work()
    except UserError as error:
        faults.append(plainly(error, folder))
        return False
    except Exception as error:  # whatever a forged file leads to
        faults.append(f"a file says what no bundle says, so the rest of this check was left out: {cause(error)}")
        return False
    return True


def plainly(error: UserError, folder: Path) -> str:
    """Give an error of a file of a bundle with the name that the file has there, without a remedy for stores."""
    text = str(error).replace(f"{folder}/", "")
    return re.sub(r"; (?:delete \S+ and )?run again.*$", "", text, flags=re.DOTALL)


def few(faults: Sequence[str]) -> list[str]:
    """Cut a long list of faults short, and count those that are left out."""
    left = len(faults) - MOST_FAULTS
    return [*faults[:MOST_FAULTS], f"and {left} more of this file"] if left > 0 else list(faults)


_ABSENT = object()


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Give the places at which two values of plain JSON types differ, with both values; None for an absent one."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            yield from differences(theirs.get(key, _ABSENT), ours.get(key, _ABSENT), f"{path}.{key}" if path else key)
    elif isinstance(theirs, list | tuple) and isinstance(ours, list | tuple):
        for i in range(max(len(theirs), len(ours))):
            mine, right = (values[i] if i < len(values) else _ABSENT for values in (theirs, ours))
            yield from differences(mine, right, f"{path}.{i}")
    elif theirs is _ABSENT or ours is _ABSENT or theirs != ours or isinstance(theirs, bool) != isinstance(ours, bool):
        yield path, _known(theirs), _known(ours)


def _known(value: Any) -> Any:
    return None if value is _ABSENT else value


def brief(value: Any) -> str:
    """Write a value in a sentence."""
    return "nothing" if value is None else excerpt(value, 60)
