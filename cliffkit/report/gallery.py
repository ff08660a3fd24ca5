"""The same test images under every variant, on one scale of depth and one of error.

The scores of the reference choose the images. Images chosen by the scores of the best variant would flatter it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cliffkit.components.isolate import isolated
from cliffkit.data.read import read_sample
from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.interfaces import Sample
from cliffkit.prediction.framing import framed, framed_error, note_of, seen
from cliffkit.prediction.predictor import predictor
from cliffkit.protocols import Protocol
from cliffkit.report.picks import pick, pick_images
from cliffkit.store.artifacts import WEIGHTS
from cliffkit.store.store import damage_of, job_folder
from cliffkit.study.results import CellResult, Results
from cliffkit.study.study import Variant

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

    variant: Variant
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


def make_gallery(
    results: Results, roots: Roots, device: torch.device, progress: Callable[[int, int], None]
) -> Gallery | str:
    """Predict the chosen images with the first seed of each variant that is done; gives the reason where that fails."""
    study = results.study
    protocol = next(protocol for protocol in results.protocols if protocol.name == study.protocol)
    chosen = pick_images(results)
    if not chosen:
        return f"the reference, {study.reference.name}, by which images are chosen, is not done"
    cells = {
        result.cell.variant.levels: result
        for result in reversed(results.cells)
        if result.scores is not None
        and study.protocol in result.scores.protocols
        and not result.cell.variant.is_placebo
    }
    variants = pick(results, MOST_VARIANTS, spread_out=True)
    try:
        evaluate = cells[study.reference.levels].cell.jobs[-1]
        dataset = open_split(study.reference.recipe, "test", roots)
        if dataset.fingerprint() != evaluate.inputs["test"]:
            return "the test images at hand are not those that were scored (another fingerprint)"
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
            with isolated("cannot predict", [part.component for part in variant.recipe.parts()]):
                predictions.append(_predict(results, cells[variant.levels], samples, protocol, device))
        except UserError as error:
            left_out.append(f"{variant.name}: {error}")
    progress(len(variants), len(variants))
    return Gallery(images, tuple(predictions), "; ".join(left_out))


def _predict(
    results: Results, result: CellResult, samples: dict[int, Sample], protocol: Protocol, device: torch.device
) -> VariantPredictions:
    study, cell = results.study, result.cell
    folder = job_folder(results.store, cell.jobs[-1].needs["depth"])
    damage = damage_of(folder)
    if damage is not None:
        raise UserError(f"depth: damaged: {damage}; `cliffkit ablate` does it again")
    predict = predictor(cell.recipe, folder / WEIGHTS, device)
    place = study.variants.index(cell.variant), study.seeds.index(cell.seed)
    assert result.scores is not None, "the cell is done"
    fit = result.scores.protocols[protocol.name].alignment
    scores = results.table(study.protocol, study.metric)[place]
    depths, errors = [], []
    for sample in samples.values():
        depth = predict(sample.image, protocol.view, flip=protocol.flip)
        depths.append(seen(depth, sample, protocol, HIGHEST_PX, fit))
        errors.append(framed_error(depth, sample, protocol, HIGHEST_PX, fit))
    measured = tuple(float(scores[index]) for index in samples)
    return VariantPredictions(cell.variant, cell.own_seed, tuple(depths), tuple(errors), measured)
