"""A store as it is found: for readers of many cells that share jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from cliffkit.store.artifacts import Failure, JobRecord
from cliffkit.store.job import Job
from cliffkit.store.store import ARRAYS, Store

T = TypeVar("T")


class Snapshot(Store):
    """A store whose jobs are each looked up once, however often they are asked for. Later changes are not seen.

    Each look costs calls of the file system, which take a millisecond over a network.
    """

    def __init__(self, store: Store) -> None:
        """Begin with a store that is open."""
        self.root, self.jobs = store.root, store.jobs
        self._found: dict[tuple[object, ...], Any] = {}

    def done(self, job: Job) -> bool:
        """Tell whether a job's result is there."""
        return self._once(("done", job.name), lambda: super(Snapshot, self).done(job))

    def failure(self, job: Job) -> Failure | None:
        """Read what `fail` wrote of the last attempt; None where it did not fail."""
        return self._once(("failure", job.name), lambda: super(Snapshot, self).failure(job))

    def damage(self, job: Job, skip: Collection[str] = ARRAYS) -> str | None:
        """Say how a done job differs from what `finish` wrote; None where it does not."""
        return self._once(("damage", job.name, *skip), lambda: super(Snapshot, self).damage(job, skip))

    def record(self, job: Job) -> JobRecord:
        """Read what `finish` wrote of a done job."""
        return self._once(("record", job.name), lambda: super(Snapshot, self).record(job))

    def _once(self, question: tuple[object, ...], look: Callable[[], T]) -> T:
        if question not in self._found:
            self._found[question] = look()
        answer: T = self._found[question]
        return answer
