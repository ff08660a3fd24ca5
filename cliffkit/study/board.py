"""How far every job and cell of a study is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cliffkit.store.artifacts import JobProgress
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell, jobs_of
from cliffkit.study.chooser import Chooser
from cliffkit.study.rounds import NOT_NEEDED

ORDER = ("evaluate", "pack", "images", "embedding", "depth")
"""Order in which jobs begin: first those that end a cell, then those that other jobs wait for."""

ENDED = ("done", "failed")
"""States of jobs that are not left to do."""

ELSEWHERE_SECONDS = 2.0
"""Seconds until the claim of a job is tried again where another process works on it."""

HOW_TO_RETRY = (
    "the cells of a part whose code was mended have new keys, so `cliffkit ablate` runs them by itself; add "
    "--retry-failed where the cause was another one, such as too little disk or memory"
)
"""How cells that failed are done after all; follows what the reader must do first."""


@dataclass
class JobState:
    """How far one job is."""

    job: Job
    state: str
    """`waiting`, `running`, `elsewhere`, `done` or `failed`."""
    reason: str = ""
    since: float = field(default_factory=time.monotonic)
    """Time of the monotonic clock at which the job came into this state."""
    progress: JobProgress | None = None
    """Last progress told by the process that works on the job."""


class Board:
    """How far every job and cell of a study is. With a `chooser` the scores say which cells are needed.

    The state of a cell is found when one of its jobs changes, not when it is asked for: ten thousand cells are asked
    for theirs whenever a job ends.
    """

    def __init__(
        self, cells: Sequence[Cell], store: Store, chooser: Chooser | None = None, noun: str = "cells"
    ) -> None:
        self.cells, self.store, self._chooser = cells, store, chooser
        self.noun = noun
        """What its cells are called: `cells`, or `trials` of a search."""
        self.jobs: dict[str, JobState] = {}
        self.pace: Callable[[Job], float | None] | None = None
        """About how many seconds a job takes."""
        self.slots = 1
        """Number of jobs that run at once."""
        self.slots_since = 0.0
        """Time of the monotonic clock from which it is that number."""
        self._states: dict[int, str] = {}  # of cells, by id
        self._unended: dict[str, JobState] = {}
        self._users: dict[str, list[Cell]] = {}
        for cell in cells:
            for job in cell.jobs:
                self._users.setdefault(job.key, []).append(cell)
        for key, job in jobs_of(cells).items():
            is_done = store.done(job)
            failure = None if is_done else store.failure(job)
            state = "done" if is_done else "failed" if failure else "waiting"
            self.jobs[key] = JobState(job, state, failure.reason if failure else "")
        self.only_cell = {key: sharers[0] for key, sharers in self._users.items() if len(sharers) == 1}
        """The only cell that uses a job, by the job's key; jobs that several cells share are absent."""
        self._begin()

    @property
    def needed(self) -> Sequence[Cell]:
        """The cells that are needed so far, done or not."""
        return self.cells if self._chooser is None else [cell for cell in self.cells if self._chooser.needs(cell)]

    @property
    def may_follow(self) -> int:
        """Greatest number of cells that may be needed beside those that are needed so far."""
        return 0 if self._chooser is None else self._chooser.course.may_follow

    def needed_jobs(self) -> dict[str, JobState]:
        """Give the jobs of the cells that are needed so far, by key."""
        return {job.key: self.jobs[job.key] for cell in self.needed for job in cell.jobs}

    def to_do(self) -> list[Job]:
        """List the jobs that are left to do."""
        return [entry.job for entry in self.left()]

    def left(self) -> list[JobState]:
        """List what is neither done nor failed; a job that only failed cells need is left out."""
        return self._left(lambda cell: self._chooser is None or self._chooser.needs(cell))

    def most_to_do(self) -> list[Job]:
        """List the jobs that are left to do if every cell that may follow does."""
        return [entry.job for entry in self._left(lambda cell: self._chooser is None or self._chooser.may_need(cell))]

    def retry(self, forget: bool = True) -> None:
        """Let failed jobs be tried again. With `forget` the store forgets their failures, else only this board does."""
        for entry in self.jobs.values():
            if entry.state == "failed":
                if forget:
                    self.store.forget_failure(entry.job)
                entry.state, entry.reason, entry.since = "waiting", "", time.monotonic()
        self._begin()

    def cell_state(self, cell: Cell) -> str:
        """Give a cell's state: `waiting`, `running`, `elsewhere`, `done`, `failed` or, so far, `not needed`.

        A cell is done when all of its jobs are: its run needs the weights too. A job that several cells share makes its
        cells `failed`, but neither `running` nor `elsewhere`.
        """
        if self._chooser is not None and not self._chooser.needs(cell):
            return NOT_NEEDED
        return self._states[id(cell)]

    def _find_state(self, cell: Cell) -> str:
        states = [self.jobs[job.key] for job in cell.jobs]
        if all(entry.state == "done" for entry in states):
            return "done"
        for candidate in ("failed", "running", "elsewhere"):
            if any(
                entry.state == candidate and (candidate == "failed" or self._is_own(entry, cell)) for entry in states
            ):
                return candidate
        return "waiting"

    def cell_reason(self, cell: Cell) -> str:
        """Give the reasons why a cell failed."""
        states = [self.jobs[job.key] for job in cell.jobs]
        return "; ".join(f"{entry.job.stage}: {entry.reason}" for entry in states if entry.state == "failed")

    def counts(self) -> Counter[str]:
        """Count the cells by their states."""
        return Counter(self.cell_state(cell) for cell in self.cells)

    def count(self, state: str) -> int:
        """Count the cells in a state."""
        return self.counts()[state]

    def ready(self) -> list[JobState]:
        """List the jobs that can begin now, in the order in which they should begin."""
        now = time.monotonic()
        entries = [
            entry
            for entry in self.left()
            if (entry.state == "waiting" or (entry.state == "elsewhere" and now - entry.since > ELSEWHERE_SECONDS))
            and all(self._is_done(need) for need in entry.job.needs.values())
        ]
        return sorted(entries, key=lambda entry: ORDER.index(entry.job.stage))

    def unfinished(self) -> list[JobState]:
        """List the jobs that are running, here or elsewhere, with their last progress."""
        active = [entry for entry in self.jobs.values() if entry.state in ("running", "elsewhere")]
        for entry in active:
            entry.progress = self.store.progress(entry.job) or entry.progress
        return active

    def put(self, entry: JobState, state: str, reason: str = "") -> None:
        """Bring a job into a state."""
        entry.state, entry.reason, entry.since = state, reason, time.monotonic()
        for cell in self._users[entry.job.key]:
            self._states[id(cell)] = self._find_state(cell)
        if state in ENDED:
            self._unended.pop(entry.job.key, None)
        elif entry.job.key not in self._unended:
            self._unended = self._find_unended()
        if state in ("waiting", *ENDED):
            self._look()

    def _begin(self) -> None:
        self._states = {id(cell): self._find_state(cell) for cell in self.cells}
        self._unended = self._find_unended()
        self._look()

    def _look(self) -> None:
        if self._chooser is not None:
            self._chooser.look(lambda cell: self._states[id(cell)])

    def _find_unended(self) -> dict[str, JobState]:
        """Give the jobs that are neither done nor failed, by key, in the order of all jobs."""
        return {key: entry for key, entry in self.jobs.items() if entry.state not in ENDED}

    def _left(self, is_needed: Callable[[Cell], bool]) -> list[JobState]:
        return [
            entry
            for key, entry in self._unended.items()
            if any(self._states[id(cell)] != "failed" and is_needed(cell) for cell in self._users[key])
        ]

    def _is_done(self, need: Job) -> bool:
        return self.jobs[need.key].state == "done"

    def _is_own(self, entry: JobState, cell: Cell) -> bool:
        return self.only_cell.get(entry.job.key) is cell


