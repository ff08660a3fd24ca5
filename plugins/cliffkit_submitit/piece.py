"""One piece of work as a job of the cluster runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from cliffkit.errors import Stopped
from cliffkit.interfaces import Place
from cliffkit.workers import stoppable

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals by which a cluster says that a job's time ends; submitit asks Slurm for SIGUSR2."""


@dataclass(frozen=True)
class Piece:
    """A piece of work. Calling it gives its result and None, or None and what it raised."""

    work: Callable[[Any, Place], Any]
    task: Any
    place: Place
    gpu: str | None = None
    """The GPU that it has for itself on this machine, as CUDA_VISIBLE_DEVICES names it; None where the cluster says."""

    def __call__(self) -> tuple[Any, BaseException | None]:
        """Do the work; a signal that says that the job is to end is SIGTERM to it, which saves a checkpoint.

        submitit's own handlers are replaced: they ignore SIGTERM, and SIGUSR2 requeues without asking the work to save.
        """

        def ask(number: int, frame: FrameType | None) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        if self.gpu is not None:  # submitit names the first GPU to each; CUDA reads it when it is first asked
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with stoppable():
            for number in WARNINGS:
                signal.signal(number, ask)
            try:
                return self.work(self.task, self.place), None
            except (Exception, Stopped) as error:
                return None, error
            finally:
                for number in (signal.SIGTERM, *WARNINGS):  # the work is over: let its result be written
                    signal.signal(number, signal.SIG_IGN)
