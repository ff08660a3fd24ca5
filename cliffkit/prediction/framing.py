"""An image, its true depth and its prediction as a protocol sees them: for scores, panels and galleries alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.data.resize import resize_image
from cliffkit.interfaces import Sample
from cliffkit.pictures.colours import enlarged, relative_error, sparse_note
from cliffkit.protocols import Protocol, View
from cliffkit.scoring.alignments import Fit
from cliffkit.scoring.views import as_scored, image_region, truth_in_view

Floats = NDArray[np.floating[Any]]


class Framed(NamedTuple):
    """An image and its true depth as people are shown them, of one size."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    truth: Floats
    """(H, W) metres, NaN where there is none."""


def truth_of(sample: Sample, view: View) -> tuple[Floats, NDArray[np.bool_]]:
    """Frame a sample's true depth, metres, and its validity, (H, W) each, as `truth_in_view` does."""
    return truth_in_view(sample.depth.numpy()[0], sample.valid.numpy()[0], view)


def framed(sample: Sample, protocol: Protocol, highest_px: int | None = None) -> Framed:
    """Frame a sample for people, at the size at which truth and prediction are compared, `highest_px` high at most.

    Where a map is shrunk, the pixels of a sparse truth are enlarged first, since few would be left of them.
    """
    truth = _known(sample, protocol)
    if highest_px is not None:
        truth = _shrunk(enlarged(truth, truth), highest_px)
    top, left, height, width = image_region(sample.image.shape[-2], sample.image.shape[-1], protocol.view)
    region = sample.image[None, :, top : top + height, left : left + width]
    image = resize_image(region, (truth.shape[0], truth.shape[1]))[0].permute(1, 2, 0)
    return Framed(image.numpy(), truth)


def framed_error(
    prediction: Floats, sample: Sample, protocol: Protocol, highest_px: int, fit: Fit | None = None
) -> Floats:
    """Give the relative error (H, W) of a prediction for a protocol's view, framed as `framed` frames the truth.

    `fit` is the alignment of a protocol that aligns over a set. Raises ValueError as `as_scored` does.
    """
    truth = _known(sample, protocol)
    error = relative_error(truth, seen(prediction, sample, protocol, fit=fit))
    return _shrunk(enlarged(error, truth), highest_px)


def note_of(sample: Sample, protocol: Protocol) -> str:
    """Give the note that the pixels of a sparse truth are enlarged; empty for a dense truth."""
    return sparse_note(_known(sample, protocol))


def _known(sample: Sample, protocol: Protocol) -> Floats:
    """Frame the true depth, NaN where there is none."""
    truth, valid = truth_of(sample, protocol.view)
    return np.where(valid, truth, np.nan)


def seen(
    prediction: Floats, sample: Sample, protocol: Protocol, highest_px: int | None = None, fit: Fit | None = None
) -> Floats:
    """Give a prediction for a protocol's view, framed as `framed` frames the truth: aligned and clamped, (H, W) metres.

    `fit` is the alignment of a protocol that aligns over a set. Raises ValueError as `as_scored` does.
    """
    return _shrunk(as_scored(prediction, *truth_of(sample, protocol.view), protocol, fit), highest_px)


def _shrunk(depth: Floats, highest_px: int | None) -> Floats:
    """Shrink a map by picking pixels: depth is never averaged."""
    height, width = depth.shape
    if highest_px is None or height <= highest_px:
        return depth
    sides = ((highest_px, height), (max(1, round(width * highest_px / height)), width))
    rows, columns = ((2 * np.arange(few) + 1) * many // (2 * few) for few, many in sides)
    return depth[np.ix_(rows, columns)]
