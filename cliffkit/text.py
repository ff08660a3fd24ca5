"""Text that came from elsewhere, brought into a form that a person can read: short, and without effects on a screen."""

from __future__ import annotations

import re
import unicodedata


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
"""Characters that may act on a screen: all but line breaks, tabs, and common letters and signs, which are harmless."""


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")


_JOINERS = "\u200c\u200d"
"""Characters that letters of some scripts, and composed emoji, need."""
