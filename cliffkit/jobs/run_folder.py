"""A run's folder: what a person looks at, laid out of finished jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cliffkit.recipe.recipe import Recipe
from cliffkit.stages import TRAINED
from cliffkit.store.files import link, write_json, write_text
from cliffkit.store.job import Job
from cliffkit.store.store import Store

LINKED = ("per_image.csv", "panel.png")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    metrics: dict[str, Any]
    """What metrics.json holds."""
    reused: tuple[str, ...]
    """The stages that were found done."""


def run_folder(recipe: Recipe, jobs: Sequence[Job], parent: Path) -> Path:
    """The folder of a run among others in `parent`."""
    return parent / f"{recipe.name}-{jobs[-1].key[:8]}"


def publish(
    recipe: Recipe, jobs: Sequence[Job], store: Store, reused: Sequence[str] = (), parent: Path | None = None
) -> Run:
    """Lay a run's folder out of its finished jobs: what a person looks at, small files copied, large ones linked.

    It lies in `parent`, by default the store's own folder.
    """
    last = jobs[-1]
    depth = last.needs["depth"]
    folder = run_folder(recipe, jobs, parent or store.root)
    folder.mkdir(parents=True, exist_ok=True)
    result = json.loads((store.folder(last) / "metrics.json").read_text(encoding="utf-8"))
    records = {job.stage: store.record(job) for job in jobs}
    seconds = {stage: record["seconds"] for stage, record in records.items()}
    keys = {job.stage: job.key for job in jobs}
    metrics = {"name": recipe.name, "key": last.key, **result, "seconds": seconds, "jobs": keys}
    log = "".join((store.folder(job) / "log.jsonl").read_text(encoding="utf-8") for job in jobs if job.stage in TRAINED)
    write_text(folder / "log.jsonl", log)
    for name in LINKED:
        link(store.folder(last) / name, folder / name)
    for name in ("weights.safetensors", "environment.json"):
        link(store.folder(depth) / name, folder / name)
    write_text(folder / "recipe.yaml", recipe.to_yaml())
    write_json(folder / "metrics.json", metrics)
    return Run(folder, metrics, tuple(reused))
