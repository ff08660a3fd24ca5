"""Images predicted and scored, under every protocol in one pass and beside a constant prediction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from cliffkit.data.read import read_sample
from cliffkit.events import Emit, Progress
from cliffkit.interfaces import Dataset, Sample
from cliffkit.pictures.panel import PanelRow
from cliffkit.prediction.batches import of_one_size
from cliffkit.prediction.framing import framed, seen, truth_of
from cliffkit.prediction.predictor import Floats, Predictor
from cliffkit.prediction.set_alignment import NO_SET, Predicted, SetFits, aligned_over_set
from cliffkit.protocols import Protocol, View
from cliffkit.scoring.alignments import Fit
from cliffkit.scoring.extras import camera_in_view, extra_scores
from cliffkit.scoring.regions import labels_of, region_scores
from cliffkit.scoring.scores import Unscored, score_parts
from cliffkit.workers import available_cores, in_order

Row = dict[str, float] | Unscored | None
"""Metrics of one image under one protocol; None where no pixel is scored; or why the protocol cannot score it."""


@dataclass(frozen=True)
class ScoredImage:
    """A test image with its scores, a row for each protocol."""

    scores: list[Row]
    baseline: list[Row]
    """Of a constant prediction."""
    regions: list[NDArray[np.float64]]
    """Scores of its regions, (REGIONS, METRICS); NaN where one is absent."""
    scene: str
    """Its scene type; empty where it is unknown."""
    picture: PanelRow | None
    """What the panel shows of it; None: it is not in the panel."""
    fits: Mapping[int, Fit | Unscored]
    """Alignments of the protocols that align over the set, by the protocol's index: those of every image."""


def score_images(
    dataset: Dataset,
    indices: Sequence[int],
    protocols: Sequence[Protocol],
    predicted: Iterable[Predicted],
    median_m: float,
    emit: Emit,
    pictured: Collection[int] = (),
) -> list[ScoredImage]:
    """Score these images of a split in order, and the constant `median_m` beside each; keep what is `pictured`.

    `predicted` gives each image with its predictions; other threads score while the next are made. Raises UserError
    that names an image which cannot be read.
    """

    def score(item: tuple[int, Predicted]) -> ScoredImage:
        index, (sample, predictions) = item
        name = dataset.name(index)
        scores, baseline, regions = score_sample(sample, protocols, predictions, median_m, fits)
        fit = fits.scores.get(0)
        drawn = _picture(name, sample, protocols[0], predictions[0], scores[0], fit) if index in pictured else None
        scene = dataset.scene_types[int(sample.scene)] if int(sample.scene) >= 0 else ""
        return ScoredImage(scores, baseline, regions, scene, drawn, fits.scores)

    images: list[ScoredImage] = []
    with aligned_over_set(predicted, dataset, indices, protocols, alike(protocols), median_m) as (maps, fits):
        for image in in_order(score, zip(indices, maps, strict=True), available_cores()):
            images.append(image)
            emit(Progress("evaluate", len(images), len(indices), "image", {}))
    assert len(images) == len(indices), "every image is scored once"
    return images


def predicted_by(
    predict: Predictor, dataset: Dataset, indices: Sequence[int], protocols: Sequence[Protocol]
) -> Iterator[Predicted]:
    """Read images in order and predict neighbours of one size at once; the next image is read meanwhile."""
    read = in_order(partial(read_sample, dataset), indices, 1)
    for samples in of_one_size(read, lambda sample: sample.image, predict.at_once):
        images = torch.stack([sample.image for sample in samples])
        predictions = [predict.batch(images, view, flip=flip) for view, flip in alike(protocols)]
        yield from ((sample, [depths[i] for depths in predictions]) for i, sample in enumerate(samples))


def score_sample(
    sample: Sample,
    protocols: Sequence[Protocol],
    predictions: Sequence[Floats],
    median_m: float,
    fits: SetFits = NO_SET,
) -> tuple[list[Row], list[Row], list[NDArray[np.float64]]]:
    """Score a sample's predictions, the constant `median_m`, and the predictions in each region of the image.

    All are scored under every protocol, in the protocols' order. There is a prediction for each view and flip, in the
    order of `alike`.
    """
    scores: dict[int, Row] = {}
    baseline: dict[int, Row] = {}
    regions: dict[int, NDArray[np.float64]] = {}
    for ((view, _), members), prediction in zip(alike(protocols).items(), predictions, strict=True):
        truth, valid = truth_of(sample, view)
        group = [protocols[k] for k in members]
        own, constants = ({i: of[k] for i, k in enumerate(members) if k in of} for of in (fits.scores, fits.baseline))
        parts = score_parts(prediction, truth, valid, group, labels_of(truth, valid), own)
        scores |= {
            k: _with_extras(part.row, prediction, sample, protocols[k], fits.scores.get(k))
            for k, part in zip(members, parts, strict=True)
        }
        regions |= {k: region_scores(part.sums, protocols[k]) for k, part in zip(members, parts, strict=True)}
        constant = np.full_like(truth, median_m)
        flat = score_parts(constant, truth, valid, group, fits=constants)
        baseline |= {
            k: _with_extras(part.row, constant, sample, protocols[k], fits.baseline.get(k))
            for k, part in zip(members, flat, strict=True)
        }
    order = range(len(protocols))
    return [scores[k] for k in order], [baseline[k] for k in order], [regions[k] for k in order]


def _with_extras(row: Row, prediction: Floats, sample: Sample, protocol: Protocol, fit: Fit | Unscored | None) -> Row:
    """Add the metrics that a protocol asks for to the nine of an image."""
    if not isinstance(row, dict) or not protocol.metrics:
        return row
    assert not isinstance(fit, Unscored), "else there is no row"
    height, width = sample.depth.shape[-2:]
    intrinsics = None if sample.intrinsics is None else sample.intrinsics.numpy()
    camera = camera_in_view(intrinsics, height, width, protocol.view)
    try:
        return {**row, **extra_scores(prediction, *truth_of(sample, protocol.view), protocol, camera, fit)}
    except ValueError as error:
        return Unscored(f"protocol '{protocol.name}': {error}")


def alike(protocols: Sequence[Protocol]) -> Mapping[tuple[View, bool], list[int]]:
    """Group protocols, by index, that share a prediction: those of one view and flip, the first protocol's first."""
    groups: dict[tuple[View, bool], list[int]] = {}
    for k, protocol in enumerate(protocols):
        groups.setdefault((protocol.view, protocol.flip), []).append(k)
    return groups


def _picture(
    name: str, sample: Sample, protocol: Protocol, prediction: Floats, row: Row, fit: Fit | Unscored | None
) -> PanelRow:
    if isinstance(row, Unscored) or isinstance(fit, Unscored):  # without a scale the prediction is shown as it is
        depth = seen(prediction, sample, replace(protocol, align="none", align_over="image"))
        return PanelRow(name, *framed(sample, protocol), depth, None, "not scored")
    depth = seen(prediction, sample, protocol, fit=fit)
    return PanelRow(name, *framed(sample, protocol), depth, row["abs_rel"] if row else None)
