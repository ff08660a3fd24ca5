"""The one training loop, for embedding generators and depth networks alike.

Everything random in step s is a function of (seed, s): which images, how they are augmented, which units are dropped.
A fit that was killed therefore ends with the same bits as an unbroken one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache
from torch import Tensor, nn

from cliffkit.data.augment import augment, draws_of
from cliffkit.errors import UserError
from cliffkit.events import Progress, Validated
from cliffkit.interfaces import Batch, Sample
from cliffkit.store.artifacts import LOSSES, WEIGHTS, FitFacts
from cliffkit.training.checkpoint import drop_checkpoint, save_fit
from cliffkit.training.gradients import gradients, halved
from cliffkit.training.job import FitJob
from cliffkit.training.optimise import averaged, learning_rate, update_average
from cliffkit.training.optimizer_state import load_optimizer, optimizer_state
from cliffkit.training.running import Running, prepare
from cliffkit.training.speed import Graphed, as_written, compiling, replayed_gradients
from cliffkit.training.tensors import Tensors, gather, keep_batch, save_tensors, scatter, weights_of
from cliffkit.workers import StopRequest

LOG_EVERY = 10
"""Steps between looks at the losses: each look waits for the device."""

CHECKPOINT_SECONDS = 20.0
"""Seconds after which the next step is saved. A fit that is killed loses no more than these and a step."""

CHECKPOINT_SHARE = 0.05
"""Greatest share of the time that saving may take: where a checkpoint takes over a second, the next one comes later."""


def fit(job: FitJob) -> FitFacts:
    """Train `job.module` through `job.objective`; leave the best weights in it and in `job.folder`.

    Goes on from a checkpoint in the folder. Raises UserError where a term stops being finite, naming the term and
    keeping the batch.
    """
    settings = job.training.settings
    running = prepare(job)
    state = running.state
    _to_training(running)
    with _recorded(job, running), StopRequest() as stop:
        for sample, waited_s in running.batches.run(state.step, settings.steps):
            _step(job, running, sample, waited_s)
            last = state.step == settings.steps
            save, leave = (False, False) if last else _pauses(job, running, stop)
            validate = last or state.step % settings.validate_every == 0
            # A look comes before a validation, for the order of the log, and before a checkpoint: a fit that resumes
            # after a term that is not finite would fail again.
            if validate or save or state.step % LOG_EVERY == 0:
                _look(job, running)
            if validate:
                _validate(job, running)
            _keep(job, running, save)
            if leave:
                stop.leave()

    return _finish(job, running)


def _step(job: FitJob, running: Running, sample: Sample, waited_s: float) -> None:
    """Do one optimiser step on one effective batch."""
    settings, state, optimizer = job.training.settings, running.state, running.optimizer
    rate = learning_rate(settings, running.schedule, state.step)
    for group, factor in zip(optimizer.param_groups, running.factors, strict=True):
        group["lr"] = rate * factor

    batch = _augmented(running, sample)
    with compiling(job.speed, job.stage):
        terms, state.micro_batch = gradients(job, running.wrapped, batch, state.step, state.micro_batch)

    if settings.clip_norm is not None:
        nn.utils.clip_grad_norm_(running.objective.parameters(), settings.clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)

    state.step += 1
    state.waiting_s += waited_s
    state.seconds = running.seconds()
    if state.average is not None:
        update_average(state.average, job.module, settings.ema, state.step)
    running.pending.append((state.step, rate, list(terms), torch.stack(list(terms.values()))))


def _augmented(running: Running, sample: Sample) -> Batch:
    """Augment the batch of the step that comes next."""
    draws = running.batches.draws(running.state.step, draws_of(running.augment))
    return augment(sample, running.augment, draws)


def _to_training(running: Running) -> None:
    """Bring the objective into training mode, but for normalisations of frozen modules."""
    running.wrapped.train()
    for normalisation in running.still:
        normalisation.eval()


@contextmanager
def _recorded(job: FitJob, running: Running) -> Iterator[None]:
    """Record the pass where it is to be replayed; free the recording afterwards."""
    if not isinstance(running.wrapped, Graphed):
        yield
        return
    try:
        _record(job, running, running.wrapped)
        with replayed_gradients():
            yield
    finally:
        running.wrapped.release()


def _record(job: FitJob, running: Running, graphed: Graphed) -> None:
    """Record the pass over a micro-batch, before the thread that brings batches begins to use the device."""
    state = running.state
    batch = _augmented(running, running.batches.load(state.step).to(job.device.torch))
    while True:
        images = min(state.micro_batch or job.training.settings.micro_batch or len(batch.image), len(batch.image))
        part = batch.map(partial(torch.narrow, dim=0, start=0, length=images))
        try:
            with compiling(job.speed, job.stage):
                graphed.record(part)
            return
        except (RuntimeError, MemoryError) as error:
            state.micro_batch = halved(job, error, images)
        clear_device_cache(garbage_collection=True)  # outside of the handler, whose traceback holds tensors


def _look(job: FitJob, running: Running) -> None:
    """Log and tell the terms of the steps since the last look. Raises UserError for a term that is not finite."""
    figures: dict[str, float] = {}
    records: list[dict[str, Any]] = []
    values = torch.stack([terms for *_, terms in running.pending]).tolist()  # one wait for the device
    for (step, rate, names, _), row in zip(running.pending, values, strict=True):
        for name, value in zip(names, row, strict=True):
            if not math.isfinite(value):
                # Later steps have overwritten its batch. It is gathered again, as the batch of every step can be.
                running.log.write(*records)
                path = keep_batch(job.folder, step, running.batches.whole(step - 1).tensors())
                raise UserError(
                    f"stage {job.stage}, step {step}: the term '{name}' is {value}; its batch is kept in {path}; lower "
                    f"train.{job.stage}.lr, set train.{job.stage}.clip_norm=1, or look at that batch's depth"
                )
        figures = {"loss": sum(row), **dict(zip(names, row, strict=True))}
        records.append({"stage": job.stage, "step": step, "lr": rate, **figures})
    running.log.write(*records)

    now = time.monotonic()
    images = len(running.pending) * job.training.settings.batch
    figures["images_per_s"] = images / max(now - running.looked, 1e-9)
    running.pending, running.looked = [], now
    job.emit(Progress(job.stage, running.state.step, job.training.settings.steps, "step", figures))


def _validate(job: FitJob, running: Running) -> None:
    """Score the weights, or their average where there is one; copy them where their score is the best so far."""
    goal, state = job.goal, running.state
    with averaged(job.module, state.average), as_written(job.speed):
        job.module.eval()
        scores = job.device.agree(dict(goal.validate()))  # else the best weights of processes might differ
        picture = goal.picture() if goal.picture and job.device.accelerator.is_main_process else None
        is_best = goal.better(scores[goal.score], state.best_score)
        if is_best:
            state.best_score, state.best_step = scores[goal.score], state.step
            state.best = _copied(weights_of(job.module))
            state.best_losses = _copied(gather(job.losses))
            if job.training.settings.reload_best == "all":
                tensors, state.best_numbers = optimizer_state(running.optimizer)
                state.best_optimizer = _copied(tensors)

    _to_training(running)
    running.log.write({"stage": job.stage, "step": state.step, "val": scores, "best": is_best})
    job.emit(Validated(job.stage, state.step, scores, is_best, picture))
    running.looked = time.monotonic()  # so that the speed at the next look counts training alone


def _pauses(job: FitJob, running: Running, stop: StopRequest) -> tuple[bool, bool]:
    """Tell whether to save the step that was done last, by count, by the clock or for a signal, and whether to leave.

    Clocks and signals differ between processes, and one that left alone would leave the others waiting. So several
    processes agree, every ten steps and where steps are counted, on the step after which all of them save or leave.
    """
    step, every = running.state.step, job.checkpoint_every
    by_count = every is not None and step % every == 0
    pause_s = max(CHECKPOINT_SECONDS, running.saving_s / CHECKPOINT_SHARE)
    is_due = by_count or time.monotonic() - running.saved > pause_s
    accelerator = job.device.accelerator
    if accelerator.num_processes == 1:
        return stop.number is not None or is_due, stop.number is not None
    if step % LOG_EVERY and not by_count:
        return False, False
    wishes = torch.tensor([stop.number or 0, int(is_due)], device=job.device.torch)
    number, due = accelerator.gather(wishes).view(-1, 2).amax(dim=0).tolist()
    if number and stop.number is None:
        stop.number = number
    return bool(number or due), bool(number)


def _keep(job: FitJob, running: Running, save: bool) -> None:
    """Go back to the best weights at a milestone; save a checkpoint where that is asked for."""
    settings, state = job.training.settings, running.state
    if settings.reload_best and state.step in running.schedule.milestones and state.best:
        job.module.load_state_dict(state.best)
        scatter(job.losses, state.best_losses)
        if settings.reload_best == "all":
            # A copy: the optimiser counts its steps in the very tensors that it is given.
            load_optimizer(running.optimizer, _copied(state.best_optimizer), state.best_numbers)

    if save:
        began = time.monotonic()
        if job.device.accelerator.is_main_process:
            state.log = running.log.sum()
            save_fit(job.folder, state, running.objective, running.optimizer)
        running.saved = time.monotonic()
        running.saving_s = running.saved - began


def _finish(job: FitJob, running: Running) -> FitFacts:
    """Leave the best weights in the module and in the folder. Raises UserError where no score was finite."""
    state = running.state
    if state.best_score is None:
        raise UserError(
            f"stage {job.stage}: no validation score is finite; the training diverged; lower train.{job.stage}.lr"
        )
    job.module.load_state_dict(state.best)
    scatter(job.losses, state.best_losses)
    if job.device.accelerator.is_main_process:
        save_tensors(job.folder / WEIGHTS, state.best)
        if job.losses:
            save_tensors(job.folder / LOSSES, state.best_losses)
        drop_checkpoint(job.folder)
    return FitFacts(state.best_step, state.best_score, running.seconds(), state.waiting_s, state.micro_batch)


def _copied(tensors: Tensors) -> dict[str, Tensor]:
    """Copy tensors to the CPU."""
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}
