"""Errors that are no fault of cliffkit: every message names the place, the cause and the remedy."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass

from cliffkit.text import cut

SHOWN_FAULTS = 100
"""Largest number of faults that a message lists. The error itself has all of them."""


class UserError(ValueError):
    """An error that the user can mend. The CLI prints the message without a traceback and exits with 2."""


class PartError(UserError):
    """A part failed by a fault of its own code. It takes the work that uses the part, and no other."""


def cause(error: BaseException) -> str:
    """Describe an exception on one line of readable length, as `TypeError: no number`."""
    try:
        text = cut(" ".join(str(error).partition("\nException raised from")[0].split()), 300)  # torch adds its stack
    except Exception:  # a stranger's __str__
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Stopped(BaseException):
    """A signal has asked this process to end. No Exception, so that only code that means a stop catches it.

    Whoever catches it, to save work, raises it again.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """The signal's number."""

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"

    @property
    def exit_code(self) -> int:
        """The exit code that shells expect: 128 and the signal's number."""
        return 128 + self.number


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
        return ": ".join(part for part in (cut(self.place, 300), cut(self.path), self.message) if part)


class RecipeError(UserError):
    """A recipe or study that cannot be used, with every fault found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [str(fault) for fault in self.faults[:SHOWN_FAULTS]]
        more = len(self.faults) - len(lines)
        super().__init__("\n".join([*lines, *([f"and {more} more"] if more else [])]))
