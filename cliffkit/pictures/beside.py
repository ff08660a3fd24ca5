"""A photo beside its depth in colours, with the scale below: as one picture, and as the frames of a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from PIL import Image

from cliffkit.pictures.colours import Floats, coloured
from cliffkit.pictures.painted import Painted
from cliffkit.pictures.png import save_png
from cliffkit.pictures.strip import LEAST_WIDTH, STRIP_HEIGHT, scale_strip, text_size


class Beside:
    """Pictures of one size under one scale, whose strip is drawn once.

    Photo and depth are `size`, (height, width), each. Height and width of the whole are even, as video needs them.
    """

    def __init__(self, size: tuple[int, int], norm: Normalize, pointed: tuple[bool, bool], *, grey: bool) -> None:
        self._size, self._norm = size, norm
        height, width = size
        text = text_size(width)
        self._left = width + max(2, text // 3)
        whole = max(self._left + width, LEAST_WIDTH * text)
        whole += whole % 2
        strip = scale_strip(whole, norm, text, pointed, grey=grey)
        canvas = np.full((height + height % 2 + STRIP_HEIGHT * text, whole, 3), 255, np.uint8)
        canvas[-strip.height :] = np.asarray(strip)
        self._canvas = canvas

    def __call__(self, image: NDArray[np.uint8], depth_m: Floats) -> NDArray[np.uint8]:
        """Draw an RGB image (H, W, 3) beside its depth (H, W); both are brought to the size of the picture."""
        return self.put(image, coloured(depth_m, self._norm))

    def put(self, image: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draw an RGB image beside its depth in colours, (H, W, 3) each."""
        height, width = self._size
        picture = self._canvas.copy()
        picture[:height, :width] = self._fitted(image)
        picture[:height, self._left : self._left + width] = self._fitted(colours)
        return picture

    def _fitted(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if image.shape[:2] == self._size:
            return image
        return np.asarray(Image.fromarray(image).resize(self._size[::-1], Image.Resampling.BOX))


def beside_png(path: Path, image: NDArray[np.uint8], depth: Painted) -> None:
    """Draw an RGB image (H, W, 3) beside its depth, in the colours of `depth_colour_png`, with their scale."""
    height, width = depth.pixels.shape[:2]
    draw = Beside((height, width), depth.norm, depth.pointed, grey=depth.grey)
    save_png(path, draw.put(image, depth.pixels))
