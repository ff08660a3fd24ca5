"""The one training loop, for embedding generators and depth networks alike.

Everything random in step s is a function of (seed, s): which images, how they are augmented, which units are dropped.
A fit that was killed therefore ends with the same bits as an unbroken one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cliffkit.data.augment import augment, draws_of
from cliffkit.data.batches import Batches
from cliffkit.errors import UserError
from cliffkit.events import Notice, Progress, Validated
from cliffkit.interfaces import Augment, Sample, Schedule
from cliffkit.store.artifacts import LOG, LOSSES, WEIGHTS, FitFacts
from cliffkit.training.batchnorm import synchronise_batch_norm
from cliffkit.training.checkpoint import FitState, drop_checkpoint, resume_fit, save_fit
from cliffkit.training.gradients import gradients
from cliffkit.training.job import FitJob
from cliffkit.training.optimise import averaged, build_optimizer, learning_rate, update_average
from cliffkit.training.optimizer_state import load_optimizer, optimizer_state
from cliffkit.training.parameters import check_patterns, freeze_parameters
from cliffkit.training.speed import Graphed, as_written, check_speed, compile_parts, compiling
from cliffkit.training.steplog import StepLog
from cliffkit.training.tensors import Tensors, gather, keep_batch, save_tensors, scatter, weights_of
from cliffkit.workers import StopRequest

LOG_EVERY = 10
"""Steps between looks at the losses: each look waits for the device."""

CHECKPOINT_SECONDS = 20.0
"""Seconds after which the next step is saved. A fit that is killed loses no more than these and a step."""

CHECKPOINT_SHARE = 0.05
"""Greatest share of the time that saving may take: where a checkpoint takes over a second, the next one comes later."""

Looked = tuple[int, float, list[str], Tensor]
"""A step with its learning rate, the names of its terms and their values, still on the device."""


@dataclass
class _Running:
    """The state of a running fit."""

    objective: nn.Module
    optimizer: torch.optim.Optimizer
    factors: list[float]
    """Factor of the learning rate of each of the optimiser's groups."""
    still: list[nn.Module]
    """Normalisations of frozen modules, whose running statistics stay."""
    schedule: Schedule
    augment: list[Augment]
    """The steps of augmentation, in their order."""
    wrapped: nn.Module
    """The objective as several processes run it."""
    state: FitState
    batches: Batches
    log: StepLog
    earlier_s: float
    """Seconds spent by earlier attempts."""
    started: float
    """When this attempt began, by the monotonic clock; `saved` and `looked`: its last checkpoint and its last look."""
    saved: float
    looked: float
    saving_s: float = 0.0
    """Seconds that the last checkpoint took."""
    pending: list[Looked] = field(default_factory=list)
    """Steps since the last look."""

    def seconds(self) -> float:
        """Give the time spent so far, over all attempts."""
        return self.earlier_s + time.monotonic() - self.started


def fit(job: FitJob) -> FitFacts:
    """Train `job.module` through `job.objective`; leave the best weights in it and in `job.folder`.

    Goes on from a checkpoint in the folder. Raises UserError where a term stops being finite, naming the term and
    keeping the batch.
    """
    settings = job.training.settings
    running = _prepare(job)
    state = running.state

    with StopRequest() as stop:
        for sample, waited_s in running.batches.run(state.step, settings.steps):
            _step(job, running, sample, waited_s)
            last = state.step == settings.steps
            save = not last and (stop.number is not None or _is_due(job, running))
            validate = last or state.step % settings.validate_every == 0
            # A look comes before a validation, for the order of the log, and before a checkpoint: a fit that resumes
            # after a term that is not finite would fail again.
            if validate or save or state.step % LOG_EVERY == 0:
                _look(job, running)
            if validate:
                _validate(job, running)
            _keep(job, running, save)
            if save:
                stop.leave()

    return _finish(job, running)


