"""What a store holds: every job with its size, its age, and the runs and studies that name it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cliffkit.errors import UserError
from cliffkit.store.artifacts import WEIGHTS, Failure, JobNames, JobRecord, RunMetrics, Scores
from cliffkit.store.checksums import SUMS
from cliffkit.store.files import remove_leftovers, writing
from cliffkit.store.store import Store

SET_ASIDE, PARTIAL, REMOVED = ".damaged-", ".partial", ".removed"
"""Parts of names of folders that are no results."""


@dataclass(frozen=True)
class StoredJob:
    """A folder of a store's jobs."""

    folder: Path
    name: str
    """STAGE-KEY, of the job."""
    state: str
    """`done`, `unfinished`, or `damaged` where the job was set aside."""
    size: int
    """Bytes of its files, whether or not a run's folder has them too."""
    changed: float
    """Unix time at which it was finished, or at which its folder changed last."""
    users: tuple[str, ...]
    """Folders of the runs and studies that name the job, from the store's own; none for a job that was set aside."""


def list_jobs(store: Store) -> list[StoredJob]:
    """List the jobs of a store, finished or not, the largest first.

    Raises UserError where the jobs that a run's folder names cannot be read: they would be taken for leftovers.
    """
    return _list(store, _users(store.root))


def list_finished(store: Store) -> list[StoredJob]:
    """List the finished jobs of a store, the largest first, whatever is damaged; who names them is left out."""
    return [job for job in _list(store, {}) if job.state == "done"]


def _list(store: Store, users: Mapping[str, tuple[str, ...]]) -> list[StoredJob]:
    folders = (path for path in store.jobs.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted((_stored(folder, users) for folder in folders), key=lambda job: (-job.size, job.name))


def remove_job(store: Store, job: StoredJob) -> bool:
    """Remove a job; returns whether that was done. A job on which a process works stays.

    Raises UserError where it cannot be removed.
    """
    with store.try_hold(job.name) as is_held:
        if not is_held or not job.folder.exists():
            return False
        gone = job.folder.with_name(f"{job.folder.name}{REMOVED}")
        with writing(job.folder):
            shutil.rmtree(gone, ignore_errors=True)
            os.rename(job.folder, gone)  # in one step: half a job is no job
            shutil.rmtree(gone)
    return True


def remove_records(store: Store) -> None:
    """Remove what killed processes left, and logs and records of failures of jobs that nobody has or names."""
    remove_leftovers(store.jobs)
    kept = {job.name for job in list_jobs(store)} | _users(store.root).keys()
    with writing(store.jobs):
        for ending in (".log", f".{Failure.FILE}"):
            for path in store.jobs.glob(f"*{ending}"):
                if path.name.removesuffix(ending) not in kept:
                    path.unlink()


def list_results(root: Path) -> Iterator[Path]:
    """List the folders of runs and of scores below a store's, also those of which a file is gone."""
    return (folder for folder, files in _folders(root) if files & {SUMS, WEIGHTS, RunMetrics.FILE})


def _stored(folder: Path, users: Mapping[str, tuple[str, ...]]) -> StoredJob:
    name, state = folder.name, "done"
    if SET_ASIDE in name:
        name, state = name.partition(SET_ASIDE)[0], "damaged"
    elif name.endswith((PARTIAL, REMOVED)):
        name, state = name.removesuffix(REMOVED).removesuffix(PARTIAL), "unfinished"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        changed = JobRecord.read(folder).finished
    except UserError:
        changed = folder.stat().st_mtime
    return StoredJob(folder, name, state, size, changed, () if state == "damaged" else users.get(name, ()))


def _users(root: Path) -> dict[str, tuple[str, ...]]:
    """Find who names each job."""
    users: dict[str, tuple[str, ...]] = {}
    for folder, names in _naming(root):
        for name in dict.fromkeys(names):
            users[name] = (*users.get(name, ()), folder.relative_to(root).as_posix())
    return users


def _naming(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Find the folders below a store's that name jobs, and the names. Raises UserError as `list_jobs` does."""
    for folder, files in _folders(root):
        if JobNames.FILE in files:
            yield folder, JobNames.read(folder).jobs
        elif RunMetrics.FILE in files and not _are_given(folder):
            jobs = RunMetrics.read(folder).jobs
            yield folder, tuple(f"{stage}-{key}" for stage, key in jobs.items())


def _are_given(folder: Path) -> bool:
    """Tell whether a folder's scores are of given predictions, or of other data: they are no run and name no job."""
    try:
        return Scores.read(folder).selection is None
    except UserError:  # damaged; a run's, as far as is known
        return False


def _folders(root: Path) -> Iterator[tuple[Path, set[str]]]:
    """List the folders below a store's, but for its jobs, each with the names of its files."""
    for place, folders, files in os.walk(root):
        folder = Path(place)
        folders[:] = sorted(name for name in folders if not (folder == root and name == "jobs"))
        yield folder, set(files)
