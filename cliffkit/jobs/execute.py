"""Jobs to results: each done once per store, whoever asks first."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.events import Emit, Event, JobFinished, JobSkipped, JobStarted, Notice, Progress
from cliffkit.method.assemble import build, build_losses, hierarchical_loss
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages import STAGES, TRAINED
from cliffkit.stages.context import Context
from cliffkit.store.artifacts import JobProgress
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.training.device import Device

TELL_SECONDS = 0.5


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
    return [job.stage for job in jobs if run_job(job, store, device, roots, emit)]


def run_job(
    job: Job, store: Store, device: Device, roots: Roots, emit: Emit, waiting: Callable[[], None] | None = None
) -> bool:
    """Do one job unless it is done; says whether it was. `waiting` is called where another process works on it."""
    main = device.accelerator.is_main_process

    def wait() -> None:
        emit(Notice(f"another process works on {job.stage} {job.key[:8]}; waiting for it"))

    emit = _telling(job, store, emit) if main else emit
    waiting = waiting or wait
    with store.claim(job, waiting) if main else contextlib.nullcontext():
        if _agree(device, store.done(job)):
            emit(JobSkipped(job.stage, job.key))
            return True
        if not (main or job.stage in TRAINED):
            device.accelerator.wait_for_everyone()
            return False
        if main:
            store.forget_failure(job)
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


def _telling(job: Job, store: Store, emit: Emit) -> Emit:
    """Emit, and let other processes see in the store how far the job is, now and then, and what users should know."""
    told = 0.0
    notices: list[str] = []

    def tell(event: Event) -> None:
        nonlocal told
        emit(event)
        if isinstance(event, Notice):
            notices.append(event.text)
        elif isinstance(event, Progress) and time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            store.tell_progress(job, JobProgress(**dataclasses.asdict(event), notices=tuple(notices)))

    return tell


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
