"""The same test images under every variant, on one scale of depth and one of error.

The scores of the reference choose the images. Images chosen by the scores of the best variant would flatter it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cliffkit.components.isolate import isolated
from cliffkit.data.read import read_sample
from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit.prediction.framing import framed, framed_error, note_of, seen
from cliffkit.prediction.predictor import predictor
from cliffkit.protocols import Protocol
from cliffkit.report.picks import pick, pick_images
from cliffkit.store.artifacts import WEIGHTS
from cliffkit.store.store import damage_of, job_folder
from cliffkit.study.cells import Cell
from cliffkit.study.results import CellResult, Results
from cliffkit.study.study import Point, Study

Floats = NDArray[np.floating[Any]]

MOST_VARIANTS, HIGHEST_PX = 12, 240


@dataclass(frozen=True)
class GalleryImage:
    """A test image as the compared protocol frames it."""

    name: str
    why: str
    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    truth: Floats
    """(H, W) metres, NaN where there is none; pixels of a sparse truth are enlarged."""
    note: str = ""
    """What a reader must know of the truth."""


@dataclass(frozen=True)
class VariantPredictions:
    """What one cell of a variant predicts for the chosen images."""

    variant: Point
    seed: int
    predictions: tuple[Floats, ...]
    """(H, W) metres each."""
    errors: tuple[Floats, ...]
    """Relative errors (H, W), NaN where there is no truth; enlarged as the truth."""
    scores: tuple[float, ...]
    """In the study's metric."""


@dataclass(frozen=True)
class Gallery:
    """Images, and what variants predict for them."""

    images: tuple[GalleryImage, ...]
    variants: tuple[VariantPredictions, ...]
    reason: str = ""
    """What was left out, and why."""


Predict = Callable[[CellResult, Mapping[int, Sample]], list[Floats]]
"""Gives what a cell predicts for samples by their index, in the view of the compared protocol, (H, W) metres."""


def make_gallery(
    results: Results, roots: Roots, device: torch.device, progress: Callable[[int, int], None]
) -> Gallery | str:
    """Predict the chosen images with the first seed of each variant that is done; gives the reason where that fails."""
    study, done = results.study, [result for result in results.cells if result.scores is not None]
    assert isinstance(study, Study), "given predictions have no networks"
    if not pick_images(results):
        return _nothing(results)
    try:
        dataset = open_split(study.reference.recipe, "test", roots)
        if dataset.fingerprint() != _planned(done[0]).jobs[-1].inputs["test"]:
            return "the test images at hand are not those that were scored (another fingerprint)"
    except UserError as error:
        return f"the test images are not at hand: {error}"
    return draw_gallery(results, dataset, partial(_predicted, results, device), progress)


def draw_gallery(
    results: Results, dataset: Dataset, predict: Predict, progress: Callable[[int, int], None]
) -> Gallery | str:
    """Show the chosen images of a data set with the predictions of the first seed of each variant that is done."""
    study = results.study
    protocol = next(protocol for protocol in results.protocols if protocol.name == study.protocol)
    chosen = pick_images(results)
    if not chosen:
        return _nothing(results)
    cells = {
        result.cell.variant.levels: result
        for result in reversed(results.cells)
        if result.scores is not None
        and study.protocol in result.scores.protocols
        and not result.cell.variant.is_placebo
    }
    variants = pick(results, MOST_VARIANTS, spread_out=True)
    try:
        samples = {index: read_sample(dataset, index) for index in chosen}
    except UserError as error:
        return f"the test images are not at hand: {error}"
    images = tuple(
        GalleryImage(
            dataset.name(index), chosen[index], *framed(sample, protocol, HIGHEST_PX), note_of(sample, protocol)
        )
        for index, sample in samples.items()
    )
    hidden = len(cells) - len(variants)
    predictions, left_out = [], [f"{hidden} of {len(cells)} variants, for want of room"] * (hidden > 0)
    for number, variant in enumerate(variants):
        progress(number, len(variants))
        try:
            predictions.append(_shown(results, cells[variant.levels], samples, protocol, predict))
        except UserError as error:
            left_out.append(f"{variant.name}: {error}")
    progress(len(variants), len(variants))
    return Gallery(images, tuple(predictions), "; ".join(left_out))


def _nothing(results: Results) -> str:
    return f"the reference, {results.study.reference.name}, by which images are chosen, is not done"


def _planned(result: CellResult) -> Cell:
    assert isinstance(result.cell, Cell), "a study's cells are planned"
    return result.cell


def _shown(
    results: Results, result: CellResult, samples: Mapping[int, Sample], protocol: Protocol, predict: Predict
) -> VariantPredictions:
    study, cell = results.study, result.cell
    place = study.variants.index(cell.variant), study.seeds.index(cell.seed)
    scores = results.table(study.protocol, study.metric)[place]
    assert result.scores is not None, "the cell is done"
    fit = result.scores.protocols[protocol.name].alignment
    depths, errors = [], []
    for depth, sample in zip(predict(result, samples), samples.values(), strict=True):
        depths.append(seen(depth, sample, protocol, HIGHEST_PX, fit))
        errors.append(framed_error(depth, sample, protocol, HIGHEST_PX, fit))
    measured = tuple(float(scores[index]) for index in samples)
    return VariantPredictions(cell.variant, cell.own_seed, tuple(depths), tuple(errors), measured)


def _predicted(
    results: Results, device: torch.device, result: CellResult, samples: Mapping[int, Sample]
) -> list[Floats]:
    """Predict samples with the network of a cell."""
    cell = _planned(result)
    protocol = next(protocol for protocol in results.protocols if protocol.name == results.study.protocol)
    assert results.store is not None, "its cells are jobs"
    folder = job_folder(results.store, cell.jobs[-1].needs["depth"])
    damage = damage_of(folder)
    if damage is not None:
        raise UserError(f"depth: damaged: {damage}; `cliffkit ablate` does it again")
    with isolated("cannot predict", [part.component for part in cell.variant.recipe.parts()]):
        predict = predictor(cell.recipe, folder / WEIGHTS, device)
        return [predict(sample.image, protocol.view, flip=protocol.flip) for sample in samples.values()]
