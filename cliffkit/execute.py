"""Jobs to results: each done once per store, whoever asks first."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from cliffkit.context import Context
from cliffkit.device import Device
from cliffkit.errors import UserError
from cliffkit.events import Emit, JobFinished, JobSkipped, JobStarted, Notice
from cliffkit.plan import Job, Roots, open_split
from cliffkit.recipe import Recipe
from cliffkit.stages import STAGES, TRAINED
from cliffkit.stages.depth import build, build_losses, hierarchical_loss
from cliffkit.store import Store, link, write_json, write_text

LINKED = ("per_image.csv", "panel.png")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    metrics: dict[str, Any]
    """What metrics.json holds."""
    reused: tuple[str, ...]
    """The stages that were found done."""


def check_buildable(recipe: Recipe, roots: Roots) -> None:
    """Build every part once and show the network an image, so that what cannot be is known before any work.

    Some backbones refuse some sizes; each that training, a protocol or `predict` will ask for is tried. Raises
    UserError.
    """
    scene_types = len(open_split(recipe, "train", roots).scene_types)
    size, crop = recipe.data.engine["size"], recipe.data.engine["crop"]
    shares = {crop, 1.0, *(protocol.view.region for protocol in recipe.protocols)}
    shown = sorted({tuple(max(1, round(side / crop * share)) for side in size) for share in shares})
    try:
        network = build(recipe).eval()
        with torch.inference_mode():
            for height, width in shown:
                network(torch.zeros(1, 3, height, width))
        build_losses(recipe)
        hierarchical_loss(recipe, scene_types)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{recipe.name}: {error}") from error


def run_jobs(jobs: Sequence[Job], store: Store, device: Device, roots: Roots, emit: Emit) -> list[str]:
    """Do what is not done, in order; returns the stages that were."""
    return [job.stage for job in jobs if _run_job(job, store, device, roots, emit)]


def _run_job(job: Job, store: Store, device: Device, roots: Roots, emit: Emit) -> bool:
    """Do one job unless it is done; says whether it was."""
    main = device.accelerator.is_main_process

    def waiting() -> None:
        emit(Notice(f"another process works on {job.stage} {job.key[:8]}; waiting for it"))

    with store.claim(job, waiting) if main else contextlib.nullcontext():
        if _agree(device, store.done(job)):
            emit(JobSkipped(job.stage, job.key))
            return True
        if not (main or job.stage in TRAINED):
            device.accelerator.wait_for_everyone()
            return False
        folder = store.working(job)
        needs = {stage: store.folder(need) for stage, need in job.needs.items()}
        started = time.monotonic()
        emit(JobStarted(job.stage, job.key, _checkpoint_step(folder)))
        try:
            with device.determinism(job.recipe.train.deterministic):
                STAGES[job.stage](job, Context(folder, needs, device, roots, emit))
        except UserError:
            if job.stage not in TRAINED or not any(folder.rglob("*.safetensors")):  # a checkpoint, or a kept batch
                shutil.rmtree(folder, ignore_errors=True)
            raise
        seconds = time.monotonic() - started
        if main:
            store.finish(job, seconds)
        device.accelerator.wait_for_everyone()
        emit(JobFinished(job.stage, job.key, seconds))
    return False


def publish(recipe: Recipe, jobs: Sequence[Job], store: Store, reused: Sequence[str]) -> Run:
    """Lay a run's folder out of its finished jobs: what a person looks at, small files copied, large ones linked."""
    last = jobs[-1]
    depth = last.needs["depth"]
    folder = store.root / f"{recipe.name}-{last.key[:8]}"
    folder.mkdir(exist_ok=True)
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


def _checkpoint_step(folder: Path) -> int | None:
    state = folder / "checkpoint" / "state.json"
    return int(json.loads(state.read_text(encoding="utf-8"))["step"]) if state.exists() else None


def _agree(device: Device, value: Any) -> Any:
    """The main process's value, on every process."""
    if device.accelerator.num_processes == 1:
        return value
    box = [value]
    broadcast_object_list(box)
    return box[0]
