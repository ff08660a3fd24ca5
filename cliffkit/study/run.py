"""A study's jobs to an executor's workers, until nothing is left that can be done."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait

from cliffkit.data.splits import Roots
from cliffkit.errors import UserError
from cliffkit.interfaces import Executor
from cliffkit.jobs.worker import JobTask, Outcome, do_job
from cliffkit.store.job import Job
from cliffkit.study.board import Board, JobState
from cliffkit.study.pace import Paces, learn_from, units

LOOK_SECONDS = 0.5


def run_cells(board: Board, executor: Executor, roots: Roots, show: Callable[[Board], None]) -> None:
    """Do every job that is not done and did not fail before; `show` is called whenever something may have changed.

    Jobs that other processes hold, as those of a second `ablate` on the same store, are left to them and looked at
    again. A job that fails takes only the cells with it that need it.
    """
    running: dict[Future[Outcome], JobState] = {}
    paces = Paces(board.store)
    runs = board.store.root.resolve()  # workers may stand elsewhere
    board.slots = executor.slots

    def pace(job: Job) -> float | None:
        known = paces.get(job, executor.place)
        return None if known is None else known.seconds * units(job)

    board.pace = pace
    while True:
        for each in board.ready()[: executor.slots - len(running)]:
            if each.state == "elsewhere" and board.store.done(each.job):
                board.put(each, "done")
                continue
            future = executor.submit(do_job, JobTask(each.job, runs, roots))
            board.put(each, "running")
            running[future] = each
        show(board)
        if not running:
            if not any(each.state == "elsewhere" for each in board.jobs.values()) and not board.ready():
                return
            time.sleep(LOOK_SECONDS)
            continue
        for future in wait(running, LOOK_SECONDS, FIRST_COMPLETED).done:
            each = running.pop(future)
            outcome = _settle(board, each, future)
            if outcome.memory_bytes:
                learn_from(each.job, executor.place, outcome.memory_bytes, board.store, paces)


def _settle(board: Board, each: JobState, future: Future[Outcome]) -> Outcome:
    """Take over what became of a job."""
    try:
        outcome = future.result()
    except UserError as error:  # its process died
        log = board.store.log(each.job)
        reason = f"{error} ({log})" if log.exists() else str(error)
        board.store.fail(each.job, reason, "")
        board.put(each, "failed", reason)
        return Outcome("failed", reason)
    if outcome.state == "busy":
        board.put(each, "elsewhere")
    else:
        board.put(each, outcome.state, outcome.reason)
    return outcome
