"""Stage `embedding`: fit an embedding generator to the training split's depth maps.

It sees no other depth, not even to choose its weights: knowledge of val or test would leak into the loss.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cliffkit.data.pack import Pack
from cliffkit.errors import UserError
from cliffkit.interfaces import Batch
from cliffkit.method.assemble import build_embedding
from cliffkit.method.objectives import EmbeddingObjective
from cliffkit.recipe.part import Part
from cliffkit.stages.context import Context
from cliffkit.store.job import Job
from cliffkit.training.fit import fit
from cliffkit.training.job import FitJob, Goal
from cliffkit.training.start import load_start

LOOKED_AT = 256
"""Training images, unaugmented, on which the best weights are chosen."""


def fit_embedding(job: Job, context: Context) -> None:
    """Leave the generator's weights in weights.safetensors."""
    generator, training = job.recipe.embedding, job.recipe.train.embedding
    assert generator is not None
    assert training is not None
    settings = training.settings
    train = Pack(context.needs["pack"] / "train")
    looked_at = np.linspace(0, len(train) - 1, min(len(train), LOOKED_AT)).astype(int)
    torch.manual_seed(settings.seed)
    _check_labels(generator, train, job.recipe.data)
    embedding = build_embedding(generator, len(train.facts.scene_types))
    init = load_start(embedding, training, "embedding", job)
    objective = EmbeddingObjective(embedding, context.device)

    def validate() -> dict[str, float]:
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(looked_at), settings.batch):
                indices = looked_at[start : start + settings.batch]
                batch = Batch.of(train.batch(indices).to(context.device.torch))
                total += float(objective(batch, 0)["objective"]) * len(indices)
        return {"objective": total / len(looked_at)}

    fitted = fit(
        FitJob(
            embedding, objective, train, training, Goal("objective", False, validate),
            stage="embedding", seed=settings.seed, folder=context.folder, device=context.device, emit=context.emit,
            checkpoint_every=context.checkpoint_every,
        )
    )  # fmt: skip
    if context.device.accelerator.is_main_process:
        replace(fitted, init=init).write(context.folder)


def _check_labels(generator: Part, train: Pack, data: Part) -> None:
    """Raise UserError where a generator learns scene types, and no training image has one.

    A generator learns scene types if it cannot be built for data that names none.
    """
    if train.labelled or not train.facts.scene_types:
        return
    try:
        generator.build(0)
    except UserError as error:
        name, component = data.component.name, generator.component
        raise UserError(
            f"{generator.place}: '{component.name}' of plugin '{component.plugin}' learns scene types, and no training "
            f"image of data set '{name}' has one; label its images, or use a generator that needs none, as heg_r"
        ) from error
