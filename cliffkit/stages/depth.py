"""Stage `depth`: train the network; the best weights are chosen on the validation split, never on test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor, nn

from cliffkit.data.pack import Pack
from cliffkit.interfaces import Sample
from cliffkit.method.assemble import assemble
from cliffkit.method.objectives import DepthObjective
from cliffkit.pictures.progress import progress_picture
from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS
from cliffkit.scoring.protocols import VALIDATION
from cliffkit.scoring.scores import score_image, summarise
from cliffkit.stages.context import Context
from cliffkit.stages.environment import trained_with
from cliffkit.store.artifacts import DepthFitFacts
from cliffkit.store.job import Job
from cliffkit.training.device import Device
from cliffkit.training.fit import fit
from cliffkit.training.gradients import in_parts
from cliffkit.training.job import FitJob, Goal
from cliffkit.training.start import load_start

DRAWN = 4
"""Largest number of validation images in a picture."""

NOT_FINITE = dict.fromkeys(METRICS, float("nan"))


def fit_depth(job: Job, context: Context) -> None:
    """Leave the network's weights in weights.safetensors and how they were chosen in fit.json."""
    recipe, device = job.recipe, context.device
    settings = recipe.train.depth.settings
    train, val = (Pack(context.needs["pack"] / split) for split in ("train", "val"))
    torch.manual_seed(recipe.seed)
    modules = assemble(recipe, len(train.facts.scene_types), context.needs.get("embedding"))
    network, objective = modules.network, DepthObjective(modules, device.autocast)
    init = load_start(network, recipe.train.depth, "depth", job)
    losses = {name: loss for name, _, loss in modules.losses if any(True for _ in loss.parameters())}

    def score() -> dict[str, float]:
        return validate(network, val, settings.batch, device)

    def picture() -> NDArray[np.uint8]:
        return draw(network, val, device)

    goal = Goal(settings.select, settings.select in HIGHER_IS_BETTER, score, picture if context.pictured else None)
    fit_job = FitJob(
        network, objective, train, recipe.train.depth, goal,
        stage="depth", seed=recipe.seed, folder=context.folder, device=device, emit=context.emit, losses=losses,
        checkpoint_every=context.checkpoint_every, speed=settings.speed, regions=network.parts(),
    )  # fmt: skip
    with trained_with(context, objective):
        fitted = fit(fit_job)

    if device.accelerator.is_main_process:
        parameters = sum(parameter.numel() for parameter in network.parameters())
        DepthFitFacts(
            **vars(replace(fitted, init=init)),
            select=settings.select,
            parameters=parameters,
            losses=_numbers(losses),
            divisors=modules.hierarchical.divisors if modules.hierarchical else (),
        ).write(context.folder)


def _numbers(losses: Mapping[str, nn.Module]) -> dict[str, float | None]:
    """Every parameter of the losses by name, with its value where it is a single number."""
    named = {f"{name}.{key}": value for name, loss in losses.items() for key, value in loss.named_parameters()}
    return {name: value.item() if value.numel() == 1 else None for name, value in named.items()}


def validate(network: nn.Module, val: Pack, batch: int, device: Device) -> dict[str, float]:
    """Score a packed split at training size as `VALIDATION` says; each process scores its share of the images."""
    accelerator = device.accelerator
    batch = max(1, batch // accelerator.num_processes)  # as many at once as in training
    share = np.arange(len(val))[accelerator.process_index :: accelerator.num_processes]
    rows: list[tuple[int, dict[str, float] | None]] = []
    for start in range(0, len(share), batch):
        indices = share[start : start + batch]
        sample = val.batch(indices)
        maps = _predict(network, sample, device)
        depth, valid = sample.depth.numpy()[:, 0], sample.valid.numpy()[:, 0]
        if np.isfinite(maps).all():
            scored = [score_image(*image, VALIDATION) for image in zip(maps, depth, valid, strict=True)]
        else:
            scored = [NOT_FINITE] * len(maps)
        rows += list(zip(map(int, indices), scored, strict=True))

    gathered = dict(gather_object(rows) if accelerator.num_processes > 1 else rows)
    assert len(gathered) == len(val), "every validation image is scored once"
    if any(row is not None and math.isnan(row["abs_rel"]) for row in gathered.values()):
        return NOT_FINITE  # never better than anything; the loop stops at the first term that is not finite
    return summarise([gathered[i] for i in sorted(gathered)], VALIDATION)


def draw(network: nn.Module, val: Pack, device: Device) -> NDArray[np.uint8]:
    """Draw the predictions of some images of a packed split, (H, W, 3) RGB; the images are the same at every step."""
    sample = val.batch(np.linspace(0, len(val) - 1, min(DRAWN, len(val))).round().astype(int))
    truths = np.where(sample.valid.numpy(), sample.depth.numpy(), np.nan)[:, 0]
    return progress_picture(sample.image.numpy(), truths, _predict(network, sample, device))


def _predict(network: nn.Module, sample: Sample, device: Device) -> NDArray[np.float32]:
    """Predict the depth of a batch as training does, (B, H, W) metres; in parts where memory ends."""

    def predict(images: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode(), device.autocast():
            prediction = network(images.to(device.torch).contiguous(memory_format=torch.channels_last))
        maps: NDArray[np.float32] = prediction.float().cpu().numpy()[:, 0]
        return maps

    return in_parts(predict, sample.image)
