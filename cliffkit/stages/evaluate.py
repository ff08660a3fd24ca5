"""Stage `evaluate`: every protocol in one pass over the test split at full size, beside a constant prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cliffkit.components.registry import NONE
from cliffkit.data.splits import open_split
from cliffkit.events import Emit, Notice
from cliffkit.pictures.panel import panel
from cliffkit.prediction.predictor import predictor
from cliffkit.prediction.scored import ScoredImage, score_images
from cliffkit.protocols import Protocol
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.scores import summarise
from cliffkit.stages.context import Context
from cliffkit.store.artifacts import (
    PANEL,
    WEIGHTS,
    DepthFitFacts,
    PackFacts,
    PerImage,
    ProtocolScores,
    Scores,
    Selection,
)
from cliffkit.store.files import write_atomic
from cliffkit.store.job import Job

PANEL_ROWS = 6
"""Test images in the panel, spread evenly over the split."""


@dataclass(frozen=True)
class Trained:
    """A trained network, and what its scores say of its training."""

    weights: Path
    median_m: float
    """Median of the training depths, the constant prediction."""
    selection: Selection
    parameters: int


def evaluate(job: Job, context: Context) -> None:
    """Write metrics.json, per_image.csv and panel.png of the network that stage `depth` left."""
    depth = context.needs["depth"]
    fitted = DepthFitFacts.read(depth)
    chosen = Selection("val", fitted.select, fitted.best_score, fitted.best_step)
    median_m = PackFacts.read(context.needs["pack"] / "train").median_m
    score_trained(job, context, Trained(depth / WEIGHTS, median_m, chosen, fitted.parameters))


def score_trained(job: Job, context: Context, trained: Trained) -> None:
    """Write metrics.json, per_image.csv and panel.png of a trained network, wherever its weights lie."""
    recipe, protocols = job.recipe, job.recipe.protocols
    dataset = open_split(recipe, "test", context.roots)
    predict = predictor(recipe, trained.weights, context.device.torch)

    pictured = np.linspace(0, len(dataset) - 1, min(PANEL_ROWS, len(dataset))).round().astype(int).tolist()
    images = score_images(dataset, range(len(dataset)), protocols, predict, trained.median_m, context.emit, pictured)
    summaries = [_summary(k, protocol, images, context.emit) for k, protocol in enumerate(protocols)]

    Scores(
        data={**recipe.data.to_dict(), "test_fingerprint": job.inputs["test"]},
        protocols={protocol.name: summary for protocol, summary in zip(protocols, summaries, strict=True)},
        baseline_depth_m=trained.median_m,
        selection=trained.selection,
        parameters=trained.parameters,
    ).write(context.folder)

    names = tuple(dataset.name(index) for index in range(len(dataset)))
    tables = {protocol.name: _table(k, images) for k, protocol in enumerate(protocols)}
    PerImage(names, tables).write(context.folder)

    pictures = [image.picture for image in images if image.picture is not None]
    title, subtitle = ", ".join(describe_parts(recipe)), protocols[0].describe()
    write_atomic(context.folder / PANEL, lambda path: panel(path, pictures, title, subtitle))


def describe_parts(recipe: Recipe) -> list[str]:
    """Name the parts that make a network what it is."""
    backbone = recipe.backbone.options.get("name", recipe.backbone.component.name)
    return [
        str(backbone),
        *(part.component.name for part in (recipe.pyramid, recipe.fusion)),
        f"embedding {recipe.embedding.component.name if recipe.embedding else NONE}",
        f"on {recipe.data.component.name}",
    ]


def _summary(k: int, protocol: Protocol, images: Sequence[ScoredImage], emit: Emit) -> ProtocolScores:
    """Summarise the images under the k-th protocol; say how many have no scored pixel."""
    metrics = summarise([image.scores[k] for image in images], protocol)
    baseline = summarise([image.baseline[k] for image in images], protocol)
    if metrics["absent"]:
        emit(Notice(f"{protocol.name}: {metrics['absent']:.0f} of {len(images)} images have no scored pixel"))
    return ProtocolScores(protocol, protocol.describe(), metrics, baseline)


def _table(k: int, images: Sequence[ScoredImage]) -> NDArray[np.float64]:
    """Gather the metrics under the k-th protocol, (images, METRICS), NaN where no pixel is scored."""
    rows = [image.scores[k] for image in images]
    return np.array([[math.nan if row is None else row[metric] for metric in METRICS] for row in rows])
