"""The store of finished jobs: listed, verified, cleaned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cliffkit.errors import UserError
from cliffkit.jobs.run_folder import FILES
from cliffkit.store import inventory
from cliffkit.store.checksums import find_changed
from cliffkit.store.inventory import StoredJob
from cliffkit.store.store import Store, damage_of
from cliffkit.verbs.inputs import AnyPath, path_of
from cliffkit.workers import available_cores

Told = Callable[[int, int], None]
"""Called with the bytes that are done, and all of them."""


@dataclass(frozen=True)
class Verified:
    """What became of a store's files."""

    jobs: int
    """Finished jobs that were read."""
    runs: int
    """Folders of runs, and of scores of other data in them, that were read."""
    size: int
    """Bytes of the jobs."""
    damages: tuple[tuple[Path, str], ...]
    """Folders of jobs, runs and scores whose files are not those that were written, and how they differ."""


def list_jobs(runs: AnyPath = "runs") -> list[StoredJob]:
    """List the jobs of the store in `runs`, the largest first. Raises UserError where that is no store."""
    return inventory.list_jobs(_open(runs))


def verify(runs: AnyPath = "runs", progress: Told = lambda done, total: None) -> Verified:
    """Compare every file of every finished job, run and folder of scores with its checksum. Changes nothing."""
    store = _open(runs)
    jobs = inventory.list_finished(store)
    size = sum(job.size for job in jobs)
    damages: list[tuple[Path, str]] = []
    done = 0
    with ThreadPoolExecutor(available_cores()) as pool:
        for job, damage in zip(jobs, pool.map(lambda job: damage_of(job.folder, skip=()), jobs), strict=True):
            done += job.size
            progress(done, size)
            if damage is not None:
                damages.append((job.folder, damage))

    folders = list(inventory.list_results(store.root))
    for folder in folders:
        changed = find_changed(folder, FILES)
        if changed is not None:
            damages.append((folder, changed))
    return Verified(len(jobs), len(folders), size, tuple(damages))


def list_leftovers(runs: AnyPath = "runs", unfinished: bool = False) -> list[StoredJob]:
    """List the jobs that no run and no study names; those that are not finished only with `unfinished`."""
    states = ("done", "damaged", "unfinished") if unfinished else ("done", "damaged")
    return [job for job in list_jobs(runs) if not job.users and job.state in states]


def remove(jobs: Iterable[StoredJob], runs: AnyPath = "runs") -> list[StoredJob]:
    """Remove jobs from a store; returns those that were removed. A job on which a process works stays.

    Logs and records of failures that nobody needs go too.
    """
    store = _open(runs)
    removed = [job for job in jobs if inventory.remove_job(store, job)]
    inventory.remove_records(store)
    store.tidy()
    return removed


def _open(runs: AnyPath) -> Store:
    """Open a store that exists: to look at one must not make one."""
    root = path_of(runs, "runs")
    if not (root / "jobs").is_dir():
        raise UserError(f"{root}: holds no finished jobs; name a folder of runs with --runs")
    return Store(root)
