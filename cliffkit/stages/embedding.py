"""Stage `embedding`: fit an embedding generator to the training split's depth maps, and measure its features on them.

Images without a valid pixel are left out: they teach nothing, and would enter the statistics of batch normalisation.
The stage sees no other depth, not even to choose weights: knowledge of val or test would leak into the loss. A
generator that is not trained keeps the weights that it starts with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from cliffkit.data.pack import Pack
from cliffkit.errors import UserError
from cliffkit.events import Notice
from cliffkit.interfaces import Batch, Embedding
from cliffkit.method.assemble import build_embedding
from cliffkit.method.differences import measure
from cliffkit.method.objectives import EmbeddingObjective
from cliffkit.recipe.part import Part, is_trained
from cliffkit.stages.context import Context
from cliffkit.stages.environment import trained_with
from cliffkit.store.artifacts import WEIGHTS, EmbeddingFitFacts
from cliffkit.store.job import Job
from cliffkit.training.device import Device
from cliffkit.training.fit import fit
from cliffkit.training.job import FitJob, Goal
from cliffkit.training.start import load_start
from cliffkit.training.tensors import save_tensors, weights_of

NEAR_CHANCE = (
    "names scene types hardly better than the most frequent one alone would, so its features know little of scenes; "
    "raise train.embedding.steps, or use heg_r"
)

LOOKED_AT = 256
"""Largest number of training images, unaugmented, on which the best weights are chosen."""

HELD_OUT = 0.1
"""Share of the training images that a generator which learns scene types does not learn from, but is judged on."""


def prepare_embedding(job: Job, context: Context) -> None:
    """Leave the generator's weights in weights.safetensors, and how its features differ in differences.json."""
    generator, seed = job.recipe.embedding, job.recipe.generator_seed
    assert generator is not None
    train = Pack(context.needs["pack"] / "train").with_depth()
    torch.manual_seed(seed)
    if is_trained(generator):
        _check_labels(generator, train, job.recipe.data)
    embedding = build_embedding(generator, len(train.facts.scene_types), seed)
    if is_trained(generator):
        _fit(embedding, generator, job, context, train)

    differences = measure(embedding, train, seed, context.device.torch)
    if context.device.accelerator.is_main_process:
        if not is_trained(generator):
            save_tensors(context.folder / WEIGHTS, weights_of(embedding))
        differences.write(context.folder)


def _fit(embedding: Embedding, generator: Part, job: Job, context: Context, train: Pack) -> None:
    """Leave trained weights in the generator and the job's folder, and how they were chosen in fit.json."""
    training = job.recipe.train.embedding
    assert training is not None
    settings = training.settings
    init = load_start(embedding, training, "embedding", job)
    objective = EmbeddingObjective(embedding, context.device.autocast)
    learnt, looked_at = _shares(embedding, train)
    judged = looked_at if len(learnt) < len(train) else None

    def validate() -> dict[str, float]:
        total = 0.0
        with torch.inference_mode():
            for batch in _batches(looked_at, settings.batch, context.device):
                total += float(objective(batch, 0)["objective"]) * len(batch.image)
        scores = {"objective": total / len(looked_at)}
        if judged is not None:
            scores["right"] = _right(embedding, judged, settings.batch, context.device)
        return scores

    fit_job = FitJob(
        embedding, objective, learnt, training, Goal("objective", False, validate),
        stage="embedding", seed=job.recipe.generator_seed, folder=context.folder, device=context.device,
        emit=context.emit, checkpoint_every=context.checkpoint_every,
    )  # fmt: skip
    with trained_with(context, objective):
        fitted = fit(fit_job)
    facts = EmbeddingFitFacts(**vars(replace(fitted, init=init)))
    if judged is not None:
        embedding.eval()
        right, held_out = _right(embedding, judged, settings.batch, context.device), int((judged.scenes() >= 0).sum())
        facts = replace(facts, held_out=held_out, right=right, majority=_majority(learnt, judged))
        context.emit(Notice(f"{generator.component.name}: {facts.describe()}"))
        if facts.near_chance():
            context.emit(Notice(f"{generator.component.name} {NEAR_CHANCE}"))
    if context.device.accelerator.is_main_process:
        facts.write(context.folder)


def _shares(embedding: Embedding, train: Pack) -> tuple[Pack, Pack]:
    """Give the images that a generator learns from, and those on which its weights are chosen.

    They are the same training images, but for a generator that learns scene types: it could know its images by heart.
    A generator learns scene types where its class overrides `Embedding.classify`, which itself only raises.
    """
    images = np.arange(len(train))
    held_out = np.linspace(0, len(train) - 1, min(int(HELD_OUT * len(train)), LOOKED_AT)).astype(int)
    rest = train.only(np.delete(images, held_out))
    if type(embedding).classify is not Embedding.classify and rest.labelled and train.only(held_out).labelled:
        return rest, train.only(held_out)
    return train, train.only(np.linspace(0, len(train) - 1, min(len(train), LOOKED_AT)).astype(int))


def _batches(pack: Pack, size: int, device: Device) -> Iterator[Batch]:
    for start in range(0, len(pack), size):
        indices = np.arange(start, min(start + size, len(pack)))
        yield Batch.of(pack.batch(indices).to(device.torch))


def _right(embedding: Embedding, judged: Pack, size: int, device: Device) -> float:
    """Give the share of a pack's labelled images whose scene type a generator, in evaluation mode, names."""
    right = 0
    with torch.inference_mode(), device.autocast():
        for batch in _batches(judged, size, device):
            guess = embedding.classify(batch.dense_depth()).argmax(dim=1)
            right += int((guess == batch.scene).sum())  # -1, an unknown type, is never a guess
    return right / int((judged.scenes() >= 0).sum())


def _majority(learnt: Pack, judged: Pack) -> float:
    """Give the share of a pack's labelled images that are of the type most frequent in another."""
    most = np.bincount(learnt.scenes()[learnt.scenes() >= 0]).argmax()
    return float((judged.scenes()[judged.scenes() >= 0] == most).mean())


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
