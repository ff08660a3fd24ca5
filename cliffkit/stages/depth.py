"""Stage `depth`: train the network; the best weights are chosen on the validation split, never on test."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor, nn

from cliffkit import protocols
from cliffkit.context import Context
from cliffkit.device import Device
from cliffkit.fit import Goal, fit
from cliffkit.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.interfaces import Loss, Sample
from cliffkit.metrics import HIGHER_IS_BETTER, METRICS, score_image, summarise
from cliffkit.network import DepthNetwork, build_network
from cliffkit.pack import Pack
from cliffkit.plan import Job
from cliffkit.recipe import Recipe
from cliffkit.stages.embedding import build_embedding
from cliffkit.store import write_json

NOT_FINITE = dict.fromkeys(METRICS, float("nan"))


class DepthObjective(nn.Module):
    """L = sum of weighted losses + r * sum of w_k * |G_k(truth) - G_k(prediction)|, each term by its name."""

    def __init__(
        self,
        network: DepthNetwork,
        losses: Sequence[tuple[str, float, Loss]],
        hierarchical: HierarchicalEmbeddingLoss | None,
        device: Device,
    ) -> None:
        super().__init__()
        self.network = network
        self.losses = nn.ModuleList([loss for _, _, loss in losses])
        self.hierarchical = hierarchical
        self._named = [(name, weight) for name, weight, _ in losses]
        self._device = device

    def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
        """Weighted terms; those of weight 0 are absent."""
        with self._device.autocast():
            prediction = self.network(sample.image.contiguous(memory_format=torch.channels_last))
        terms = {
            name: weight * loss(prediction, sample)
            for (name, weight), loss in zip(self._named, self.losses, strict=True)
            if weight
        }
        if self.hierarchical is not None:
            with self._device.autocast():
                terms["embedding"] = self.hierarchical(prediction, sample, step)
        return terms


def fit_depth(job: Job, context: Context) -> None:
    """Leave the network's weights in weights.safetensors and how they were chosen in fit.json."""
    recipe, device = job.recipe, context.device
    settings = recipe.train.depth
    train, val = (Pack(context.needs["pack"] / split) for split in ("train", "val"))
    torch.manual_seed(recipe.seed)
    network = build(recipe)
    objective = DepthObjective(network, build_losses(recipe), _hierarchical(recipe, train, context), device)
    fitted = fit(
        network,
        objective,
        train,
        settings,
        Goal(
            settings.select, settings.select in HIGHER_IS_BETTER, lambda: validate(network, val, settings.batch, device)
        ),
        stage="depth",
        seed=recipe.seed,
        folder=context.folder,
        device=device,
        emit=context.emit,
    )
    if device.accelerator.is_main_process:
        facts = {"select": settings.select, "parameters": sum(p.numel() for p in network.parameters())}
        write_json(context.folder / "fit.json", {**dataclasses.asdict(fitted), **facts})
        write_json(context.folder / "environment.json", device.environment())


def build(recipe: Recipe) -> DepthNetwork:
    """A recipe's network, its weights drawn from torch's generator as it stands."""
    return build_network(recipe.backbone.build(), recipe.pyramid.build, recipe.fusion.build)


def build_losses(recipe: Recipe) -> list[tuple[str, float, Loss]]:
    """A recipe's losses in depth space with name and weight; a name that stands twice is numbered."""
    names = [part.component.name for part in recipe.losses]
    return [
        (name if names.count(name) == 1 else f"{name}_{i}", part.engine["weight"], part.build())
        for i, (name, part) in enumerate(zip(names, recipe.losses, strict=True))
    ]


def hierarchical_loss(recipe: Recipe, scene_types: int, weights: Any = None) -> HierarchicalEmbeddingLoss | None:
    """A recipe's hierarchical embedding loss; None where no level has a weight: the term is absent."""
    embedding = build_embedding(recipe, scene_types, weights)
    engine = recipe.embedding.engine
    if not any(engine.get("weights", ())):
        return None
    return HierarchicalEmbeddingLoss(embedding, engine["weights"], engine["norm"], engine["warmup_steps"])


def _hierarchical(recipe: Recipe, train: Pack, context: Context) -> HierarchicalEmbeddingLoss | None:
    folder = context.needs.get("embedding")
    weights = folder / "weights.safetensors" if folder else None
    return hierarchical_loss(recipe, len(train.meta["scene_types"]), weights)


def validate(network: nn.Module, val: Pack, batch: int, device: Device) -> dict[str, float]:
    """Scores on a packed split at training size under protocol `full`; each process scores its share of the images."""
    accelerator = device.accelerator
    protocol = protocols.protocol("full")
    own = np.arange(len(val))[accelerator.process_index :: accelerator.num_processes]
    rows: list[tuple[int, Any]] = []
    for start in range(0, len(own), batch):
        indices = own[start : start + batch]
        sample = val.batch(indices)
        with torch.inference_mode(), device.autocast():
            prediction = network(sample.image.to(device.torch).contiguous(memory_format=torch.channels_last))
        maps = prediction.float().cpu().numpy()[:, 0]
        depth, valid = sample.depth.numpy()[:, 0], sample.valid.numpy()[:, 0]
        finite = bool(np.isfinite(maps).all())
        scored = (
            map(partial(score_image, protocol=protocol), maps, depth, valid) if finite else [NOT_FINITE] * len(maps)
        )
        rows += list(zip(map(int, indices), scored, strict=True))
    gathered = dict(gather_object(rows) if accelerator.num_processes > 1 else rows)
    assert len(gathered) == len(val), "every validation image is scored once"
    if any(row is not None and math.isnan(row["abs_rel"]) for row in gathered.values()):
        return NOT_FINITE  # never better than anything; the loop stops at the first term that is not finite
    return summarise([gathered[i] for i in sorted(gathered)], protocol)
