"""The same test images under every variant, on one scale of depth and one of error.

The images are chosen by the scores of the reference: chosen by the winner's, they would flatter it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.colors import LogNorm, Normalize
from numpy.typing import NDArray
from PIL import Image

from cliffkit.data.pack import read_sample
from cliffkit.data.resize import resize_image
from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit.pictures.colours import DEPTH_COLOURS, ERROR_COLOURS, LOG_FROM
from cliffkit.prediction.predictor import predictor
from cliffkit.protocols import Protocol
from cliffkit.report.wording import pick
from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.scoring.views import crop_mask, image_region, truth_in_view
from cliffkit.store.artifacts import WEIGHTS
from cliffkit.store.store import job_folder
from cliffkit.study.results import CellResult, Results
from cliffkit.study.study import Variant

Floats = NDArray[np.floating[Any]]

MOST_VARIANTS, HIGHEST_PX = 12, 240

_GREY = (0.62, 0.62, 0.62)


@dataclass(frozen=True)
class Chosen:
    """A test image as the compared protocol frames it."""

    name: str
    why: str
    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    truth: Floats
    """(H, W) metres, NaN where there is none."""


@dataclass(frozen=True)
class Shown:
    """What one cell of a variant predicts for the chosen images."""

    variant: Variant
    seed: int
    predictions: tuple[Floats, ...]
    """(H, W) metres each."""
    scores: tuple[float, ...]
    """In the study's metric."""


@dataclass(frozen=True)
class Gallery:
    """Images, and what variants predict for them."""

    images: tuple[Chosen, ...]
    variants: tuple[Shown, ...]
    reason: str = ""
    """What was left out, and why."""


def make_gallery(
    results: Results, roots: Roots, device: torch.device, progress: Callable[[int, int], None]
) -> Gallery | str:
    """Predict the chosen images with the first seed of each variant that is done; or why that cannot be."""
    study = results.study
    protocol = next(each for each in results.protocols if each.name == study.protocol)
    chosen = choose(results)
    if not chosen:
        return f"the reference, {study.reference.name}, by which images are chosen, is not done"
    cells = {each.cell.variant.levels: each for each in reversed(results.cells) if each.state == "done"}
    picked = pick(results, MOST_VARIANTS, spread_out=True)
    try:
        evaluate = cells[study.reference.levels].cell.jobs[-1]
        dataset = open_split(study.reference.recipe, "test", roots)
        if dataset.fingerprint() != evaluate.inputs["test"]:
            return "the test images at hand are not those that were scored (another fingerprint)"
        samples = {index: read_sample(dataset, index) for index in chosen}
    except UserError as error:
        return f"the test images are not at hand: {error}"
    images = tuple(_frame(dataset, index, sample, chosen[index], protocol) for index, sample in samples.items())
    shown, left_out = [], [f"{len(picked)} of {len(cells)} variants are shown"] * (len(cells) > len(picked))
    for number, variant in enumerate(picked):
        progress(number, len(picked))
        try:
            shown.append(_predict(results, cells[variant.levels], samples, protocol, device))
        except UserError as error:
            left_out.append(f"{variant.name}: {error}")
    progress(len(picked), len(picked))
    return Gallery(images, tuple(shown), "; ".join(left_out))


def choose(results: Results) -> dict[int, str]:
    """Test images with why they are shown: the reference's worst two, the two about its median, its best."""
    study = results.study
    values = results.table(study.protocol, study.metric)[study.variants.index(study.reference)]
    done = values[np.isfinite(values).any(axis=1)]
    if not len(done):
        return {}
    means = done.mean(axis=0)
    order = [int(i) for i in np.argsort(means, kind="stable") if np.isfinite(means[i])]
    if study.metric in HIGHER_IS_BETTER:
        order.reverse()
    middle = (len(order) - 1) // 2
    picks = {"worst": order[:-3:-1], "median": order[middle : middle + 2], "best": order[:1]}
    chosen: dict[int, str] = {}
    for why, indices in picks.items():
        for index in indices:
            chosen.setdefault(index, why)
    return chosen


def _frame(dataset: Dataset, index: int, sample: Sample, why: str, protocol: Protocol) -> Chosen:
    depth, valid = sample.depth.numpy()[0], sample.valid.numpy()[0]
    truth, known = truth_in_view(depth, valid, protocol.view)
    truth = _small(np.where(known, truth, np.nan))
    height, width = sample.image.shape[-2:]
    top, left, h, w = image_region(height, width, protocol.view)
    shown = resize_image(sample.image[None, :, top : top + h, left : left + w], (truth.shape[0], truth.shape[1]))
    return Chosen(dataset.name(index), why, shown[0].permute(1, 2, 0).numpy(), truth)


