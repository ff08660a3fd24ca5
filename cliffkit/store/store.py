"""The folder of finished jobs: each written whole or not at all, shared by processes, looked up by key."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from cliffkit.errors import UserError

if TYPE_CHECKING:
    from cliffkit.store.job import Job
from cliffkit.store.files import sync, write_json

STORE_VERSION = 1

PROGRESS = "progress.json"


class Store:
    """Finished jobs under `root/jobs/STAGE-KEY`, unfinished ones beside them with the suffix `.partial`."""

    def __init__(self, root: Path) -> None:
        """Open or make a store. Raises UserError where it cannot be written or is of a newer version."""
        self.root = root
        self.jobs = root / "jobs"
        try:
            self.jobs.mkdir(parents=True, exist_ok=True)
            stamp = root / "store.json"
            if stamp.exists():
                version = int(json.loads(stamp.read_text(encoding="utf-8"))["version"])
            else:
                version = STORE_VERSION
                write_json(stamp, {"version": version})
            if not os.access(self.jobs, os.W_OK):
                raise PermissionError(13, "not writable")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{root}: cannot be used as the runs folder: {error}; name a writable one with --runs"
            ) from error
        if version > STORE_VERSION:
            raise UserError(
                f"{root}: was written by a newer cliffkit (store version {version}, this one knows {STORE_VERSION}); "
                "upgrade, or name another folder with --runs"
            )

    def folder(self, job: Job) -> Path:
        """Where a job's result lies once it is done."""
        return job_folder(self.root, job)

    def done(self, job: Job) -> bool:
        """Whether a job's result is there."""
        return self.folder(job).is_dir()

    def working(self, job: Job) -> Path:
        """The folder in which a job is being made; what an interrupted attempt left is still in it."""
        folder = self.jobs / f"{job.stage}-{job.key}.partial"
        folder.mkdir(exist_ok=True)
        return folder

    @contextlib.contextmanager
    def claim(self, job: Job, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a job, so that no other process works on it.

        Where another one does, `waiting` is called once; unless it raises, the job is waited for.
        """
        lock = FileLock(self.jobs / f".{job.stage}-{job.key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def finish(self, job: Job, seconds: float) -> None:
        """Make a job's working folder its result, in one step."""
        working = self.working(job)
        for leftover in [*working.rglob(".*.tmp"), working / PROGRESS]:  # of a kill while a file was written
            leftover.unlink(missing_ok=True)
        write_json(working / "job.json", {**job.to_dict(), "seconds": seconds, "finished": time.time()})
        for path in working.rglob("*"):
            sync(path)
        os.rename(working, self.folder(job))
        sync(self.jobs)

    def fail(self, job: Job, reason: str, details: str) -> None:
        """Write down why a job could not be done; `details` for those who want to know exactly."""
        write_json(self._failure(job), {"reason": reason, "details": details, "time": time.time()})

    def failure(self, job: Job) -> dict[str, Any] | None:
        """What `fail` wrote of the last attempt; None where it did not fail."""
        try:
            failure: dict[str, Any] = json.loads(self._failure(job).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return failure

    def forget_failure(self, job: Job) -> None:
        """Take back what `fail` wrote: another attempt begins."""
        self._failure(job).unlink(missing_ok=True)

    def log(self, job: Job) -> Path:
        """Where a worker's process writes what it would print while it does a job."""
        return self.jobs / f"{job.stage}-{job.key}.log"

    def _failure(self, job: Job) -> Path:
        return self.jobs / f"{job.stage}-{job.key}.failed.json"

    def tell_progress(self, job: Job, progress: Mapping[str, Any]) -> None:
        """Let other processes know how far a job is. Not synced to the disk: lost, it is only told again."""
        path = self.working(job) / PROGRESS
        temporary = path.with_name(f".{PROGRESS}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(progress), encoding="utf-8")
        os.replace(temporary, path)

    def progress(self, job: Job) -> dict[str, Any] | None:
        """What the process that works on a job told last; None where none does, or it has told nothing yet."""
        try:
            text = (self.jobs / f"{job.stage}-{job.key}.partial" / PROGRESS).read_text(encoding="utf-8")
        except OSError:
            return None
        told: dict[str, Any] = json.loads(text)
        return told

    def record(self, job: Job) -> dict[str, Any]:
        """What `finish` wrote of a done job."""
        record: dict[str, Any] = json.loads((self.folder(job) / "job.json").read_text(encoding="utf-8"))
        return record


def job_folder(root: Path, job: Job) -> Path:
    """Where a job's result lies in a store, whether or not the store is there yet."""
    return root / "jobs" / f"{job.stage}-{job.key}"
