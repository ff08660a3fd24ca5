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

OFF = (0.4, 2.5)
"""Ratio of predicted to true depth, median over images, outside of which units are doubted."""

ALIKE = 1.5
"""Factor within which the middle 80 % of the images' ratios must lie for that: a bad network errs by more or less."""

FAR_OFF = 20.0
"""Factor by which so many ratios may be off before units are doubted however much they differ."""

SCALES = {1: "in metres", 100: "in centimetres", 256: "KITTI's PNGs", 1000: "in millimetres", 5000: "TUM's PNGs"}
"""Scales that are common, with what they are of."""

NEAR_SCALE = 1.5
"""Factor within which a scale that would fit is taken for a common one."""

Floats = NDArray[np.floating]


class Suspicions:
    """Looks at one prediction after the other, and says at the end what is odd."""

    def __init__(self, quantity: Quantity) -> None:
        self._quantity = quantity
        self.images = 0
        self.scale_counts = True
        """Whether any protocol scores depth as it is, without an alignment."""
        self._whole_numbers = False
        self._medians: list[float] = []
        self._ratios: list[float] = []
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
        self._whole_numbers |= not stored.dtype.startswith("float")

        pixels = np.flatnonzero(sample.valid.numpy().ravel())
        pixels = pixels[:: max(1, len(pixels) // PIXELS)]
        predicted, true = depth_m.ravel()[pixels], sample.depth.numpy().ravel()[pixels]
        usable = np.isfinite(predicted) & (predicted > 0)
        if np.count_nonzero(usable) < 2:
            return
        predicted, true = predicted[usable], true[usable]
        self._medians.append(float(np.median(predicted)))
        self._ratios.append(float(np.median(predicted) / np.median(true)))
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
        rank = float(np.median(self._ranks)) if self._ranks else 0.0
        if rank < FALLING:
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
        elif rank >= FALLING and self.scale_counts and quantity in ("depth", "distance") and self._is_off():
            yield self._other_scale()
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

    def _is_off(self) -> bool:
        """Tell whether predictions are too near or too far by a factor that is much the same for all images."""
        if not self._ratios:
            return False
        low, middle, high = np.quantile(self._ratios, (0.1, 0.5, 0.9))
        is_one_factor = len(self._ratios) > 2 and high / low < ALIKE
        return bool((is_one_factor and not OFF[0] <= middle <= OFF[1]) or low > FAR_OFF or high < 1 / FAR_OFF)

    def _other_scale(self) -> str:
        """Say by which factor predictions are off, and which scale would fit."""
        ratio = float(np.median(self._ratios))
        fits = (self._quantity.scale or 1.0) * ratio
        said = f"predictions are {ratio:.2g} times the truth (median over {len(self._ratios)} images); "
        near = min(SCALES, key=lambda scale: abs(np.log(fits / scale)))
        if not 1 / NEAR_SCALE < fits / near < NEAR_SCALE:
            return said + (
                f"are they in metres? A scale of {fits:.2g} would fit (--scale); depth of unknown scale is scored by a "
                "protocol with an alignment, as full+median"
            )
        remedy = "Leave out --scale" if near == 1 and not self._whole_numbers else f"Write --scale {near}"
        return f"{said}are the files {SCALES[near]}? {remedy}"


def _ranks(values: Floats) -> Floats:
    return np.argsort(np.argsort(values)).astype(np.float64)


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])