def _predict(
    results: Results, each: CellResult, samples: dict[int, Sample], protocol: Protocol, device: torch.device
) -> Shown:
    study, cell = results.study, each.cell
    weights = job_folder(results.store, cell.jobs[-1].needs["depth"]) / WEIGHTS
    predict = predictor(cell.recipe, weights, device)
    place = study.variants.index(cell.variant), study.seeds.index(cell.seed)
    scores = results.table(study.protocol, study.metric)[place]
    depths = []
    for sample in samples.values():
        depth = predict(sample.image, protocol.view, flip=protocol.flip)
        depths.append(_small(_as_scored(depth, sample, protocol)))
    return Shown(cell.variant, cell.seed, tuple(depths), tuple(float(scores[index]) for index in samples))


def _as_scored(prediction: Floats, sample: Sample, protocol: Protocol) -> Floats:
    """Apply a protocol's alignment and clamp to a prediction."""
    if protocol.align == "median":
        truth, known = truth_in_view(sample.depth.numpy()[0], sample.valid.numpy()[0], protocol.view)
        known = known & crop_mask(truth.shape[0], truth.shape[1], protocol.crop) & (truth > protocol.min_depth_m)
        known &= (truth < (np.inf if protocol.max_depth_m is None else protocol.max_depth_m)) & np.isfinite(prediction)
        if known.any():
            prediction = prediction * (np.median(truth[known]) / np.median(prediction[known]))
    low, high = protocol.clamp_low_m, protocol.clamp_high_m
    return prediction.clip(-np.inf if low is None else low, np.inf if high is None else high)


def _small(values: Floats) -> Floats:
    """At most so high, by picking pixels: depth is never averaged."""
    height, width = values.shape
    if height <= HIGHEST_PX:
        return values
    wide = max(1, round(width * HIGHEST_PX / height))
    rows, columns = (
        (2 * np.arange(few) + 1) * many // (2 * few) for few, many in ((HIGHEST_PX, height), (wide, width))
    )
    return values[np.ix_(rows, columns)]


def errors(chosen: Chosen, prediction: Floats) -> Floats:
    """|d - p| / d, (H, W)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(chosen.truth - prediction) / chosen.truth


def scales(gallery: Gallery) -> tuple[Normalize, Normalize]:
    """One scale for every depth and one for every error.

    That of depth spans the truth alone, from its 1st to its 99th percentile, logarithmic where that is far: one network
    that predicts nonsense must not take the others' colours. That of errors ends at their 99th percentile.
    """
    low, high = _percentiles([_finite(each.truth) for each in gallery.images])
    wrong = [
        _finite(errors(image, depth))
        for each in gallery.variants
        for image, depth in zip(gallery.images, each.predictions, strict=True)
    ]
    depth_norm = LogNorm(low, high) if 0 < low * LOG_FROM < high else Normalize(low, high)
    return depth_norm, Normalize(0, _percentiles(wrong)[1])


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _percentiles(parts: Sequence[Floats]) -> tuple[float, float]:
    values = np.concatenate(parts) if parts else np.zeros(0)
    low, high = np.percentile(values, [1, 99]).tolist() if values.size else (0.0, 1.0)
    return low, high if high > low else low + 1


def depth_picture(values: Floats, norm: Normalize) -> str:
    """Depth in colour as a `data:` address; grey where there is none."""
    return _coloured(values, norm, DEPTH_COLOURS)


def error_picture(values: Floats, norm: Normalize) -> str:
    """Relative error in colour as a `data:` address; grey where there is none."""
    return _coloured(values, norm, ERROR_COLOURS)


def _coloured(values: Floats, norm: Normalize, colours: str) -> str:
    colour_map = matplotlib.colormaps[colours].with_extremes(bad=_GREY)
    return photo(colour_map(norm(np.ma.masked_invalid(values)), bytes=True)[..., :3])


def photo(rgb: NDArray[np.uint8]) -> str:
    """Turn an image (H, W, 3) into a `data:` address."""
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(data, format="JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def colour_bar(norm: Normalize, *, depth: bool) -> tuple[str, list[str]]:
    """Give a strip of a scale's colours as a `data:` address, and five evenly spaced values along it."""
    places = np.linspace(0, 1, 256)
    strip = matplotlib.colormaps[DEPTH_COLOURS if depth else ERROR_COLOURS](places[None].repeat(8, 0), bytes=True)
    return photo(strip[..., :3]), [f"{float(norm.inverse(place)):.3g}" for place in (0, 0.25, 0.5, 0.75, 1)]
