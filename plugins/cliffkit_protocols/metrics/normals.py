"""How well a prediction knows the slant of surfaces."""

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cliffkit.cameras import check_angle
from cliffkit.interfaces import Metric, ScoredDepth


class _Normals(Metric):
    """Angles between the normals of predicted and of true surfaces."""

    def __init__(self, fov_degrees: float) -> None:
        check_angle("normals", fov_degrees)
        self.fov_degrees = fov_degrees

    def angles(self, image: ScoredDepth) -> NDArray[np.float64]:
        """Give the angle in degrees at each pixel that is scored with its four neighbours."""
        inner = image.scored.copy()
        inner[[0, -1]], inner[:, [0, -1]] = False, False
        for axis in (0, 1):
            for step in (-1, 1):
                inner &= np.roll(image.scored, step, axis)
        predicted, true = (self._normals(depth, image)[inner] for depth in (image.predicted, image.true))
        lengths = np.linalg.norm(predicted, axis=-1) * np.linalg.norm(true, axis=-1)
        known = lengths > 0
        cosines = (predicted[known] * true[known]).sum(-1) / lengths[known]
        angles: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        return angles

    def _normals(self, depth: NDArray[np.float64], image: ScoredDepth) -> NDArray[np.float64]:
        """Give normals (H, W, 3), of any length: cross products of the lines between a pixel's neighbours in space."""
        height, width = depth.shape
        if image.camera is None:
            focal = width / 2 / math.tan(math.radians(self.fov_degrees) / 2)
            fx, fy, cx, cy = focal, focal, width / 2, height / 2
        else:
            fx, fy, cx, cy = image.camera
        depth = np.where(image.scored, depth, 1)
        right = (np.arange(width) + 0.5 - cx) / fx * depth
        down = ((np.arange(height) + 0.5 - cy) / fy)[:, None] * depth
        points = np.stack([right, down, depth], -1)
        across, along = (np.roll(points, -1, axis) - np.roll(points, 1, axis) for axis in (1, 0))
        return np.cross(across, along)


class NormalError(_Normals):
    """Angle between the normals of predicted and of true surfaces, in degrees, averaged over the pixels.

    A normal is the cross product of the lines between a pixel's left and right and its upper and lower neighbour in
    space, seen through the data set's camera. A pixel counts where its four neighbours are scored; an image without
    such a pixel has no value.

    Source of the measures: Fouhey, Gupta and Hebert, "Data-Driven 3D Primitives", ICCV 2013.

    Options:
        average: Mean or median over the pixels of an image.
        fov_degrees: Angle that the camera sees from left to right where the data set knows no camera.
    """

    unit = "deg"

    def __init__(self, *, average: Literal["mean", "median"] = "mean", fov_degrees: float = 60.0) -> None:
        super().__init__(fov_degrees)
        self.average = np.mean if average == "mean" else np.median

    def __call__(self, image: ScoredDepth) -> float | None:
        """Compute the mean or median angle, degrees."""
        angles = self.angles(image)
        return float(self.average(angles)) if angles.size else None


class NormalShare(_Normals):
    """Share of the pixels whose normal is less than an angle off.

    Normals as of `normal_error`; the customary angles are 11.25, 22.5 and 30 degrees.

    Options:
        degrees: The angle.
        fov_degrees: Angle that the camera sees from left to right where the data set knows no camera.
    """

    higher_is_better = True

    def __init__(self, *, degrees: Annotated[float, Field(gt=0, le=180)] = 11.25, fov_degrees: float = 60.0) -> None:
        super().__init__(fov_degrees)
        self.degrees = degrees

    def __call__(self, image: ScoredDepth) -> float | None:
        """Compute the share, 0 to 1."""
        angles = self.angles(image)
        return float(np.mean(angles < self.degrees)) if angles.size else None
