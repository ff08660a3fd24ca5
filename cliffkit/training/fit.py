"""The one training loop, for embedding generators and depth networks alike.

Everything random in step s is a function of (seed, s): which images, how they are augmented, which units are dropped.
That is why a fit that was killed ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cliffkit.data.augment import DRAWS, augment
from cliffkit.data.batches import Batches
from cliffkit.data.pack import Pack
from cliffkit.errors import UserError
from cliffkit.events import Emit, Progress, Validated
from cliffkit.recipe.schema import Fit
from cliffkit.training.batchnorm import synchronise_batch_norm
from cliffkit.training.checkpoint import FitState, drop_checkpoint, resume_fit, save_fit, save_tensors, weights_of
from cliffkit.training.device import Device
from cliffkit.training.gradients import gradients
from cliffkit.training.steplog import StepLog

LOG_EVERY = 10
"""Steps between looks at the losses: each look waits for the device."""

CHECKPOINT_SECONDS = 20.0

Looked = tuple[int, float, list[str], Tensor]
"""A step with its learning rate, the names of its terms and their values, still on the device."""


@dataclass(frozen=True)
class Goal:
    """By which validation score the best weights are chosen."""

    score: str
    higher_is_better: bool
    validate: Callable[[], Mapping[str, float]]
    """Scores of the module as it stands, the same on every process."""

    def better(self, new: float, old: float | None) -> bool:
        """Whether a score beats the best so far; NaN never does."""
        if math.isnan(new):
            return False
        return old is None or (new > old if self.higher_is_better else new < old)


@dataclass(frozen=True)
class Fitted:
    """How a fit ended."""

    best_step: int
    best_score: float
    seconds: float
    """Over all its attempts."""
    waiting_s: float
    """Spent waiting for data."""
    micro_batch: int | None
    """To which memory forced the micro-batch; None: it held what the recipe says."""


def fit(
    module: nn.Module,
    objective: nn.Module,
    pack: Pack,
    settings: Fit,
    goal: Goal,
    *,
    stage: str,
    seed: int,
    folder: Path,
    device: Device,
    emit: Emit,
) -> Fitted:
    """Train `module` through `objective`; leave the best weights in it and in `folder`/weights.safetensors.

    `objective(batch, step)` gives the weighted terms of the loss by name. Goes on from a checkpoint in `folder`.
    Raises UserError where a term stops being finite, naming it and keeping the batch.
    """
    accelerator = device.accelerator
    world, rank, main = accelerator.num_processes, accelerator.process_index, accelerator.is_main_process
    if settings.batch % world:
        raise UserError(f"train.{stage}.batch: {settings.batch} images cannot be shared evenly by {world} processes")
    objective.to(device.torch)
    if device.torch.type in ("cpu", "cuda"):
        objective.to(memory_format=torch.channels_last)
    if world > 1:
        objective = synchronise_batch_norm(objective, device.torch)
    optimizer = _optimizer(objective, settings)
    state = resume_fit(folder, objective, optimizer, device.torch)
    if settings.ema and state.average is None:
        state.average = {name: value.clone() for name, value in weights_of(module).items()}
    log = StepLog(folder / "log.jsonl", main)
    log.keep_until(state.step)
    wrapped = accelerator.prepare(objective) if world > 1 else objective
    batches = Batches(pack, settings.batch, seed, rank, world, pin=device.torch.type == "cuda")
    earlier_s, started = state.seconds, time.monotonic()
    saved = looked = started
    pending: list[Looked] = []
    for sample, waited_s in batches.run(state.step, settings.steps):
        rate = learning_rate(settings, state.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = augment(sample.to(device.torch), settings.augment, batches.draws(state.step, DRAWS))
        wrapped.train()
        terms = gradients(wrapped, batch, state, settings, seed, stage, device, emit)
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(objective.parameters(), settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.waiting_s += waited_s
        state.seconds = earlier_s + time.monotonic() - started
        if state.average is not None:
            _update_average(state.average, module, min(settings.ema, state.step / (10 + state.step)))
        pending.append((state.step, rate, list(terms), torch.stack(list(terms.values()))))
        last = state.step == settings.steps
        if state.step % LOG_EVERY == 0 or last:
            figures = _look(pending, batches, folder, stage, log)
            now = time.monotonic()
            figures["images_per_s"] = len(pending) * settings.batch / max(now - looked, 1e-9)
            pending, looked = [], now
            emit(Progress(stage, state.step, settings.steps, "step", figures))
        if state.step % settings.validate_every == 0 or last:
            scores, is_best = _validate(module, goal, state)
            log.write({"stage": stage, "step": state.step, "val": scores, "best": is_best})
            emit(Validated(stage, state.step, scores, is_best))
            looked = time.monotonic()
        if settings.reload_best and state.step in settings.milestones and state.best:
            module.load_state_dict(state.best)
        if main and not last and state.step % LOG_EVERY == 0 and time.monotonic() - saved > CHECKPOINT_SECONDS:
            save_fit(folder, state, objective, optimizer)
            saved = time.monotonic()
    if state.best_score is None:
        raise UserError(f"stage {stage}: no validation score is finite; the training diverged; lower train.{stage}.lr")
    module.load_state_dict(state.best)
    if main:
        save_tensors(folder / "weights.safetensors", state.best)
        drop_checkpoint(folder)
    seconds = earlier_s + time.monotonic() - started
    return Fitted(state.best_step, state.best_score, seconds, state.waiting_s, state.micro_batch)


def _validate(module: nn.Module, goal: Goal, state: FitState) -> tuple[dict[str, float], bool]:
    """Scores of the weights as they would be kept, and whether they are the best so far, which are then kept."""
    with _standing_in(module, state.average):
        module.eval()
        scores = dict(goal.validate())
        is_best = goal.better(scores[goal.score], state.best_score)
        if is_best:
            state.best_score, state.best_step = scores[goal.score], state.step
            state.best = {name: value.detach().cpu().clone() for name, value in weights_of(module).items()}
    return scores, is_best


def learning_rate(settings: Fit, step: int) -> float:
    """The rate of the step that follows `step` finished ones."""
    warmup = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    if settings.schedule == "cosine":
        return settings.lr * warmup * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    if settings.schedule == "step":
        return settings.lr * warmup * settings.decay ** sum(step >= milestone for milestone in settings.milestones)
    return settings.lr * warmup


def _look(pending: list[Looked], batches: Batches, folder: Path, stage: str, log: StepLog) -> dict[str, float]:
    """Write the terms of the last steps down; stop where one is not finite."""
    figures: dict[str, float] = {}
    values = torch.stack([terms for *_, terms in pending]).tolist()  # one wait for the device
    for (step, rate, names, _), row in zip(pending, values, strict=True):
        for name, value in zip(names, row, strict=True):
            if not math.isfinite(value):
                path = folder / f"diverged-{step:06d}.safetensors"
                save_tensors(path, batches.whole(step - 1).tensors())
                raise UserError(
                    f"stage {stage}, step {step}: the term '{name}' is {value}; its batch is kept in {path}; lower "
                    f"train.{stage}.lr, set train.{stage}.clip_norm=1, or look at that batch's depth"
                )
        figures = {"loss": sum(row), **dict(zip(names, row, strict=True))}
        log.write({"stage": stage, "step": step, "lr": rate, **figures})
    return figures


def _optimizer(objective: nn.Module, settings: Fit) -> torch.optim.Optimizer:
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for parameter in objective.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else free).append(parameter)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind([group for group in groups if group["params"]], lr=settings.lr, fused=True)


def _update_average(average: dict[str, Tensor], module: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for name, value in weights_of(module).items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)


@contextmanager
def _standing_in(module: nn.Module, average: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Within, the module has its averaged weights, where there are any."""
    if average is None:
        yield
        return
    own = {name: value.clone() for name, value in weights_of(module).items()}
    module.load_state_dict(average)
    yield
    module.load_state_dict(own)
