"""The folder of finished jobs: each written whole or not at all, shared by processes, looked up by key."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from cliffkit.components.engine import ENGINE_SOURCE, engine_source
from cliffkit.components.versions import versions_of
from cliffkit.errors import UserError
from cliffkit.store.artifacts import WEIGHTS, Failure, JobProgress, JobRecord, StoreStamp
from cliffkit.store.checksums import checksums, find_damage
from cliffkit.store.files import remove_leftovers, sync, writing
from cliffkit.store.job import Job

STORE_VERSION = 1

ARRAYS = (".npy", ".bin")
"""Endings of the files of packs and test images: as large as the data. A job checks those that it reads first."""

LARGE = (*ARRAYS, Path(WEIGHTS).suffix)
"""Endings of all files that are not small."""


class DamagedJobError(UserError):
    """A job is not as it was finished. Whoever runs it sets it aside and does it anew."""

    def __init__(self, job: Job, damage: str) -> None:
        self.job, self.damage = job, damage
        super().__init__(f"{job.stage} {job.key[:8]} is damaged: {damage}; run again: it is set aside and done anew")


class Store:
    """Finished jobs under `root/jobs/STAGE-KEY`, unfinished ones beside them with the suffix `.partial`."""

    def __init__(self, root: Path) -> None:
        """Open or make a store. Raises UserError where it cannot be written or is of a newer version."""
        self.root = root
        self.jobs = root / "jobs"
        try:
            self.jobs.mkdir(parents=True, exist_ok=True)
            if (root / StoreStamp.FILE).exists():
                version = StoreStamp.read(root).version
            else:
                version = STORE_VERSION
                StoreStamp(version).write(root)
            if not os.access(self.jobs, os.W_OK):
                raise PermissionError(13, "not writable")
        except (OSError, UserError) as error:
            raise UserError(
                f"{root}: cannot be used as the runs folder: {error}; name a writable one with --runs"
            ) from error
        if version > STORE_VERSION:
            raise UserError(
                f"{root}: was written by a newer cliffkit (store version {version}, this one knows {STORE_VERSION}); "
                "upgrade, or name another folder with --runs"
            )

    def tidy(self) -> None:
        """Remove what killed processes left beside the runs. It lists them all: once a command, not once a job."""
        remove_leftovers(self.root)

    def folder(self, job: Job) -> Path:
        """Give the folder of a job's result, once the job is done."""
        return job_folder(self.root, job)

    def done(self, job: Job) -> bool:
        """Tell whether a job's result is there."""
        return self.folder(job).is_dir()

    def working(self, job: Job) -> Path:
        """Open the folder in which a job works; files of an interrupted attempt are still in it."""
        folder = self._working(job)
        with writing(folder):
            folder.mkdir(exist_ok=True)
        return folder

    def _working(self, job: Job) -> Path:
        return working_folder(self.root, job)

    @contextlib.contextmanager
    def claim(self, job: Job, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a job, so that no other process works on it.

        Where another process holds it, `waiting` is called once. Unless `waiting` raises, this call waits for the job.
        """
        lock = self._lock(job.name)
        with writing(self.jobs), contextlib.suppress(Timeout):  # an OSError, but none of the file system
            lock.acquire(timeout=0)
        if not lock.is_locked:
            waiting()
            with writing(self.jobs):
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def try_hold(self, name: str) -> Iterator[bool]:
        """Hold the job of a name, STAGE-KEY, where no other process does; gives whether it is held."""
        lock = self._lock(name)
        with writing(self.jobs), contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
        try:
            yield lock.is_locked
        finally:
            lock.release()

    def _lock(self, name: str) -> FileLock:
        return FileLock(self.jobs / f".{name}.lock")

    def finish(self, job: Job, seconds: float, leaves: Collection[str] = ()) -> None:
        """Make a job's working folder its result, in one step.

        `leaves` are files that the result must have. Raises UserError where one is missing: something else than the job
        removed it.
        """
        working = self._working(job)
        missing = [name for name in leaves if not (working / name).is_file()]
        if missing or not working.is_dir():
            raise UserError(
                f"{working}: {', '.join(missing) or 'the folder'} is gone; something removed it while {job.stage} was "
                "at work; run again"
            )
        versions = {
            **versions_of(name for part in job.parts for name in part.others),
            ENGINE_SOURCE: engine_source(),
        }
        with writing(working):
            hidden = [path for path in working.rglob(".*") if path.is_file()]  # left by a kill during a write
            # A record is there where an earlier attempt wrote it and could not give the folder its name.
            for leftover in (*hidden, working / JobProgress.FILE, working / JobRecord.FILE):
                leftover.unlink(missing_ok=True)
            sums = checksums(working)
            JobRecord(job.stage, job.key, job.inputs, seconds, time.time(), sums, versions).write(working)
            for path in working.rglob("*"):
                sync(path)
            os.rename(working, self.folder(job))
            sync(self.jobs)

    def damage(self, job: Job, skip: Collection[str] = ARRAYS) -> str | None:
        """Say how a done job differs from what `finish` wrote; None where it does not.

        Files whose names end with one of `skip` are compared by size alone.
        """
        return damage_of(self.folder(job), skip, lambda folder: self.record(job))

    def check(self, job: Job, skip: Collection[str] = ARRAYS) -> None:
        """Raise DamagedJobError where a done job is not as it was finished."""
        damage = self.damage(job, skip)
        if damage is not None:
            raise DamagedJobError(job, damage)

    def set_aside(self, job: Job) -> Path:
        """Give a damaged job's folder another name, so that the job is done anew; nothing is deleted.

        The caller holds the claim on the job.
        """
        folder = self.folder(job)
        number = 1
        while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
            number += 1
        with writing(aside):
            os.rename(folder, aside)
        return aside

    def fail(self, job: Job, reason: str, details: str) -> None:
        """Write down why a job could not be done; `details` for those who want to know exactly."""
        Failure(reason, details, time.time()).write_file(self._failure(job))

    def failure(self, job: Job) -> Failure | None:
        """Read what `fail` wrote of the last attempt; None where it did not fail."""
        path = self._failure(job)
        return Failure.read_file(path) if path.exists() else None

    def forget_failure(self, job: Job) -> None:
        """Take back what `fail` wrote: another attempt begins."""
        with writing(self._failure(job)):
            self._failure(job).unlink(missing_ok=True)

    def log(self, job: Job) -> Path:
        """Give the file for the output of a worker that does a job."""
        return self.jobs / f"{job.name}.log"

    def _failure(self, job: Job) -> Path:
        return self.jobs / f"{job.name}.{Failure.FILE}"

    def tell_progress(self, job: Job, progress: JobProgress) -> None:
        """Let other processes know how far a job is."""
        progress.write(self.working(job))

    def progress(self, job: Job) -> JobProgress | None:
        """Read what the process that works on a job wrote last; None where none works, or nothing is readable."""
        try:
            return JobProgress.read(self._working(job))
        except UserError:  # none yet, or torn by a crash of the system
            return None

    def record(self, job: Job) -> JobRecord:
        """Read what `finish` wrote of a done job."""
        return JobRecord.read(self.folder(job))


def job_folder(root: Path, job: Job) -> Path:
    """Give the folder of a job's result in a store, whether or not the store exists."""
    return root / "jobs" / job.name


def working_folder(root: Path, job: Job) -> Path:
    """Give the folder of a job that is begun and not done in a store, whether or not the store exists."""
    return root / "jobs" / f"{job.name}.partial"


def damage_of(
    folder: Path, skip: Collection[str] = ARRAYS, read: Callable[[Path], JobRecord] = JobRecord.read
) -> str | None:
    """Say how the folder of a done job differs from its record, as `Store.damage` does. `read` reads the record."""
    try:
        record = read(folder)
    except UserError:
        return f"{JobRecord.FILE} is missing or not as it was written"
    hashed = [name for name in record.files if not name.endswith(tuple(skip))]
    return find_damage(folder, record.files, hashed)
