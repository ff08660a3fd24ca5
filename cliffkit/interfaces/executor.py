"""Where the jobs of a study run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class Place(NamedTuple):
    """Where one piece of a study's work runs."""

    device: str
    """As `--device` names it."""
    threads: int
    """Of the processor, for it alone."""
    sharing: int = 1
    """Pieces of work that share the device at once, itself counted; 1 on a processor, whose cores are divided."""


class Executor(ABC):
    """Where the jobs of a study run, each in a process of its own. Factory: `(workers, device, *, options)`.

    `workers` is how many jobs run at once, None where the user left that open; `device` is what `--device` says.
    """

    slots: int
    """Number of pieces of work that run at once; the engine never gives it more."""
    choices: Sequence[int]
    """Numbers of slots among which the engine chooses by measuring; `slots` alone where there is no choice."""
    place: Place
    """The place that work receives. If slots differ, that of the first slot."""

    @abstractmethod
    def resize(self, slots: int) -> None:
        """Run so many at once from now on: one of `choices`. Called only while nothing runs."""

    @abstractmethod
    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        """Begin `work(task, place)` in another process; both are picklable, and both may run again elsewhere.

        The future raises UserError with the reason where the process died, Stopped where a signal asked it to end. Its
        death harms no other piece of work.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop every process, whatever runs there: jobs go on from their checkpoints another time.

        A job that receives SIGTERM saves a checkpoint before its function raises Stopped.
        """
