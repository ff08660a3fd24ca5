"""Stage `embedding`: fit an embedding generator to the training split's depth maps.

No other depth is shown to it, not even to choose its weights: what it knew of val or test would leak into the loss.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cliffkit.context import Context
from cliffkit.device import Device
from cliffkit.fit import Goal, fit
from cliffkit.interfaces import Embedding, Sample
from cliffkit.pack import Pack
from cliffkit.plan import Job
from cliffkit.recipe import Recipe
from cliffkit.store import write_json

LOOKED_AT = 256
"""Training images, unaugmented, on which the best weights are chosen."""


class EmbeddingObjective(nn.Module):
    """An embedding generator's own objective as the training loop wants it."""

    def __init__(self, embedding: Embedding, device: Device) -> None:
        super().__init__()
        self.embedding = embedding
        self._device = device

    def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
        """The one term."""
        with self._device.autocast():
            return {"objective": self.embedding.objective(sample).float()}


def fit_embedding(job: Job, context: Context) -> None:
    """Leave the generator's weights in weights.safetensors."""
    settings = job.recipe.train.embedding
    assert settings is not None
    train = Pack(context.needs["pack"] / "train")
    looked_at = np.linspace(0, len(train) - 1, min(len(train), LOOKED_AT)).astype(int)
    torch.manual_seed(settings.seed)
    embedding = build_embedding(job.recipe, len(train.meta["scene_types"]))
    objective = EmbeddingObjective(embedding, context.device)

    def validate() -> dict[str, float]:
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(looked_at), settings.batch):
                indices = looked_at[start : start + settings.batch]
                sample = train.batch(indices).to(context.device.torch)
                total += float(objective(sample, 0)["objective"]) * len(indices)
        return {"objective": total / len(looked_at)}

    fitted = fit(
        embedding,
        objective,
        train,
        settings,
        Goal("objective", False, validate),
        stage="embedding",
        seed=settings.seed,
        folder=context.folder,
        device=context.device,
        emit=context.emit,
    )
    if context.device.accelerator.is_main_process:
        write_json(context.folder / "fit.json", dataclasses.asdict(fitted))


def build_embedding(recipe: Recipe, scene_types: int, weights: Path | None = None) -> Embedding:
    """A recipe's embedding generator, with trained weights where their file is given."""
    embedding = recipe.embedding.build(scene_types)
    assert isinstance(embedding, Embedding)
    if weights is not None:
        embedding.load_state_dict(load_file(weights))
    return embedding
