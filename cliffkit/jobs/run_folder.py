"""A run's folder: what a person looks at, laid out of finished jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cliffkit.errors import UserError
from cliffkit.jobs.parts import CODE, write_parts
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages import is_fit
from cliffkit.store.artifacts import (
    LOG,
    LOSSES,
    PANEL,
    RECIPE,
    WEIGHTS,
    Environment,
    JobNames,
    PerImage,
    RegionScores,
    RunMetrics,
    RunParts,
    Scores,
)
from cliffkit.store.checksums import SUMS, checksum, find_changed, format_sums
from cliffkit.store.files import join, link, make_folder, write_text, writing
from cliffkit.store.job import Job
from cliffkit.store.store import Store

SCORED = (PerImage.FILE, RegionScores.FILE, PANEL)
"""Files that stage evaluate leaves for people and for later computations."""

FILES = (RECIPE, WEIGHTS, LOSSES, LOG, RunMetrics.FILE, *SCORED, Environment.FILE, RunParts.FILE)
"""Files of a run's folder, beside the texts of its parts. A folder of scores has some of them."""

CHECKED = (RECIPE, WEIGHTS, RunMetrics.FILE, PerImage.FILE)
"""Files of a run's folder whose content enters later computations."""


def run_folder(recipe: Recipe, jobs: Sequence[Job], parent: Path) -> Path:
    """Name the folder of a run among others in `parent`."""
    return parent / f"{recipe.name}-{jobs[-1].key[:8]}"


SCORE_AGAIN = "score the predictions again"
"""What helps where a folder of scores is damaged: it has no recipe."""


def is_published(folder: Path) -> bool:
    """Tell whether a run's folder is laid out whole, and its files are those that were written."""
    return find_changed(folder, CHECKED) is None


def check_files(folder: Path, names: Iterable[str] = CHECKED, remedy: str | None = None) -> None:
    """Compare files of a folder of a run, or of scores, with its checksums. `remedy` is by default to run it again.

    Raises UserError where one is not as it was written.
    """
    changed = find_changed(folder, names)
    if changed is not None:
        remedy = remedy or f"run its recipe again: cliffkit run {folder / RECIPE}"
        raise UserError(f"{folder}: {changed}; put it back as it was, or {remedy}")


def name_jobs(folder: Path, jobs: Iterable[Job]) -> None:
    """Write down in a run's or study's folder which jobs it needs."""
    make_folder(folder)
    JobNames(tuple(dict.fromkeys(job.name for job in jobs))).write(folder)


def write_sums(folder: Path) -> None:
    """Write the checksums of the files of a run, or of scores, into their folder; other files are left out."""
    paths = [folder / name for name in FILES if (folder / name).exists()]
    paths += sorted(path for path in (folder / CODE).rglob("*") if path.is_file())
    sums = {path.relative_to(folder).as_posix(): checksum(path) for path in paths}
    write_text(folder / SUMS, format_sums(sums))


def publish(recipe: Recipe, jobs: Sequence[Job], store: Store, parent: Path | None = None) -> Path:
    """Lay a run's folder out of its finished jobs: what a person looks at, small files copied, large ones linked.

    It lies in `parent`, by default the store's own folder. Raises DamagedJobError, and changes nothing, where a job is
    not as it was finished.
    """
    folder = run_folder(recipe, jobs, parent or store.root)
    with store.claim(jobs[-1]):  # another process may lay out the same folder
        _lay_out(folder, recipe, jobs, store)
    return folder


def _lay_out(folder: Path, recipe: Recipe, jobs: Sequence[Job], store: Store) -> None:
    for job in jobs:
        store.check(job)
    last = jobs[-1]
    make_folder(folder)
    with writing(folder):
        for leftover in folder.glob(".*.tmp"):  # left by a kill while it was laid out
            leftover.unlink()

    scores = Scores.read(store.folder(last))
    seconds = {job.stage: store.record(job).seconds for job in jobs}
    keys = {job.stage: job.key for job in jobs}
    join([store.folder(job) / LOG for job in jobs if is_fit(job)], folder / LOG)
    depth = last.needs["depth"]
    learnt = [LOSSES] if (store.folder(depth) / LOSSES).exists() else []
    for job, names in ((last, SCORED), (depth, (WEIGHTS, Environment.FILE, *learnt))):
        for name in names:
            link(store.folder(job) / name, folder / name)
    write_text(folder / RECIPE, recipe.to_yaml())
    write_parts(recipe, folder)
    record = RunMetrics(**vars(scores), name=recipe.name, key=last.key, seconds=seconds, jobs=keys)
    record.write(folder)
    name_jobs(folder, jobs)
    write_sums(folder)  # the last: where it is, the folder is whole
