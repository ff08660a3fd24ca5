"""Stage `evaluate`: every protocol in one pass over the test split at full size, beside a constant prediction."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cliffkit.components.registry import NONE
from cliffkit.data.pack import read_sample
from cliffkit.data.splits import open_split
from cliffkit.errors import UserError
from cliffkit.events import Emit, Notice, Progress
from cliffkit.interfaces import Dataset, Sample
from cliffkit.pictures.panel import PanelRow, panel
from cliffkit.prediction.framing import framed, seen, truth_of
from cliffkit.prediction.predictor import Floats, Predictor, predictor
from cliffkit.protocols import Protocol, View
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.scores import score_protocols, summarise
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
from cliffkit.workers import available_cores, in_order

PANEL_ROWS = 6
"""Test images in the panel, spread evenly over the split."""

Row = dict[str, float] | None
"""Metrics of one image under one protocol; None where no pixel is scored."""


@dataclass(frozen=True)
class ScoredImage:
    """A test image with its scores, a row for each protocol."""

    scores: list[Row]
    baseline: list[Row]
    """Of a constant prediction."""
    picture: PanelRow | None
    """What the panel shows of it; None: it is not in the panel."""


def evaluate(job: Job, context: Context) -> None:
    """Write metrics.json, per_image.csv and panel.png."""
    recipe, protocols = job.recipe, job.recipe.protocols
    dataset = open_split(recipe, "test", context.roots)
    predict = predictor(recipe, context.needs["depth"] / WEIGHTS, context.device.torch)
    median_m = PackFacts.read(context.needs["pack"] / "train").median_m

    pictured = np.linspace(0, len(dataset) - 1, min(PANEL_ROWS, len(dataset))).round().astype(int).tolist()
    images = score_images(dataset, range(len(dataset)), protocols, predict, median_m, context.emit, pictured)
    summaries = [_summary(k, protocol, images, context.emit) for k, protocol in enumerate(protocols)]

    fitted = DepthFitFacts.read(context.needs["depth"])
    Scores(
        data={**recipe.data.to_dict(), "test_fingerprint": job.inputs["test"]},
        protocols={protocol.name: summary for protocol, summary in zip(protocols, summaries, strict=True)},
        baseline_depth_m=median_m,
        selection=Selection("val", fitted.select, fitted.best_score, fitted.best_step),
        parameters=fitted.parameters,
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


def score_images(
    dataset: Dataset,
    indices: Sequence[int],
    protocols: Sequence[Protocol],
    predict: Predictor,
    median_m: float,
    emit: Emit,
    pictured: Collection[int] = (),
) -> list[ScoredImage]:
    """Score these images of a split in order, and the constant `median_m` beside each; keep what is `pictured`.

    Images are read and scored by other threads while the network predicts. Raises UserError that names an image which
    cannot be read or scored.
    """

    def score(item: tuple[int, tuple[Sample, list[Floats]]]) -> ScoredImage:
        index, (sample, predictions) = item
        name = dataset.name(index)
        try:
            scores, baseline = score_sample(sample, protocols, predictions, median_m)
        except ValueError as error:
            raise UserError(f"test image {name}: {error}") from error
        drawn = _picture(name, sample, protocols[0], predictions[0], scores[0]) if index in pictured else None
        return ScoredImage(scores, baseline, drawn)

    predicted = zip(indices, _predicted(dataset, indices, protocols, predict), strict=True)
    images: list[ScoredImage] = []
    for image in in_order(score, predicted, available_cores()):
        images.append(image)
        emit(Progress("evaluate", len(images), len(indices), "image", {}))
    assert len(images) == len(indices), "every image is scored once"
    return images


def _predicted(
    dataset: Dataset, indices: Sequence[int], protocols: Sequence[Protocol], predict: Predictor
) -> Iterator[tuple[Sample, list[Floats]]]:
    """Read images in order and predict each; the next image is read meanwhile."""
    for sample in in_order(partial(read_sample, dataset), indices, 1):
        yield sample, predict_sample(sample, protocols, predict)


def predict_sample(sample: Sample, protocols: Sequence[Protocol], predict: Predictor) -> list[Floats]:
    """Predict a sample once for each view and flip that protocols ask for, in the order of `alike`."""
    return [predict(sample.image, view, flip=flip) for view, flip in alike(protocols)]


def score_sample(
    sample: Sample, protocols: Sequence[Protocol], predictions: Sequence[Floats], median_m: float
) -> tuple[list[Row], list[Row]]:
    """Score what `predict_sample` gave, and the constant `median_m`, under every protocol, in the protocols' order.

    Raises ValueError for a prediction that a protocol cannot score.
    """
    scores: dict[int, Row] = {}
    baseline: dict[int, Row] = {}
    for ((view, _), members), prediction in zip(alike(protocols).items(), predictions, strict=True):
        truth, known = truth_of(sample, view)
        group = [protocols[k] for k in members]
        scores |= zip(members, score_protocols(prediction, truth, known, group), strict=True)
        constant = np.full_like(truth, median_m)
        baseline |= zip(members, score_protocols(constant, truth, known, group), strict=True)
    order = range(len(protocols))
    return [scores[k] for k in order], [baseline[k] for k in order]


def alike(protocols: Sequence[Protocol]) -> Mapping[tuple[View, bool], list[int]]:
    """Group protocols, by index, that share a prediction: those of one view and flip, the first protocol's first."""
    groups: dict[tuple[View, bool], list[int]] = {}
    for k, protocol in enumerate(protocols):
        groups.setdefault((protocol.view, protocol.flip), []).append(k)
    return groups


def _picture(name: str, sample: Sample, protocol: Protocol, prediction: Floats, row: Row) -> PanelRow:
    shown = seen(prediction, sample, protocol)
    return PanelRow(name, *framed(sample, protocol), shown, row["abs_rel"] if row else None)


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
