"""Signs that the numbers of predictions are not what they are said to be. They are told, and nothing is mended."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cliffkit.interfaces import Sample
from cliffkit.prediction.given.quantity import Quantity, ray_lengths
from cliffkit.prediction.given.stored import Stored

DEEPEST_M = 100.0
"""Median depth above which metres are doubted."""

PIXELS = 2000
"""Valid pixels of an image that are looked at, spread evenly."""

FEW_DEPTHS = 256
"""Number of values that 8 bits have."""

SAME_ASPECT = 0.02
"""Share by which the ratio of the sides of a prediction may differ from its image's."""

FALLING = -0.2
"""Rank correlation with the truth, median over images, below which predictions are taken to fall as truth rises."""

RADIAL = (0.6, 1.4)
"""Slopes of log(prediction / truth) over log(length of the ray) that distance from the camera's centre shows."""

WIDE = 0.05
"""Least standard deviation of log(length of the ray) that shows such a slope."""

Floats = NDArray[np.floating]


class Suspicions:
    """Looks at one prediction after the other, and says at the end what is odd."""

    def __init__(self, quantity: Quantity) -> None:
        self._quantity = quantity
        self.images = 0
        self._medians: list[float] = []
        self._ranks: list[float] = []
        self._slopes: list[float] = []
        self._counts = {"8 bits": 0, "transposed": 0, "aspect": 0, "constant": 0, "not finite": 0, "not positive": 0}

    def look(self, stored: Stored, depth_m: Floats, sample: Sample) -> None:
        """Note what is odd about a prediction: as it was stored, and as depth in metres at the image's size."""
        self.images += 1
        values, counts = stored.values, self._counts
        height, width = sample.image.shape[-2:]
        aspect = values.shape[0] / values.shape[1] * width / height
        is_turned = abs(aspect * (height / width) ** 2 - 1) < SAME_ASPECT < abs(aspect - 1)
        counts["8 bits"] += stored.dtype in ("uint8", "int8")
        counts["transposed"] += is_turned
        counts["aspect"] += abs(aspect - 1) > SAME_ASPECT and not is_turned
        counts["not finite"] += not np.isfinite(values).all()
        counts["constant"] += bool(values.min() == values.max())
        counts["not positive"] += bool((values <= 0).any())

        pixels = np.flatnonzero(sample.valid.numpy().ravel())
        pixels = pixels[:: max(1, len(pixels) // PIXELS)]
        predicted, true = depth_m.ravel()[pixels], sample.depth.numpy().ravel()[pixels]
        usable = np.isfinite(predicted) & (predicted > 0)
        if np.count_nonzero(usable) < 2:
            return
        predicted, true = predicted[usable], true[usable]
        self._medians.append(float(np.median(predicted)))
        if np.ptp(predicted) > 0 and np.ptp(true) > 0:
            self._ranks.append(_correlation(_ranks(predicted), _ranks(true)))
        if sample.intrinsics is not None:
            fx, fy, cx, cy = sample.intrinsics.tolist()
            rays = np.log(ray_lengths((height, width), (fx, fy, cx, cy)).ravel()[pixels][usable])
            if rays.std() > WIDE:
                self._slopes.append(float(np.polyfit(rays, np.log(predicted / true), 1)[0]))

    def warnings(self) -> list[str]:
        """Say what is odd, a sentence each, the gravest first."""
        return list(self._warnings())

    def _warnings(self) -> Iterator[str]:
        quantity = self._quantity.name
        middle = float(np.median(self._medians)) if self._medians else 0.0
        if self._ranks and (rank := float(np.median(self._ranks))) < FALLING:
            other = "inverse depth or disparity" if quantity in ("depth", "distance") else "depth"
            yield (
                f"predictions fall where the truth rises (rank correlation {rank:.2f}, median over images); are they "
                f"{other}, read as {quantity}?"
            )
        if middle > DEEPEST_M:
            yield (
                f"the median predicted depth is {middle:g} m; are these millimetres or other units, read as metres? "
                "Give their scale, as 1000 for millimetres"
            )
        if quantity == "depth" and len(self._slopes) > 2 and RADIAL[0] < float(np.median(self._slopes)) < RADIAL[1]:
            yield (
                "predictions grow towards the corners as distance from the camera's centre does; are they that, read "
                "as depth?"
            )
        words = {
            "8 bits": "hold 8 bits a pixel: a picture of depth with at most 256 values is not depth",
            "transposed": "have the sides of their image exchanged: rows and columns look transposed; they are "
            "stretched to the image as they are",
            "aspect": "have other proportions than their image: those of a crop would be stretched to the whole image",
            "constant": "hold one value only",
            "not finite": "hold NaN or infinite values",
            "not positive": "hold values of 0 or less, which are no " + quantity,
        }
        for name, sentence in words.items():
            if self._counts[name]:
                yield f"{self._counts[name]} of {self.images} predictions {sentence}"


def _ranks(values: Floats) -> Floats:
    return np.argsort(np.argsort(values)).astype(np.float64)


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])
