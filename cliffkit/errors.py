"""What goes wrong through no fault of ours: every message names the place, the cause and the remedy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN_FAULTS = 100
"""Faults that a message lists; the error itself has all of them."""


class UserError(ValueError):
    """Something that the user can mend. The CLI prints the message without a traceback and exits with 2."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a file."""

    place: str
    """file:line where known, else the file or `--set`."""
    path: str
    """Where in the recipe, as `loss.0.use`; empty for the file itself."""
    message: str
    """Cause and remedy."""

    def __str__(self) -> str:
        return ": ".join(part for part in (cut(self.place, 300), cut(self.path, 200), self.message) if part)


class RecipeError(UserError):
    """A recipe or study that cannot be used, with every fault found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [str(fault) for fault in self.faults[:SHOWN_FAULTS]]
        more = len(self.faults) - len(lines)
        super().__init__("\n".join([*lines, *([f"and {more} more"] if more else [])]))


def cut(text: str, length: int = 120) -> str:
    """Shorten text to a readable length: its middle gives way to `…`."""
    if len(text) <= length:
        return text
    end = length // 3
    return f"{text[: length - end - 1]}…{text[-end:]}"


def excerpt(value: object, length: int = 120) -> str:
    """Write a value as Python does, cut to a readable length."""
    return cut(repr(value), length)


def printable(text: str) -> str:
    """Escape whatever would act on a screen instead of being seen, but for line breaks and tabs.

    Control characters (also those of a terminal's sequences), marks of writing direction, separators of lines and
    paragraphs, and halves of surrogate pairs become `\\x1b` or `\\u202e`.
    """
    return _ACTS.sub(lambda match: _escaped(match.group()), text)


_ACTS = re.compile(r"[^\n\t -~\xa1-\xac\xae-\u02ff]")
"""What may act on a screen: all but line breaks, tabs, and common letters and signs, which need no look."""


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")


_JOINERS = "\u200c\u200d"
"""Letters of some scripts, and composed emoji, need them."""
