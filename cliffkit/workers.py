"""Processes and threads that work for the main one. No process outlives its parent, however the parent ended."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any, Self, TypeVar

from cliffkit.errors import Stopped

A = TypeVar("A")
B = TypeVar("B")

_MAIN = threading.Lock()
"""Held while another module stands in the place of the user's script."""


def available_cores() -> int:
    """Count the processor cores that this process may use; all of them where the system does not say."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


@contextmanager
def without_main() -> Iterator[None]:
    """Start processes within that do not run the user's script again.

    Python runs the script anew in every process that it spawns, unless the script says
    `if __name__ == "__main__":`. Work that is found by its module's name needs nothing of the script.
    """
    with _MAIN:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first SIGTERM or SIGHUP into the exception Stopped within; later ones are ignored while work is saved.

    Signals that are handled by others, or ignored as under nohup, stay as they are. Outside the main thread nothing
    changes.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for taken in signals:
            signal.signal(taken, signal.SIG_IGN)
        raise Stopped(number)

    in_main = threading.current_thread() is threading.main_thread()
    candidates = (signal.SIGTERM, signal.SIGHUP) if in_main else ()
    signals = [number for number in candidates if signal.getsignal(number) is signal.SIG_DFL]
    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)


class StopRequest:
    """Whether a signal has asked this process to end, for work that can be saved between its steps.

    A context: SIGINT, SIGTERM and SIGHUP are noted within, where they would raise KeyboardInterrupt or Stopped. A
    second signal raises at once. Outside the main thread nothing changes.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal; None while there was none."""
        self._former: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                former = signal.getsignal(number)
                if callable(former):  # neither ignored nor deadly
                    self._former[number] = former
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def leave(self) -> None:
        """Raise what the signal would have raised. Does nothing where there was none.

        Another process may have had the signal: then `number` was set, and this one may treat it otherwise.
        """
        if self.number is not None:
            former = self._former.get(self.number)
            self._restore()
            if former is None:
                raise Stopped(self.number)
            former(self.number, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            self.leave()
        self.number = number

    def _restore(self) -> None:
        while self._former:
            signal.signal(*self._former.popitem())


def begin_worker() -> None:
    """Make this a worker: it ends when its parent does, even by SIGKILL, and leaves Ctrl-C to the parent.

    An orphan would hold the claim on its job and the memory of a GPU.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
    atexit.register(gc.freeze)  # no last look for garbage among all objects of torch, which takes up to a second


def in_order(
    work: Callable[[A], B], items: Iterable[A], threads: int, begin: Callable[[], None] | None = None
) -> Iterator[B]:
    """Apply `work` to items in threads; results come in the items' order, at most two per thread ahead of the caller.

    Each thread calls `begin` first. `items` is advanced in the caller's thread, so that chained calls work at the same
    time.
    """
    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        upcoming: deque[Future[B]] = deque()
        for item in items:
            upcoming.append(pool.submit(work, item))
            if len(upcoming) > 2 * threads:
                yield upcoming.popleft().result()
        while upcoming:
            yield upcoming.popleft().result()
