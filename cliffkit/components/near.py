"""The near miss of a misspelt name, or the list of names that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from cliffkit.text import cut


def near(word: object, names: Iterable[str], intro: str) -> str:
    """Say which name a word is close to; else list the names after `intro`, as `there are: add, cliff`."""
    names = list(names)
    return meant(word, names) or f"{intro}: {', '.join(cut(name, 40) for name in names) or 'none'}"


def meant(word: object, names: Iterable[str]) -> str:
    """Ask whether the closest name was meant, as `did you mean 'cliff'?`; empty where no name is close."""
    close = difflib.get_close_matches(str(word), list(names), n=1)
    return f"did you mean '{cut(close[0], 40)}'?" if close else ""
