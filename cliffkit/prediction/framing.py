"""What a protocol's view shows of an image and of its true depth, side by side with what is predicted for the view."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit.data.resize import resize_image
from cliffkit.interfaces import Sample
from cliffkit.protocols import View
from cliffkit.scoring.views import image_region, truth_in_view


def truth_of(sample: Sample, view: View) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Frame a sample's true depth, metres, and its validity, (H, W) each, as `truth_in_view` does."""
    return truth_in_view(sample.depth.numpy()[0], sample.valid.numpy()[0], view)


def framed(sample: Sample, view: View) -> tuple[NDArray[np.uint8], NDArray[np.floating[Any]]]:
    """Frame a sample for people: the image (H, W, 3) RGB and true depth (H, W), metres, NaN where there is none.

    The image is resized to the size at which truth and prediction are compared.
    """
    truth, known = truth_of(sample, view)
    top, left, height, width = image_region(sample.image.shape[-2], sample.image.shape[-1], view)
    region = sample.image[None, :, top : top + height, left : left + width]
    image = resize_image(region, (truth.shape[0], truth.shape[1]))[0].permute(1, 2, 0)
    return image.numpy(), np.where(known, truth, np.nan)
