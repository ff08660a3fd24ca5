"""Run a study's jobs on an executor's workers until no job is left that can be done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from cliffkit.data.splits import Roots
from cliffkit.errors import Stopped, UserError, cause
from cliffkit.events import Emit, Event, Notice, RunFacts, TrackerFailed
from cliffkit.interfaces import Executor
from cliffkit.jobs.execute import set_aside
from cliffkit.jobs.worker import JobTask, Outcome, do_job
from cliffkit.recipe.part import Part
from cliffkit.stages import is_fit
from cliffkit.store.artifacts import FitFacts
from cliffkit.store.job import Job
from cliffkit.study.board import Board, JobState
from cliffkit.study.cells import Cell
from cliffkit.study.pace import Paces, learn_from, units
from cliffkit.workers import available_cores

LOOK_SECONDS = 0.5


def find_damaged(board: Board) -> list[tuple[JobState, str]]:
    """Find the done jobs of a study that are damaged, each with its damage; arrays of packs are compared by size alone.

    Changes nothing.
    """
    done = [entry for entry in board.jobs.values() if entry.state == "done"]
    with ThreadPoolExecutor(available_cores()) as pool:
        damages = pool.map(lambda entry: board.store.damage(entry.job), done)
        return [(entry, damage) for entry, damage in zip(done, damages, strict=True) if damage is not None]


def set_damaged_aside(board: Board, tell: Emit) -> None:
    """Set aside every damaged job of a study, so that it is done again."""
    for entry, _ in find_damaged(board):
        with board.store.claim(entry.job):
            # Another process may have set it aside since, and may even have done it again.
            damage = board.store.damage(entry.job) if board.store.done(entry.job) else None
            if damage is not None:
                tell(set_aside(entry.job, damage, board.store))
        if not board.store.done(entry.job):
            board.put(entry, "waiting")


def run_cells(
    board: Board,
    executor: Executor,
    roots: Roots,
    show: Callable[[Board], None],
    tell: Emit = lambda event: None,
    checkpoint_every: int | None = None,
    trackers: Sequence[Part] = (),
    facts: Callable[[Cell], RunFacts] | None = None,
) -> None:
    """Do every job that is neither done nor failed; `show` is called whenever the board may have changed.

    `tell` hears of damaged jobs that are done again, and once of a tracker that fails. `facts` names the run that is a
    cell, for events and trackers.

    Where memory ended in a fit and the executor has fewer slots to choose, half as many jobs run at once from then on.
    Their paces are not kept: those are for as many at once as the executor has slots.

    A job that another process holds, such as a second `ablate` on the same store, is left to that process and checked
    again later. A job that fails stops only the cells that need it.
    """
    running: dict[Future[Outcome], JobState] = {}
    silent: set[str] = set()
    paces = Paces(board.store)
    runs = board.store.root.resolve()  # workers may have another working directory
    board.slots, board.slots_since = executor.slots, time.monotonic()

    def pace(job: Job) -> float | None:
        job_pace = paces.get(job, executor.place)
        return None if job_pace is None else job_pace.seconds * units(job)

    board.pace = pace
    while True:
        free = board.slots - len(running)
        for entry in board.ready()[:free] if free > 0 else ():
            if entry.state == "elsewhere" and board.store.done(entry.job):
                board.put(entry, "done")
                continue
            cell = board.only_cell.get(entry.job.key)
            named = (facts(cell), cell.jobs, tuple(trackers)) if cell and facts else ()
            future = executor.submit(do_job, JobTask(entry.job, runs, roots, checkpoint_every, *named))
            board.put(entry, "running")
            running[future] = entry
        show(board)
        if not running:
            if not any(entry.state == "elsewhere" for entry in board.left()) and not board.ready():
                return
            time.sleep(LOOK_SECONDS)
            continue
        for future in wait(running, LOOK_SECONDS, FIRST_COMPLETED).done:
            entry = running.pop(future)
            began, outcome = entry.since, _settle(board, entry, future)
            for event in _unheard(outcome.events, silent):
                tell(event)
            # a fit that began among more jobs may have met the shortage for which there are fewer now
            if began >= board.slots_since and _ran_out_of_memory(board, entry):
                _take_fewer_slots(board, entry, executor, tell)
            if outcome.memory_bytes and board.slots == executor.slots:
                with contextlib.suppress(UserError):  # a pace that cannot be kept, as on a full disk, ends no study
                    learn_from(entry.job, executor.place, outcome.memory_bytes, board.store, paces)


def _unheard(events: Iterable[Event], silent: set[str]) -> Iterator[Event]:
    """Give the events that are to be told: of a tracker that fails, the first one."""
    for event in events:
        if isinstance(event, TrackerFailed):
            if event.tracker in silent:
                continue
            silent.add(event.tracker)
        yield event


def _ran_out_of_memory(board: Board, entry: JobState) -> bool:
    """Tell whether a fit that is done had to halve its passes, beside jobs that may have taken the memory."""
    if entry.state == "done" and is_fit(entry.job):
        with contextlib.suppress(UserError):  # facts that cannot be read end no study
            return FitFacts.read(board.store.folder(entry.job)).micro_batch is not None
    return False


def _take_fewer_slots(board: Board, entry: JobState, executor: Executor, tell: Emit) -> None:
    """Halve the number of jobs that run at once, as far as the executor has a choice; say so."""
    fewer = max(min(executor.choices), board.slots // 2)
    if fewer < board.slots:
        name = f"{entry.job.stage} {entry.job.key[:8]}"
        tell(Notice(f"{name} ran out of memory beside others: {fewer} at once now"))
        board.slots, board.slots_since = fewer, time.monotonic()


def _settle(board: Board, entry: JobState, future: Future[Outcome]) -> Outcome:
    """Put the outcome of a job on the board."""
    error = future.exception()
    if isinstance(error, Stopped):  # somebody stopped its process alone: no fault of the job, so none is kept
        board.put(entry, "failed", f"its process was {error}; the same command does it again")
        return Outcome("failed", entry.reason)
    if error is not None:  # its process died, or could not be given the job
        failure = board.store.failure(entry.job)
        if failure is not None:  # it said why before it ended, as where it lost its GPU
            board.put(entry, "failed", failure.reason)
            return Outcome("failed", failure.reason)
        log = board.store.log(entry.job)
        reason = str(error) if isinstance(error, UserError) else cause(error)
        reason = f"{reason} ({log})" if log.exists() else reason
        board.store.fail(entry.job, reason, "")
        board.put(entry, "failed", reason)
        return Outcome("failed", reason)
    outcome = future.result()
    if outcome.state == "busy":
        board.put(entry, "elsewhere")
    else:
        board.put(entry, outcome.state, outcome.reason)
    return outcome
