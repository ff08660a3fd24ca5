"""Run jobs, each once per store, in the process that asks first."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from cliffkit.components.engine import engine_source
from cliffkit.data.splits import Roots
from cliffkit.errors import UserError
from cliffkit.events import Emit, JobFinished, JobSetAside, JobSkipped, JobStarted, Notice
from cliffkit.jobs.announce import telling_store
from cliffkit.jobs.code import check_code
from cliffkit.jobs.files import check_data, check_files
from cliffkit.stages import ARRAYS_READ, STAGES, TRAINED, leaves, worth_keeping
from cliffkit.stages.context import Context
from cliffkit.store.job import Job
from cliffkit.store.store import ARRAYS, DamagedJobError, Store
from cliffkit.training.checkpoint import checkpoint_step
from cliffkit.training.device import Device


@dataclass(frozen=True)
class Means:
    """The means with which jobs are done."""

    store: Store
    device: Device
    roots: Roots
    emit: Emit
    checkpoint_every: int | None = None
    """Steps after which a fit saves a checkpoint, beside those by the clock."""
    pictured: bool = False
    """Whether a fit of the network draws predictions at every validation."""

    @property
    def is_main(self) -> bool:
        """Whether this is the first of the processes that share a run."""
        return bool(self.device.accelerator.is_main_process)


def run_jobs(jobs: Sequence[Job], means: Means) -> list[str]:
    """Do the jobs that are not done, in order; returns the stages that were done before."""
    return [job.stage for job in jobs if run_job(job, means)]


def run_job(job: Job, means: Means, waiting: Callable[[], None] | None = None) -> bool:
    """Do a job unless it is done; returns whether it was done before.

    A damaged job is set aside and done again, and so is each damaged job that it needs. Where another process works on
    the job, `waiting` is called. Unless `waiting` raises, this process waits for the other.
    """
    while True:
        try:
            return _run_job(job, means, waiting)
        except DamagedJobError as error:
            damaged = error.job
        _run_job(damaged, means, skip=())


def _run_job(job: Job, means: Means, waiting: Callable[[], None] | None = None, skip: Collection[str] = ARRAYS) -> bool:
    """Do a job unless it is done and sound, without regard to the content of files whose names end with one of `skip`.

    Raises DamagedJobError where a job that it needs is damaged.
    """
    if means.is_main:
        means = replace(means, emit=telling_store(job, means.store, means.emit))
    store, device, emit = means.store, means.device, means.emit

    def wait() -> None:
        emit(Notice(f"another process works on {job.stage} {job.key[:8]}; waiting for it"))

    # Of several processes that share a run, the first holds the claim for all.
    with store.claim(job, waiting or wait) if means.is_main else contextlib.nullcontext():
        if device.agree(store.done(job)):
            damage = device.agree(store.damage(job, skip) if means.is_main else None)
            if damage is None:
                emit(JobSkipped(job.stage, job.key))
                return True
            if means.is_main:
                emit(set_aside(job, damage, store))
        _check_needs(job, means)
        if means.is_main or job.stage in TRAINED:
            _do(job, means)
        device.accelerator.wait_for_everyone()
    return False


def set_aside(job: Job, damage: str, store: Store) -> JobSetAside:
    """Set a damaged job aside; returns the event to tell. The caller holds the claim on the job."""
    return JobSetAside(job.stage, job.key, damage, str(store.set_aside(job)))


def _check_needs(job: Job, means: Means) -> None:
    """Raise DamagedJobError, in every process, where a job that this one reads is damaged.

    Arrays are compared by the stages that read them.
    """
    for stage, need in job.needs.items():
        skip = () if stage in ARRAYS_READ.get(job.stage, ()) else ARRAYS
        damage = means.device.agree(means.store.damage(need, skip) if means.is_main else None)
        if damage is not None:
            raise DamagedJobError(need, damage)


def _do(job: Job, means: Means) -> None:
    """Do a job in its working folder; the main process turns the folder into the result."""
    check_code(job)
    check_files(job)
    engine_source()  # as it is now, whatever is edited meanwhile
    store, device, emit = means.store, means.device, means.emit
    if means.is_main:
        store.forget_failure(job)
    folder = store.working(job)
    needs = {stage: store.folder(need) for stage, need in job.needs.items()}

    emit(JobStarted(job.stage, job.key, checkpoint_step(folder)))
    started = time.monotonic()
    try:
        with device.determinism(job.recipe.train.deterministic):
            context = Context(folder, needs, device, means.roots, emit, means.checkpoint_every, means.pictured)
            STAGES[job.stage](job, context)
        check_data(job, means.roots)
    except UserError:
        if not worth_keeping(job.stage, folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    seconds = time.monotonic() - started

    if means.is_main:
        store.finish(job, seconds, leaves(job))
    emit(JobFinished(job.stage, job.key, seconds))
