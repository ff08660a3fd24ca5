"""A run's folder: what a person looks at, laid out of finished jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cliffkit.jobs.parts import write_parts
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages import TRAINED
from cliffkit.store.artifacts import LOG, LOSSES, PANEL, RECIPE, WEIGHTS, Environment, PerImage, RunMetrics, Scores
from cliffkit.store.files import link, write_text
from cliffkit.store.job import Job
from cliffkit.store.store import Store


def run_folder(recipe: Recipe, jobs: Sequence[Job], parent: Path) -> Path:
    """Name the folder of a run among others in `parent`."""
    return parent / f"{recipe.name}-{jobs[-1].key[:8]}"


def is_published(folder: Path) -> bool:
    """Tell whether a run's folder is laid out whole."""
    return (folder / RunMetrics.FILE).exists()


def publish(recipe: Recipe, jobs: Sequence[Job], store: Store, parent: Path | None = None) -> Path:
    """Lay a run's folder out of its finished jobs: what a person looks at, small files copied, large ones linked.

    It lies in `parent`, by default the store's own folder.
    """
    last = jobs[-1]
    folder = run_folder(recipe, jobs, parent or store.root)
    folder.mkdir(parents=True, exist_ok=True)

    scores = Scores.read(store.folder(last))
    seconds = {job.stage: store.record(job).seconds for job in jobs}
    keys = {job.stage: job.key for job in jobs}
    log = "".join((store.folder(job) / LOG).read_text(encoding="utf-8") for job in jobs if job.stage in TRAINED)
    write_text(folder / LOG, log)
    depth = last.needs["depth"]
    learnt = [LOSSES] if (store.folder(depth) / LOSSES).exists() else []
    for job, names in ((last, (PerImage.FILE, PANEL)), (depth, (WEIGHTS, Environment.FILE, *learnt))):
        for name in names:
            link(store.folder(job) / name, folder / name)
    write_text(folder / RECIPE, recipe.to_yaml())
    write_parts(recipe, folder)
    record = RunMetrics(**vars(scores), name=recipe.name, key=last.key, seconds=seconds, jobs=keys)
    record.write(folder)  # the last: where it is, the folder is whole
    return folder