class JobCounts(NamedTuple):
    """Numbers of jobs, each counted once. Those neither done nor to do are left alone, since their cells failed."""

    needed: int
    """Of the cells that are needed so far."""
    shared: int
    """Of the needed ones, by several cells."""
    done: int
    to_do: int
    may_follow: int
    """Greatest number that may be to do beside them."""


def count_jobs(boards: Sequence[Board]) -> JobCounts:
    """Count the jobs of some boards."""
    needed = {key: entry for board in boards for key, entry in board.needed_jobs().items()}
    users = Counter(job.key for board in boards for cell in board.needed for job in cell.jobs)
    to_do, most = (
        {job.key for jobs in lists for job in jobs}
        for lists in ([board.to_do() for board in boards], [board.most_to_do() for board in boards])
    )
    return JobCounts(
        needed=len(needed),
        shared=sum(number > 1 for number in users.values()),
        done=sum(entry.state == "done" for entry in needed.values()),
        to_do=len(to_do),
        may_follow=len(most - to_do),
    )


def seconds_left(board: Board) -> float | None:
    """Estimate the seconds that the study still takes, by the pace of its jobs; None while a pace is unknown."""
    if board.pace is None:
        return None
    seconds = []
    for entry in board.left():
        pace = board.pace(entry.job)
        if pace is None:
            return None
        progress = entry.progress
        seconds.append(pace * (1 - progress.done / max(1, progress.total) if progress else 1))
    return sum(seconds) / board.slots
