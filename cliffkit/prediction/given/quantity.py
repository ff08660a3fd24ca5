"""What the numbers of a prediction are, and the depth in metres that they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit.components.near import near
from cliffkit.errors import UserError

QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        "depth": "depth ahead of the camera in metres",
        "inverse": "inverse depth in 1/m",
        "disparity": "disparity in pixels",
        "distance": "distance from the camera's centre in metres",
    }
)
"""What a prediction may hold, in words, with the unit once it is divided by its scale."""

FARTHEST_M = 1e6
"""Depth of an inverse depth or disparity of 0 or less: finite, so that protocols without a clamp can score it."""

Floats = NDArray[np.float32]
Camera = tuple[float, float, float, float]
"""fx, fy, cx, cy in pixels of the image, as `Sample.intrinsics` counts them."""


@dataclass(frozen=True)
class Quantity:
    """What the numbers of predictions are."""

    name: str = "depth"
    scale: float | None = None
    """Stored numbers per unit: 1000 where depth is in millimetres, 256 in the PNGs of KITTI; None: 1, not said."""
    baseline_m: float | None = None
    """Of disparity: distance of the two cameras."""
    focal_px: float | None = None
    """Of disparity: focal length in pixels of the stored map."""
    camera: Camera | None = None
    """Of distance: the camera where the data set knows none."""

    def __post_init__(self) -> None:
        if self.name not in QUANTITIES:
            raise UserError(f"'{self.name}' is no quantity; there are: {', '.join(QUANTITIES)}")
        lengths = {"scale": self.scale, "baseline": self.baseline_m, "focal length": self.focal_px}
        for name, value in lengths.items():
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UserError(f"the {name} of predictions is {value:g}; write a finite number above 0")
        stereo = self.baseline_m is not None, self.focal_px is not None
        if self.name == "disparity" and not all(stereo):
            raise UserError("disparity needs a baseline in metres and a focal length in pixels; give both")
        if self.name != "disparity" and any(stereo):
            raise UserError(f"baseline and focal length are of disparity, not of {self.name}; leave them out")
        if self.name != "distance" and self.camera is not None:
            raise UserError(f"a camera is needed for distance, not for {self.name}; leave it out")
        if self.camera is not None and not (min(self.camera[:2]) > 0 and all(map(math.isfinite, self.camera))):
            raise UserError(f"camera {list(self.camera)}: write fx, fy, cx, cy in pixels, fx and fy above 0")

    def describe(self) -> str:
        """Put the quantity into words."""
        words = QUANTITIES[self.name] + (f", stored times {self.scale:g}" if self.scale not in (None, 1) else "")
        if self.name == "disparity":
            words += f", at a baseline of {self.baseline_m:g} m and a focal length of {self.focal_px:g} pixels"
        return words

    def flags(self) -> list[str]:
        """Write the quantity as `cliffkit score` takes it."""
        numbers = {"--scale": self.scale, "--baseline": self.baseline_m, "--focal": self.focal_px}
        said = [word for name, value in numbers.items() if value is not None for word in (name, f"{value:g}")]
        camera = [] if self.camera is None else ["--camera", *(f"{value:g}" for value in self.camera)]
        return ["--as", self.name, *said, *camera]

    def metres(self, values: Floats, camera: Camera | None) -> Floats:
        """Turn a map (H, W) of stored numbers, at the image's size, into depth in metres.

        `camera` is the one that the data set knows. Raises UserError where distance has no camera.
        """
        values = values / np.float32(self.scale or 1.0)
        if self.name == "depth":
            return values
        if self.name == "distance":
            camera = camera or self.camera
            if camera is None:
                raise UserError(
                    "distance from the camera's centre needs the camera, and the data set knows none; give fx, fy, cx "
                    "and cy in pixels of the image"
                )
            return values / ray_lengths(values.shape, camera)
        product = 1.0 if self.baseline_m is None or self.focal_px is None else self.baseline_m * self.focal_px
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.float32(product) / values
            return np.where(values > 0, np.minimum(depth, FARTHEST_M), np.where(np.isnan(values), np.nan, FARTHEST_M))


def quantity_of(given: str | Mapping[str, Any]) -> Quantity:
    """Read a quantity as users write it: its name, or a mapping with `use` and options. Raises UserError."""
    written: dict[str, Any] = {"use": given} if isinstance(given, str) else dict(given)
    takes = ("use", *(entry.name for entry in fields(Quantity) if entry.name != "name"))
    unknown = [str(name) for name in written if name not in takes]
    if unknown or "use" not in written:
        fault = near(unknown[0], takes, "it has") if unknown else f"it has {', '.join(takes)}"
        raise UserError(f"quantity: {f'unknown key {unknown[0]!r}' if unknown else 'use is missing'}; {fault}")
    camera = written.get("camera")
    if camera is not None:
        if len(camera) != 4:
            raise UserError(f"camera: {list(camera)} has {len(camera)} numbers; write fx, fy, cx, cy, in pixels")
        written["camera"] = tuple(map(float, camera))
    return Quantity(written.pop("use"), **written)


def ray_lengths(shape: tuple[int, ...], camera: Camera) -> Floats:
    """Give the distance from the camera's centre of each pixel (H, W) at a depth of 1: at least 1."""
    fx, fy, cx, cy = camera
    right = (np.arange(shape[1]) + 0.5 - cx) / fx
    down = (np.arange(shape[0])[:, None] + 0.5 - cy) / fy
    lengths: Floats = np.sqrt(1 + right**2 + down**2).astype(np.float32)
    return lengths
