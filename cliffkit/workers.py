"""Processes that others start: none outlives its parent, whatever became of that."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


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
