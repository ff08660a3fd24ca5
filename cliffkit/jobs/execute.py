"""Run jobs, each once per store, in the process that asks first."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from accelerate.utils import broadcast_object_list

from cliffkit.data.splits import Roots
from cliffkit.errors import UserError
from cliffkit.events import Emit, JobFinished, JobSetAside, JobSkipped, JobStarted, Notice
from cliffkit.jobs.announce import telling_store
from cliffkit.jobs.code import check_code
from cliffkit.stages import LEAVES, STAGES, TRAINED, worth_keeping
from cliffkit.stages.context import Context
from cliffkit.store.job import Job
from cliffkit.store.store import ARRAYS, DamagedJobError, Store
from cliffkit.training.checkpoint import checkpoint_step
from cliffkit.training.device import Device


def run_jobs(jobs: Sequence[Job], store: Store, device: Device, roots: Roots, emit: Emit) -> list[str]:
    """Do the jobs that are not done, in order; returns the stages that were done before."""
    return [job.stage for job in jobs if run_job(job, store, device, roots, emit)]


def run_job(
    job: Job, store: Store, device: Device, roots: Roots, emit: Emit, waiting: Callable[[], None] | None = None
) -> bool:
    """Do a job unless it is done; returns whether it was done before.

    A job that is damaged is set aside and done again, and so is a damaged one among those that it needs. Where another
    process works on the job, `waiting` is called. Unless `waiting` raises, this process waits for the other.
    """
    while True:
        try:
            return _run_job(job, store, device, roots, emit, waiting)
        except DamagedJobError as error:
            damaged = error
        _run_job(damaged.job, store, device, roots, emit, skip=())


def _run_job(
    job: Job,
    store: Store,
    device: Device,
    roots: Roots,
    emit: Emit,
    waiting: Callable[[], None] | None = None,
    skip: Collection[str] = ARRAYS,
) -> bool:
    """Do a job unless it is done and sound, without regard to files whose names end with one of `skip`.

    Raises DamagedJobError where a job that it needs is damaged.
    """
    main = device.accelerator.is_main_process
    emit = telling_store(job, store, emit) if main else emit

    def wait() -> None:
        emit(Notice(f"another process works on {job.stage} {job.key[:8]}; waiting for it"))

    # Of several processes that share a run, the first holds the claim for all.
    with store.claim(job, waiting or wait) if main else contextlib.nullcontext():
        if _agree(device, store.done(job)):
            damage = _agree(device, store.damage(job, skip) if main else None)
            if damage is None:
                emit(JobSkipped(job.stage, job.key))
                return True
            if main:
                emit(set_aside(job, damage, store))
        _check_needs(job, store, device)
        if main or job.stage in TRAINED:
            _do(job, store, device, roots, emit)
        device.accelerator.wait_for_everyone()
    return False


def set_aside(job: Job, damage: str, store: Store) -> JobSetAside:
    """Set a damaged job aside; returns the event to tell. The caller holds the claim on the job."""
    return JobSetAside(job.stage, job.key, damage, str(store.set_aside(job)))


def _check_needs(job: Job, store: Store, device: Device) -> None:
    """Raise DamagedJobError, in every process, where a job that this one reads is damaged.

    Arrays of packs are compared by those that read them.
    """
    for need in job.needs.values():
        skip = () if job.stage in TRAINED else ARRAYS
        damage = _agree(device, store.damage(need, skip) if device.accelerator.is_main_process else None)
        if damage is not None:
            raise DamagedJobError(need, damage)


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
        store.finish(job, seconds, LEAVES[job.stage])
    emit(JobFinished(job.stage, job.key, seconds))


def _agree(device: Device, value: Any) -> Any:
    """Give the main process's value to every process."""
    if device.accelerator.num_processes == 1:
        return value
    box = [value]
    broadcast_object_list(box)
    return box[0]
