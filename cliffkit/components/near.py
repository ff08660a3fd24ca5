"""The near miss of a misspelt name, or the list of names that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: object, known: Iterable[str], intro: str) -> str:
    """Say which known name a word is close to; else list the names after `intro`, as `there are: add, cliff`."""
    known = list(known)
    return meant(word, known) or f"{intro}: {', '.join(known) or 'none'}"


def meant(word: object, known: Iterable[str]) -> str:
    """Ask for the known name that a word is close to, as `did you mean 'cliff'?`; empty where none is."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else ""
