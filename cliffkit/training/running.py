"""The state of a running fit, and how it begins: on the device, optimiser built, last checkpoint put in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cliffkit.data.batches import Batches
from cliffkit.errors import UserError
from cliffkit.events import Notice
from cliffkit.interfaces import Augment, Schedule
from cliffkit.store.artifacts import LOG
from cliffkit.training.batchnorm import synchronise_batch_norm
from cliffkit.training.checkpoint import FitState, resume_fit
from cliffkit.training.job import FitJob
from cliffkit.training.optimise import build_optimizer
from cliffkit.training.parameters import check_patterns, freeze_parameters
from cliffkit.training.speed import Graphed, check_speed, compile_parts
from cliffkit.training.steplog import StepLog
from cliffkit.training.tensors import weights_of

Looked = tuple[int, float, list[str], Tensor]
"""A step with its learning rate, the names of its terms and their values, still on the device."""


@dataclass
class Running:
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


def prepare(job: FitJob) -> Running:
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
    agreed = device.agree(state.step)
    if state.step != agreed:
        raise UserError(
            f"stage {job.stage}: the processes read checkpoints of steps {state.step} and {agreed} in {job.folder}, "
            "which must be one folder for all of them; run again"
        )
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
    return Running(
        objective, optimizer, factors, still, schedule, steps, wrapped,
        state, batches, log, earlier_s=state.seconds, started=now, saved=now, looked=now,
    )  # fmt: skip
