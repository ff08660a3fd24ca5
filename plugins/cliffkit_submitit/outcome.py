"""How a job of the cluster ended: with a result, stopped before its time, cancelled or dead."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

from submitit.core.utils import FailedJobError, UncompletedJobError

from cliffkit.errors import Stopped, UserError
from cliffkit.text import cut

LOOK_SECONDS = 0.5
"""Seconds between two looks for a job's result."""

ASK_SECONDS = 60.0
"""Seconds between two questions to the cluster for a job's state."""

LOST = ("TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "REVOKED")
"""States of Slurm in which a job ended by no fault of its work."""

FULL = "OUT_OF_MEMORY"
"""The state of Slurm in which a job asked for more memory than it had."""


class DiedError(UserError):
    """A job ended without a result, whatever the reason."""


def outcome(job: Any, is_local: bool, closed: threading.Event) -> tuple[Any, BaseException | None]:
    """Wait until a job of submitit has ended; give its result, or None and why there is none.

    Stopped says that the job ended before its work did and may be submitted again; DiedError, that its process died.
    Raises Stopped where somebody cancelled the job, or the executor was closed.
    """
    _wait(job, closed)
    if is_local and not job.paths.result_pickle.exists():  # there is no file system to wait for
        return None, DiedError(f"its process died; its log: {job.paths.stdout}")
    try:
        (pair,) = job.results()
        result, error = pair
    except FailedJobError as failure:  # outside of the work, as where a module of it is missing
        trace = str(failure).partition("You can check full logs")[0].rstrip("-\n ")
        reason = cut(trace.splitlines()[-1], 300)
        return None, UserError(f"job {job.job_id} cannot begin its work: {reason}; its log: {job.paths.stdout}")
    except UncompletedJobError:
        result = error = None
    else:
        if not isinstance(error, Stopped):
            return result, error

    state = "" if is_local else _last_state(job)
    if state.startswith("CANCELLED"):
        raise Stopped(signal.SIGTERM)
    if error is not None or state.startswith(LOST):
        return None, Stopped(signal.SIGTERM)
    if state == FULL:
        return None, UserError(f"job {job.job_id} ran out of memory; raise memory_gb; its log: {job.paths.stdout}")
    return None, DiedError(f"job {job.job_id} died in state {state}; its log: {job.paths.stdout}")


def _wait(job: Any, closed: threading.Event) -> None:
    """Wait until a job has a result, or the cluster says that it has ended. Raises Stopped where `closed` is set."""
    asked = time.monotonic()
    while True:
        late = time.monotonic() - asked > ASK_SECONDS
        asked = time.monotonic() if late else asked
        if job.done(force_check=late) or job.state.startswith(LOST):  # submitit takes some of them for waiting
            return
        if closed.wait(LOOK_SECONDS):
            raise Stopped(signal.SIGTERM)


def _last_state(job: Any) -> str:
    """Ask the cluster for the state of a job that has ended; it may take a moment to know."""
    deadline = time.monotonic() + ASK_SECONDS
    while True:
        state = str(job.watcher.get_state(job.job_id, mode="force")).upper()
        if state not in ("RUNNING", "COMPLETING", "PENDING", "UNKNOWN") or time.monotonic() > deadline:
            return state
        time.sleep(LOOK_SECONDS)
