"""A picture of predictions while a network learns: cheap, since it is drawn at every validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cliffkit.pictures.colours import DEPTH_COLOURS, Floats, colour_map, enlarged, masked, scale_of, wide_scale

WIDEST, GAP = 320, 4
"""Largest width of a map in the picture, and the white between maps; pixels."""


def progress_picture(images: NDArray[np.uint8], truths: Floats, predictions: Floats) -> NDArray[np.uint8]:
    """Draw images (B, 3, H, W) beside true and predicted depth (B, H, W), a row each, in the colours of the truth.

    Depth is in metres, grey where it is not finite. Maps wider than WIDEST are drawn with every second pixel, every
    third, and so on. The colours depend on the truth alone, so pictures of different steps can be compared.
    """
    step = -(-truths.shape[-1] // WIDEST)
    norm = wide_scale(scale_of(list(truths))[0])
    colours = colour_map(DEPTH_COLOURS)

    def drawn(depth: Floats) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = colours(norm(masked(depth[::step, ::step])), bytes=True)[..., :3]
        return pixels

    rows = []
    for image, truth, prediction in zip(images, truths, predictions, strict=True):
        shown = image.transpose(1, 2, 0)[::step, ::step]
        maps = [shown, drawn(enlarged(truth, truth)), drawn(prediction)]
        rows.append(np.concatenate([np.pad(pixels, _EDGE, constant_values=255) for pixels in maps], axis=1))
    return np.concatenate(rows)


_EDGE = ((0, GAP), (0, GAP), (0, 0))
