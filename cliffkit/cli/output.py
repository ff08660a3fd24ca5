"""The streams of a command: stdout holds its answer and nothing else, stderr all the rest.

Where an encoding lacks a character, another is shown. A stream that cannot be written stops no work.
"""

from __future__ import annotations

import atexit
import codecs
import ctypes
import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from cliffkit.cli.echo import echo
from cliffkit.components.isolate import explain
from cliffkit.components.registry import Component
from cliffkit.errors import PartError, Stopped

PLAIN = {
    "↑": "^",
    "↓": "v",
    "→": "->",
    "×": "x",
    "…": "...",
    "█": "#",
    "░": ".",
    "−": "-",
    "–": "-",
    "±": "+-",
    "≈": "~",
}
"""Replacements for characters that an encoding does not have. Other such characters are escaped as Python does."""

ERRORS = "cliffkit.plain"
"""Name of the error handler that puts the replacements in."""


LOST, NOBODY_READS = 74, 128 + signal.SIGPIPE
"""Exit codes. Either the answer could not be written, as to a full disk, or its reader has gone."""


class _Lasting(io.TextIOWrapper):
    """A stream that stops no work: once it cannot be written, as after its reader has gone, its text is dropped."""

    problem: OSError | None = None
    """Why the stream could not be written."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        self.problem = self.problem or error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def open_streams() -> None:
    """Prepare the process's streams for any terminal, pipe and locale. Streams that others replaced stay."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # the caller closed it: the next file to be opened would get its number
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error(ERRORS, _plain)
    sys.stdout = _lasting(sys.stdout, sys.__stdout__)
    sys.stderr = _lasting(sys.stderr, sys.__stderr__)


def _lasting(stream: TextIO | None, original: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if stream is not original or not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return _Lasting(
        stream.buffer, stream.encoding, ERRORS, line_buffering=stream.line_buffering, write_through=stream.write_through
    )


@contextmanager
def stdout_kept() -> Iterator[None]:
    """Send prints within the block to stderr, also prints of C code."""
    sys.stdout.flush()
    original = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ctypes.CDLL(None).fflush(None)  # first prints that C code still holds, then those of Python code
        if sys.__stdout__ is not None:
            sys.__stdout__.flush()
        os.dup2(original, 1)
        os.close(original)


@contextmanager
def working(components: Iterable[Component]) -> Iterator[None]:
    """Run work that calls code of plugins. Its prints go to stderr, and `sys.exit` in it becomes a PartError."""
    with stdout_kept():
        try:
            yield
        except (Exception, KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:
            raise PartError(f"the command was ended by code within it: {explain(error, components)}") from error


def close_stdout() -> int:
    """Write the rest of stdout; returns an exit code where that fails, else 0. Later prints go to stderr."""
    atexit.register(_leave_stdout)  # runs before what plugins have registered
    sys.stdout.flush()
    problem = sys.stdout.problem if isinstance(sys.stdout, _Lasting) else None
    if problem is None:
        return 0
    if isinstance(problem, BrokenPipeError):
        return NOBODY_READS
    echo(f"Error: stdout: {problem.strerror}; what was done is kept, make room and repeat the command", err=True)
    return LOST


def tell_crash(error: Exception, components: Iterable[Component]) -> None:
    """Say in one message that a fault of the code ended the command, and where its traceback lies."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="backslashreplace", prefix="cliffkit-",
                                     suffix=".txt", delete=False) as file:  # fmt: skip
        file.write(text)
    echo(f"Error: {explain(error, components)}; the traceback is in {file.name}", err=True)


def _leave_stdout() -> None:
    os.dup2(2, 1)
    sys.stdout = sys.stderr


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    escaped = (PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in text)
    return "".join(escaped), error.end
