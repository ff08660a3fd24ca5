"""How far every job and cell of a study is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cliffkit.store.artifacts import JobProgress
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell, jobs_of

ORDER = ("evaluate", "pack", "embedding", "depth")
"""What goes first: what ends a cell, then what other jobs wait for."""

ELSEWHERE_SECONDS = 2.0
"""How long a job that another process works on is left alone before its claim is tried again."""


@dataclass
class JobState:
    """How far one job is."""

    job: Job
    state: str
    """`waiting`, `running`, `elsewhere`, `done` or `failed`."""
    reason: str = ""
    since: float = field(default_factory=time.monotonic)
    """When it came into this state."""
    progress: JobProgress | None = None
    """What the process that works on it told last."""


class Board:
    """How far every job and cell of a study is."""

    def __init__(self, cells: Sequence[Cell], store: Store) -> None:
        self.cells, self.store = cells, store
        self.jobs: dict[str, JobState] = {}
        self.pace: Callable[[Job], float | None] | None = None
        """About how many seconds a job takes."""
        self.slots = 1
        users: dict[str, list[Cell]] = {}
        for cell in cells:
            for job in cell.jobs:
                users.setdefault(job.key, []).append(cell)
        for key, job in jobs_of(cells).items():
            failure = None if store.done(job) else store.failure(job)
            state = "done" if store.done(job) else "failed" if failure else "waiting"
            self.jobs[key] = JobState(job, state, failure.reason if failure else "")
        self.own = {key: found[0] for key, found in users.items() if len(found) == 1}
        """By the key of a job that no other cell shares."""

    def to_do(self) -> list[Job]:
        """Jobs that are neither done nor failed."""
        return [each.job for each in self.jobs.values() if each.state not in ("done", "failed")]

    def retry(self) -> None:
        """Forget what failed, so that it is tried again."""
        for each in self.jobs.values():
            if each.state == "failed":
                self.store.forget_failure(each.job)
                self.put(each, "waiting")

    def cell_state(self, cell: Cell) -> str:
        """Say `waiting`, `running`, `elsewhere`, `done` or `failed`: where its own work stands, or why it waits."""
        states = [self.jobs[job.key] for job in cell.jobs]
        if states[-1].state == "done":
            return "done"
        for wanted in ("failed", "running", "elsewhere"):
            if any(each.state == wanted and (wanted == "failed" or self._is_own(each, cell)) for each in states):
                return wanted
        return "waiting"

    def cell_reason(self, cell: Cell) -> str:
        """Why a cell failed."""
        states = [self.jobs[job.key] for job in cell.jobs]
        return "; ".join(f"{each.job.stage}: {each.reason}" for each in states if each.state == "failed")

    def count(self, state: str) -> int:
        """How many cells are in a state."""
        return sum(self.cell_state(cell) == state for cell in self.cells)

    def ready(self) -> list[JobState]:
        """List what can be begun now, the first first."""
        now = time.monotonic()
        found = [
            each
            for each in self.jobs.values()
            if (each.state == "waiting" or (each.state == "elsewhere" and now - each.since > ELSEWHERE_SECONDS))
            and all(self._is_done(need) for need in each.job.needs.values())
        ]
        return sorted(found, key=lambda each: ORDER.index(each.job.stage))

    def unfinished(self) -> list[JobState]:
        """Jobs that are running, here or elsewhere, with what they told last."""
        active = [each for each in self.jobs.values() if each.state in ("running", "elsewhere")]
        for each in active:
            each.progress = self.store.progress(each.job) or each.progress
        return active

    def put(self, each: JobState, state: str, reason: str = "") -> None:
        """Bring a job into a state."""
        each.state, each.reason, each.since = state, reason, time.monotonic()

    def _is_done(self, need: Job) -> bool:
        return self.jobs[need.key].state == "done"

    def _is_own(self, each: JobState, cell: Cell) -> bool:
        return self.own.get(each.job.key) is cell


def seconds_left(board: Board) -> float | None:
    """About how long the study still takes, by the pace of what is done; None while that is unknown."""
    if board.pace is None:
        return None
    left = [each for each in board.jobs.values() if each.state in ("waiting", "running", "elsewhere")]
    seconds = []
    for each in left:
        pace = board.pace(each.job)
        if pace is None:
            return None
        told = each.progress
        seconds.append(pace * (1 - told.done / max(1, told.total) if told else 1))
    return sum(seconds) / board.slots


def duration(seconds: float) -> str:
    """`4.5 s`, `45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 89.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