def _prepare(job: FitJob) -> _Running:
    """Bring the objective to the device, build its optimiser, and put the last checkpoint into both."""
    settings, device, accelerator = job.training.settings, job.device, job.device.accelerator
    world, rank, main = accelerator.num_processes, accelerator.process_index, accelerator.is_main_process
    check_speed(job.speed, device.torch, world)
    if settings.batch % world:
        raise UserError(
            f"train.{job.stage}.batch: {settings.batch} images cannot be shared evenly by {world} processes"
        )

    # Convolutions are faster in this layout. The optimiser comes after it, since its state takes the layout over.
    objective = job.objective.to(device.torch)
    if device.torch.type in ("cpu", "cuda"):
        objective = objective.to(memory_format=torch.channels_last)
    if world > 1:
        objective = synchronise_batch_norm(objective, device.torch)
    check_patterns(job.module, settings.groups, settings.freeze, job.stage)
    still = freeze_parameters(job.module, settings.freeze)
    optimizer, factors = build_optimizer(objective, job.module, job.training)

    state, damages = resume_fit(job.folder, objective, optimizer, device.torch)
    for damage in damages:
        begins = f"goes on from step {state.step}" if state.step else "begins anew"
        job.emit(Notice(f"{job.stage}: {damage}; it {begins}"))
    if settings.ema and state.average is None:
        state.average = {name: value.clone() for name, value in weights_of(job.module).items()}
    log = StepLog(job.folder / LOG, main)
    log.keep(0 if state.log is None else state.log.bytes)

    # DistributedDataParallel copies the weights of the main process to all others: only once they are restored.
    wrapped = accelerator.prepare(objective) if world > 1 else objective
    if "compile" in job.speed:
        job.emit(Notice(f"{job.stage}: the first step compiles the network, which takes a minute or more"))
        compile_parts(job.regions)
    if "graphs" in job.speed:
        wrapped = Graphed(objective)
    schedule = job.training.schedule.build(settings.steps)
    steps = [part.build() for part in job.training.augment]
    batches = Batches(job.pack, settings.batch, job.seed, rank, world, device.torch)
    now = time.monotonic()
    return _Running(
        objective, optimizer, factors, still, schedule, steps, wrapped,
        state, batches, log, earlier_s=state.seconds, started=now, saved=now, looked=now,
    )  # fmt: skip


def _step(job: FitJob, running: _Running, sample: Sample, waited_s: float) -> None:
    """Do one optimiser step on one effective batch."""
    settings, state, optimizer = job.training.settings, running.state, running.optimizer
    rate = learning_rate(settings, running.schedule, state.step)
    for group, factor in zip(optimizer.param_groups, running.factors, strict=True):
        group["lr"] = rate * factor

    # `train` in every step: validation leaves evaluation mode behind.
    count = draws_of(running.augment)
    batch = augment(sample, running.augment, running.batches.draws(state.step, count))
    running.wrapped.train()
    for normalisation in running.still:
        normalisation.eval()
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


def _look(job: FitJob, running: _Running) -> None:
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


def _validate(job: FitJob, running: _Running) -> None:
    """Score the weights, or their average where there is one; copy them where their score is the best so far."""
    goal, state = job.goal, running.state
    with averaged(job.module, state.average), as_written(job.speed):
        job.module.eval()
        scores = dict(goal.validate())
        picture = goal.picture() if goal.picture and job.device.accelerator.is_main_process else None
        is_best = goal.better(scores[goal.score], state.best_score)
        if is_best:
            state.best_score, state.best_step = scores[goal.score], state.step
            state.best = _copied(weights_of(job.module))
            state.best_losses = _copied(gather(job.losses))
            if job.training.settings.reload_best == "all":
                tensors, state.best_numbers = optimizer_state(running.optimizer)
                state.best_optimizer = _copied(tensors)

    running.log.write({"stage": job.stage, "step": state.step, "val": scores, "best": is_best})
    job.emit(Validated(job.stage, state.step, scores, is_best, picture))
    running.looked = time.monotonic()  # so that the speed at the next look counts training alone


def _is_due(job: FitJob, running: _Running) -> bool:
    """Tell whether the step that was done last is to be saved."""
    every = job.checkpoint_every
    by_count = every is not None and running.state.step % every == 0
    pause_s = max(CHECKPOINT_SECONDS, running.saving_s / CHECKPOINT_SHARE)
    return by_count or time.monotonic() - running.saved > pause_s


def _keep(job: FitJob, running: _Running, save: bool) -> None:
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


def _finish(job: FitJob, running: _Running) -> FitFacts:
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
