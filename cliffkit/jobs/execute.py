"""Run jobs, each once per store, in the process that asks first."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any

from accelerate.utils import broadcast_object_list

from cliffkit.data.splits import Roots
from cliffkit.errors import UserError
from cliffkit.events import Emit, JobFinished, JobSkipped, JobStarted, Notice
from cliffkit.jobs.announce import telling_store
from cliffkit.jobs.code import check_code
from cliffkit.stages import STAGES, TRAINED, worth_keeping
from cliffkit.stages.context import Context
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.training.checkpoint import checkpoint_step
from cliffkit.training.device import Device


def run_jobs(jobs: Sequence[Job], store: Store, device: Device, roots: Roots, emit: Emit) -> list[str]:
    """Do the jobs that are not done, in order; returns the stages that were done before."""
    return [job.stage for job in jobs if run_job(job, store, device, roots, emit)]


def run_job(
    job: Job, store: Store, device: Device, roots: Roots, emit: Emit, waiting: Callable[[], None] | None = None
) -> bool:
    """Do a job unless it is done; returns whether it was done before.

    Where another process works on it, `waiting` is called. Unless `waiting` raises, this process waits for the other.
    """
    main = device.accelerator.is_main_process
    emit = telling_store(job, store, emit) if main else emit

    def wait() -> None:
        emit(Notice(f"another process works on {job.stage} {job.key[:8]}; waiting for it"))

    # Of several processes that share a run, the first holds the claim for all.
    with store.claim(job, waiting or wait) if main else contextlib.nullcontext():
        if _agree(device, store.done(job)):
            emit(JobSkipped(job.stage, job.key))
            return True
        if main or job.stage in TRAINED:
            _do(job, store, device, roots, emit)
        device.accelerator.wait_for_everyone()
    return False


def _do(job: Job, store: Store, device: Device, roots: Roots, emit: Emit) -> None:
    """Do a job in its working folder; the main process turns the folder into the result."""
    check_code(job)
    main = device.accelerator.is_main_process
    if main:
        store.forget_failure(job)
    folder = store.working(job)
    needs = {stage: store.folder(need) for stage, need in job.needs.items()}

    emit(JobStarted(job.stage, job.key, checkpoint_step(folder)))
    started = time.monotonic()
    try:
        with device.determinism(job.recipe.train.deterministic):
            STAGES[job.stage](job, Context(folder, needs, device, roots, emit))
    except UserError:
        if not worth_keeping(job.stage, folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    seconds = time.monotonic() - started

    if main:
        store.finish(job, seconds)
    emit(JobFinished(job.stage, job.key, seconds))


def _agree(device: Device, value: Any) -> Any:
    """Give the main process's value to every process."""
    if device.accelerator.num_processes == 1:
        return value
    box = [value]
    broadcast_object_list(box)
    return box[0]
