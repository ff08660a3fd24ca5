"""From radiance to a photograph: exposure, white balance, a lens's blur and fall-off, a sensor's noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.scene.dice import Dice

Array = NDArray[np.floating]


def _blurred(image: Array, amount: float) -> Array:
    """Blur by a 3x3 separable kernel; `amount` is the weight of each neighbour."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, 1:-1] * np.float32(1 - 2 * amount) + (padded[:, :-2] + padded[:, 2:]) * np.float32(amount)
    return rows[:, :, 1:-1] * np.float32(1 - 2 * amount) + (rows[:, :, :-2] + rows[:, :, 2:]) * np.float32(amount)


def expose(radiance: Array, dice: Dice) -> NDArray[np.uint8]:
    """Expose (3, H, W) radiance as uint8 sRGB."""
    _, height, width = radiance.shape
    light = radiance.mean(axis=0)
    key = np.exp(np.log(light + np.float32(1e-3)).mean())
    gain = 0.2 / float(key) * 2.0 ** dice.uniform(-0.55, 0.5)
    grey = radiance.reshape(3, -1).mean(axis=1)
    balance = (grey.mean() / grey) ** np.float32(dice.uniform(0.3, 0.8))
    cast = np.array([1 + dice.uniform(-0.04, 0.05), 1.0, 1 + dice.uniform(-0.05, 0.04)], np.float32)
    x = (np.arange(width, dtype=np.float32) / np.float32(width) - np.float32(0.5)) * np.float32(1.25)
    y = np.arange(height, dtype=np.float32) / np.float32(height) - np.float32(0.5)
    falloff = 1 - np.float32(dice.uniform(0.15, 0.4)) * (x[None] ** 2 + y[:, None] ** 2)
    image = radiance * (np.float32(gain) * balance * cast)[:, None, None] * falloff
    image = _blurred(image, dice.uniform(0.08, 0.17))
    image = image * (1 + image * np.float32(1 / 9)) / (1 + image) * np.float32(1.25)
    grain = dice.rng.standard_normal(image.shape, np.float32)
    grain += np.float32(0.7) * grain.mean(axis=0)
    deviation = np.sqrt(np.float32(dice.uniform(2e-5, 1.6e-4)) * image + np.float32(dice.uniform(0.2e-5, 2.5e-5)))
    image = np.clip(image + grain * deviation, 0, 1)
    return (image ** np.float32(1 / 2.2) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
