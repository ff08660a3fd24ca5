"""Where a structured-light sensor sees nothing: beside near things, far away, on glass, dark, shiny or slanted ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.image.surface import Surface
from cliffkit_rooms.image.textures import noise

Array = NDArray[np.floating]

BASELINE_M = 0.075
"""Distance between the Kinect's projector and its infrared camera."""


def missing(depth: Array, surface: Surface, focal: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Find the pixels (H, W) where the sensor has no depth."""
    height, width = depth.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) * np.float32(160 / width)
    seed = np.int32(rng.integers(1 << 16))
    rough = noise(x * 0.15, y * 0.15, seed) + np.float32(0.5) * noise(x * 0.6, y * 0.6, seed + np.int32(1))

    # The projector stands to the left, so a near object's right edge keeps its light from what is behind.
    lit = np.arange(width, dtype=np.float32)[None] + np.float32(focal * BASELINE_M) / depth
    shadow = lit < np.maximum.accumulate(lit, axis=1) - np.float32(0.3)

    def image(values: Array) -> Array:
        return values.reshape(height, width)

    luma = image((surface.albedo * np.array([[0.3], [0.6], [0.1]], np.float32)).sum(axis=0))
    weak = image(surface.facing) * np.sqrt(luma) / np.maximum(depth, 1)
    lost = weak < np.float32(0.018) * (1 + np.float32(0.6) * rough)
    lost |= image(surface.facing) < np.float32(0.1) * (1 + np.float32(0.5) * rough)
    lost |= (image(surface.gloss) + image(surface.glow) > 0.55) & (rough > np.float32(-0.4))
    lost |= image(surface.glow) > 1
    lost |= depth > np.float32(7.2) + np.float32(1.2) * rough
    # Registration to the colour camera leaves a ragged empty margin.
    edge = np.minimum(np.minimum(x, x[:, ::-1]), np.minimum(y, y[::-1]))
    lost |= edge < np.float32(1.5) + np.float32(1.2) * rough
    specks = rng.random(depth.shape, np.float32) < 0.006
    return shadow | lost | specks
