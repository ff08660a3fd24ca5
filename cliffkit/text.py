"""Text for people: what came from elsewhere made short and without effects on a screen, and times in words."""

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


def duration(seconds: float) -> str:
    """Write a time as `4.5 s`, `45 s`, `12 min` or `3 h 05 min`."""
    if seconds < 89.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    days, minutes = divmod(minutes, 1440)
    return f"{f'{days} d ' if days else ''}{minutes // 60} h {minutes % 60:02d} min"


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
