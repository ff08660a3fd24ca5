"""Score a run without its store: the run was moved away, or parts that only train were edited since."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.events import Emit, JobFinished, JobSkipped, JobStarted
from cliffkit.jobs.parts import CODE
from cliffkit.jobs.plan import Planner
from cliffkit.jobs.run_folder import is_published, write_sums
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages.context import Context
from cliffkit.stages.evaluate import Trained, score_trained
from cliffkit.store.artifacts import LOG, RECIPE, WEIGHTS, Environment, RunMetrics, RunParts, Scores
from cliffkit.store.files import link, replace_folder, write_text, writing
from cliffkit.store.job import Job
from cliffkit.training.device import Device


def rescore(run: Path, recipe: Recipe, device: Device, roots: Roots, emit: Emit) -> Path:
    """Score the weights of a run's folder under the protocols of `recipe`; returns the new folder in it, a run again.

    The run's folder holds all that the scores need: weights, the constant prediction's depth, how the weights were
    chosen. No other folder is written. Raises UserError where the test images differ from the run's.
    """
    metrics = RunMetrics.read(run)
    job = Planner(roots).plan_scoring(recipe, metrics.jobs)
    if job.inputs["test"] != metrics.data["test_fingerprint"]:
        raise UserError(
            f"{run}: its data set has other test images here than those that the run was scored on (fingerprints "
            f"{job.inputs['test']} and {metrics.data['test_fingerprint']}); name the run's own data with --data, or "
            f"run its recipe here: cliffkit run {run / RECIPE}"
        )

    folder = run / f"evaluate-{job.key[:8]}"
    if is_published(folder):
        emit(JobSkipped(job.stage, job.key))
    elif device.accelerator.is_main_process:
        emit(JobStarted(job.stage, job.key, None))
        seconds = _score(run, folder, job, metrics, Context(folder, {}, device, roots, emit))
        emit(JobFinished(job.stage, job.key, seconds))
    device.accelerator.wait_for_everyone()
    return folder


def _score(run: Path, folder: Path, job: Job, metrics: RunMetrics, context: Context) -> float:
    """Fill a temporary folder, then put it in its place; returns the seconds that it took."""
    working = run / f".{folder.name}.{os.getpid()}.tmp"
    started = time.monotonic()
    try:
        shutil.rmtree(working, ignore_errors=True)  # left by a killed process with the same number
        working.mkdir()
    except OSError as error:
        raise UserError(f"{run}: cannot be written: {error.strerror}; copy it to a folder of yours first") from error
    try:
        assert metrics.selection is not None, "a run has trained its weights"
        assert metrics.parameters is not None, "and counted them"
        facts = metrics.selection, metrics.parameters, metrics.divisors
        trained = Trained(run / WEIGHTS, metrics.baseline_depth_m, *facts)
        with context.device.determinism(job.recipe.train.deterministic):
            test = open_split(job.recipe, "test", context.roots)
            score_trained(job, replace(context, folder=working), trained, test)
        seconds = time.monotonic() - started
        _complete(working, run, job, metrics, seconds)
        replace_folder(working, folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return seconds


def _complete(working: Path, run: Path, job: Job, metrics: RunMetrics, seconds: float) -> None:
    """Complete a folder of scores to a run's folder: add the weights and the records of how they were made."""
    for name in (WEIGHTS, LOG, Environment.FILE, RunParts.FILE):
        link(run / name, working / name)
    if (run / CODE).exists():
        with writing(working / CODE):
            shutil.copytree(run / CODE, working / CODE)
    write_text(working / RECIPE, job.recipe.to_yaml())
    scores = Scores.read(working)
    times = {**metrics.seconds, "evaluate": seconds}
    keys = {**metrics.jobs, "evaluate": job.key}
    RunMetrics(**vars(scores), name=job.recipe.name, key=job.key, seconds=times, jobs=keys).write(working)
    write_sums(working)
