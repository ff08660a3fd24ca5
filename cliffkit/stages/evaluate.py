"""Stage `evaluate`: every protocol in one pass over the test split at full size, beside a constant prediction."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cliffkit.components.registry import NONE
from cliffkit.data.full_size import FullSize
from cliffkit.errors import UserError
from cliffkit.events import Emit, Notice
from cliffkit.interfaces import Dataset
from cliffkit.pictures.panel import panel
from cliffkit.prediction.predictor import predictor
from cliffkit.prediction.scored import Row, ScoredImage, score_images
from cliffkit.protocols import Protocol
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.scores import Unscored, summarise
from cliffkit.stages.context import Context
from cliffkit.store.artifacts import (
    PANEL,
    WEIGHTS,
    DepthFitFacts,
    PackFacts,
    PerImage,
    ProtocolScores,
    RegionScores,
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
    divisors: tuple[float, ...] = ()


def evaluate(job: Job, context: Context) -> None:
    """Write metrics.json, per_image.csv, regions.npz and panel.png of the network that stage `depth` left."""
    depth, dataset = context.needs["depth"], FullSize(context.needs["images"])
    fitted = DepthFitFacts.read(depth)
    chosen = Selection("val", fitted.select, fitted.best_score, fitted.best_step)
    median_m = PackFacts.read(context.needs["pack"] / "train").median_m
    trained = Trained(depth / WEIGHTS, median_m, chosen, fitted.parameters, fitted.divisors)
    score_trained(job, context, trained, dataset)


def score_trained(job: Job, context: Context, trained: Trained, dataset: Dataset) -> None:
    """Write metrics.json, per_image.csv, regions.npz and panel.png of a network and a test split, wherever they lie."""
    recipe, protocols = job.recipe, job.recipe.protocols
    predict = predictor(recipe, trained.weights, context.device.torch)

    pictured = np.linspace(0, len(dataset) - 1, min(PANEL_ROWS, len(dataset))).round().astype(int).tolist()
    images = score_images(dataset, range(len(dataset)), protocols, predict, trained.median_m, context.emit, pictured)
    names = tuple(dataset.name(index) for index in range(len(dataset)))
    summaries, failures = _summaries(protocols, names, images, context.emit)

    Scores(
        data={**recipe.data.to_dict(), "test_fingerprint": job.inputs["test"]},
        protocols=summaries,
        baseline_depth_m=trained.median_m,
        selection=trained.selection,
        parameters=trained.parameters,
        failures=failures,
        divisors=trained.divisors,
    ).write(context.folder)
    tables = {
        protocol.name: _table(_rows(names, [image.scores[k] for image in images]))
        for k, protocol in enumerate(protocols)
        if protocol.name in summaries
    }
    PerImage(names, tables, _extras(protocols, names, images, summaries)).write(context.folder)
    regions = {
        protocol.name: np.array([image.regions[k] for image in images], np.float32)
        for k, protocol in enumerate(protocols)
        if protocol.name in summaries
    }
    RegionScores(tuple(image.scene for image in images), regions).write(context.folder)

    pictures = [image.picture for image in images if image.picture is not None]
    title, subtitle = ", ".join(describe_parts(recipe)), protocols[0].describe()
    write_atomic(context.folder / PANEL, lambda path: panel(path, pictures, title, subtitle))


def _generator(embedding: Part | None) -> str:
    if embedding is None:
        return NONE
    return embedding.component.name + ("" if embedding.engine["trained"] else " left random")


def describe_parts(recipe: Recipe) -> list[str]:
    """Name the parts that make a network what it is."""
    backbone = recipe.backbone.options.get("name", recipe.backbone.component.name)
    return [
        str(backbone),
        *(part.component.name for part in (recipe.pyramid, recipe.fusion)),
        f"embedding {_generator(recipe.embedding)}",
        f"on {recipe.data.component.name}",
    ]


def _summaries(
    protocols: Sequence[Protocol], names: Sequence[str], images: Sequence[ScoredImage], emit: Emit
) -> tuple[dict[str, ProtocolScores], dict[str, str]]:
    """Summarise the images under each protocol, by its name; and why others cannot score them.

    Raises UserError where no protocol can.
    """
    summaries, failures = {}, {}
    for k, protocol in enumerate(protocols):
        try:
            summaries[protocol.name] = _summary(k, protocol, names, images, emit)
        except UserError as error:
            failures[protocol.name] = str(error)
    if not summaries:
        raise UserError("; ".join(failures.values()))
    for name, reason in failures.items():
        emit(Notice(f"{name} is not scored: {reason}"))
    return summaries, failures


def _summary(
    k: int, protocol: Protocol, names: Sequence[str], images: Sequence[ScoredImage], emit: Emit
) -> ProtocolScores:
    """Summarise the images under the k-th protocol; say how many have no scored pixel."""
    metrics = summarise(_rows(names, [image.scores[k] for image in images]), protocol)
    baseline = summarise(_rows(names, [image.baseline[k] for image in images]), protocol)
    if metrics["absent"]:
        emit(Notice(f"{protocol.name}: {metrics['absent']:.0f} of {len(images)} images have no scored pixel"))
    fit = images[0].fits.get(k)
    assert not isinstance(fit, Unscored), "else no image has a row"
    return ProtocolScores(protocol, protocol.describe(), metrics, baseline, fit)


def _rows(names: Sequence[str], rows: Sequence[Row]) -> list[dict[str, float] | None]:
    """Give the rows of images under one protocol. Raises UserError that names an image which it cannot score."""
    reasons = [f"{name}: {row.reason}" for name, row in zip(names, rows, strict=True) if isinstance(row, Unscored)]
    if reasons:
        more = f" ({len(reasons)} of {len(rows)} images)" if len(reasons) > 1 else ""
        raise UserError(f"test image {reasons[0]}{more}")
    return [row for row in rows if not isinstance(row, Unscored)]


def _extras(
    protocols: Sequence[Protocol], names: Sequence[str], images: Sequence[ScoredImage], scored: Collection[str]
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Gather the metrics beside the nine, (images,), by protocol and name."""
    extras: dict[str, dict[str, NDArray[np.float64]]] = {}
    for k, protocol in enumerate(protocols):
        if protocol.name in scored and protocol.metrics:
            rows = _rows(names, [image.scores[k] for image in images])
            columns = {metric.name for metric in protocol.metrics}
            extras[protocol.name] = {
                name: np.array([math.nan if row is None else row[name] for row in rows]) for name in sorted(columns)
            }
    return extras


def _table(rows: Sequence[dict[str, float] | None]) -> NDArray[np.float64]:
    """Gather the metrics of images, (images, METRICS), NaN where no pixel is scored."""
    return np.array([[math.nan if row is None else row[metric] for metric in METRICS] for row in rows])
