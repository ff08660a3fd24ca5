"""Alignments that hold for all test images: fitted in a first pass over the predictions, applied in a second.

One pass cannot do it. A metric is no sum from which a factor could be taken out afterwards: delta counts pixels, and a
clamp cuts some. So the first pass keeps a few numbers of each image (`scoring.alignments`) and stores the predictions
in a temporary folder, from which the second pass reads them. A network thus predicts once. Where no protocol aligns
over the set, nothing is stored and there is one pass.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit.data.read import read_sample
from cliffkit.interfaces import Dataset, Sample
from cliffkit.prediction.framing import truth_of
from cliffkit.protocols import Protocol, View
from cliffkit.scoring.alignments import RULES, Evidence, Fit, fit_set
from cliffkit.scoring.scores import Unscored
from cliffkit.scoring.views import scored_pixels
from cliffkit.store.files import writing
from cliffkit.workers import available_cores, in_order

Floats = NDArray[np.floating[Any]]
Predicted = tuple[Sample, list[Floats]]
"""An image with its prediction for each view and flip of some protocols, in the order of `alike`, (H, W) metres."""

Groups = Mapping[tuple[View, bool], list[int]]
"""Indices of the protocols of each prediction."""


@dataclass(frozen=True)
class SetFits:
    """The fit of each protocol that aligns over the set, by the protocol's index; or why there is none."""

    scores: Mapping[int, Fit | Unscored]
    baseline: Mapping[int, Fit | Unscored]
    """Of a constant prediction."""


NO_SET = SetFits({}, {})
"""The fits where no protocol aligns over the set."""


@contextmanager
def aligned_over_set(
    predicted: Iterable[Predicted],
    dataset: Dataset,
    indices: Sequence[int],
    protocols: Sequence[Protocol],
    groups: Groups,
    median_m: float,
) -> Iterator[tuple[Iterable[Predicted], SetFits]]:
    """Give the predictions of these images and the fits of the protocols that align over the set.

    `predicted` is read once. Raises UserError where the temporary folder cannot be written.
    """
    if all(protocol.align_over == "image" for protocol in protocols):
        yield predicted, NO_SET
        return
    with tempfile.TemporaryDirectory(prefix="cliffkit-") as name:
        folder = Path(name)
        fits = _first_pass(predicted, folder, protocols, groups, median_m)
        images = in_order(partial(read_sample, dataset), indices, available_cores())
        yield ((sample, _stored(folder, i)) for i, sample in enumerate(images)), fits


def _first_pass(
    predicted: Iterable[Predicted], folder: Path, protocols: Sequence[Protocol], groups: Groups, median_m: float
) -> SetFits:
    """Store the predictions, an archive for each image, and fit all of them together."""
    evidence: dict[tuple[int, bool], list[Evidence | Unscored]] = {
        (k, constant): []
        for k, protocol in enumerate(protocols)
        if protocol.align_over == "set"
        for constant in (False, True)
    }
    for i, (sample, predictions) in enumerate(predicted):
        with writing(folder):
            np.savez(folder / f"{i}.npz", *predictions)
        for ((view, _), members), prediction in zip(groups.items(), predictions, strict=True):
            truth, valid = truth_of(sample, view)
            for k in members:
                if (k, False) not in evidence:
                    continue
                scored = scored_pixels(truth, valid, protocols[k])
                depth = truth[scored]
                if depth.size:
                    evidence[k, False].append(_evidence(protocols[k], prediction[scored], depth))
                    evidence[k, True].append(_evidence(protocols[k], np.full_like(depth, median_m), depth))
    fits = {key: _fit(protocols[key[0]], parts) for key, parts in evidence.items()}
    return SetFits(*({k: fit for (k, of), fit in fits.items() if of is constant} for constant in (False, True)))


def _evidence(protocol: Protocol, predicted: Floats, true: Floats) -> Evidence | Unscored:
    try:
        return RULES[protocol.align].evidence(predicted, true)
    except ValueError as error:
        return Unscored(f"protocol '{protocol.name}' {error}")


def _fit(protocol: Protocol, images: Sequence[Evidence | Unscored]) -> Fit | Unscored:
    """Fit a set; an image that has no ratio leaves the set without one."""
    reasons = [image for image in images if isinstance(image, Unscored)]
    if reasons:
        return Unscored(f"{reasons[0].reason}, in {len(reasons)} of {len(images)} images")
    if not images:
        return Unscored(f"protocol '{protocol.name}' scores no pixel of the set")
    try:
        return fit_set(protocol.align, [image for image in images if not isinstance(image, Unscored)])
    except ValueError as error:
        return Unscored(f"protocol '{protocol.name}' {error}")


def _stored(folder: Path, i: int) -> list[Floats]:
    """Read an image's predictions back, and delete them."""
    path = folder / f"{i}.npz"
    with np.load(path) as archive:
        predictions = [archive[name] for name in archive.files]
    path.unlink()
    return predictions
