"""Work in a process of its own, forked from one that has imported everything: it may be killed, crash or hang."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

HANGS_S = 300.0
"""Seconds after which a child counts as hanging."""

PIPE_BYTES = 1 << 20


class Child:
    """A forked process. The one that forks must not have trained: torch's threads do not survive a fork."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._output, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # so that nobody has to read before the end
        self._pid = os.fork()
        if self._pid == 0:
            _work(work, write)
        os.close(write)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def end(self, seconds: float = HANGS_S) -> tuple[int, str]:
        """Wait for the end, at most so long. Gives the exit code, below zero a signal's number, and the output."""
        give_up = time.monotonic() + seconds
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        while not pid:
            if time.monotonic() > give_up:
                self.kill()
            time.sleep(0.005)
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        os.set_blocking(self._output, False)  # what the child has started may still hold the other end
        try:
            output = os.read(self._output, PIPE_BYTES).decode(errors="replace")
        except BlockingIOError:
            output = ""
        os.close(self._output)
        return os.waitstatus_to_exitcode(status), output


def command(*arguments: object) -> Callable[[], None]:
    """`cliffkit ARGUMENTS` as work."""
    from cliffkit.cli.main import main

    def work() -> None:
        sys.argv = ["cliffkit", *map(str, arguments)]
        main()

    return work


def fault(code: int, output: str) -> str | None:
    """What is wrong with the end of a command: neither success nor a message about what the user can mend."""
    if code not in (0, 2) or "Traceback" in output:
        return f"ended with {code}: {output[-2000:]}"
    if code == 2 and "Error: " not in output:
        return f"ended with 2 and no message: {output[-2000:]}"
    return None


def _work(work: Callable[[], object], write: int) -> NoReturn:
    code = 1
    try:
        for number in (1, 2):
            os.dup2(write, number)
        sys.stdout = sys.__stdout__ = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = sys.__stderr__ = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)  # as it comes
        code = 0 if work() in (None, 0) else 1
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
