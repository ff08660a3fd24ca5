"""The five stages: functions of a job and its context that fill the job's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cliffkit.data.full_size import CAMERAS, INDEX, PIXELS
from cliffkit.stages.context import Context
from cliffkit.stages.depth import fit_depth
from cliffkit.stages.embedding import prepare_embedding
from cliffkit.stages.evaluate import evaluate
from cliffkit.stages.images import images
from cliffkit.stages.pack import SPLITS, pack
from cliffkit.store.artifacts import (
    LOG,
    PANEL,
    WEIGHTS,
    Environment,
    FitFacts,
    FullSizeFacts,
    LevelDifferences,
    PackFacts,
    PerImage,
    RegionScores,
    Scores,
)
from cliffkit.store.job import Job
from cliffkit.training.checkpoint import has_checkpoint
from cliffkit.training.tensors import kept_batches

STAGES: Mapping[str, Callable[[Job, Context], None]] = {
    "pack": pack,
    "images": images,
    "embedding": prepare_embedding,
    "depth": fit_depth,
    "evaluate": evaluate,
}
PACKED = (PackFacts.FILE, "image.npy", "depth.npy", "metres.npy", "scene.npy")

LEAVES: Mapping[str, tuple[str, ...]] = {
    "pack": tuple(f"{split}/{name}" for split in SPLITS for name in PACKED),
    "images": (FullSizeFacts.FILE, PIXELS, INDEX, CAMERAS),
    "embedding": (WEIGHTS, FitFacts.FILE, LOG, Environment.FILE, LevelDifferences.FILE),
    "depth": (WEIGHTS, FitFacts.FILE, LOG, Environment.FILE),
    "evaluate": (Scores.FILE, PerImage.FILE, RegionScores.FILE, PANEL),
}
"""Files that each stage leaves, a stage of TRAINED where it is a fit."""

TRAINED = ("embedding", "depth")
"""Stages that all processes of a distributed run work on together; the main process does the other stages alone."""

ARRAYS_READ: Mapping[str, tuple[str, ...]] = {"embedding": ("pack",), "depth": ("pack",), "evaluate": ("images",)}
"""Stages whose arrays a stage reads: their content is compared with its checksums before the stage begins."""


def is_fit(job: Job) -> bool:
    """Tell whether a job runs the training loop: a generator that keeps its random weights is not fitted."""
    return job.stage in TRAINED and "train" in job.inputs


def leaves(job: Job) -> tuple[str, ...]:
    """List files that a job leaves in any case."""
    return LEAVES[job.stage] if is_fit(job) or job.stage not in TRAINED else (WEIGHTS, LevelDifferences.FILE)


def worth_keeping(stage: str, folder: Path) -> bool:
    """Tell whether the folder of a stage that ended with an error should be kept.

    It should where it holds the checkpoint of a fit, or a batch that people may want to look at.
    """
    return stage in TRAINED and (has_checkpoint(folder) or bool(kept_batches(folder)))
