"""The camera: a Kinect's field of view at human height, held almost level by a person who looks at the furniture."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .layout import Room
from .scene import Dice

FOCAL_AT_640 = 518.86
"""Focal length in pixels of NYU-Depth V2's Kinect at width 640 (its toolbox's camera_params.m)."""

Array = NDArray[np.float32]


class Camera(NamedTuple):
    """A pinhole camera; its own axes are x right, y down, z forward."""

    position: tuple[float, float, float]
    rotation: NDArray[np.float64]
    """(3, 3): columns are the camera's right, down and forward in the room."""
    height: int
    width: int

    @property
    def focal(self) -> float:
        """Focal length in pixels, both axes."""
        return FOCAL_AT_640 / 640 * self.width

    def rays(self) -> Array:
        """(3, H, W) directions in the room that advance one metre along the optical axis: t is z-depth."""
        x = (np.arange(self.width) - (self.width - 1) / 2) / self.focal
        y = (np.arange(self.height) - (self.height - 1) / 2) / self.focal
        r = self.rotation[:, :, None, None]
        return (r[:, 0] * x[None, None, :] + r[:, 1] * y[None, :, None] + r[:, 2]).astype(np.float32)


def orient(heading: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """A camera's rotation: heading from +x towards +y, pitch downwards, roll clockwise, in radians."""
    ch, sh, cp, sp = math.cos(heading), math.sin(heading), math.cos(pitch), math.sin(pitch)
    forward = np.array([ch * cp, sh * cp, -sp])
    right = np.array([sh, -ch, 0.0])
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, forward], axis=1)


def _reach(room: Room, x: float, y: float, heading: float) -> float:
    """Distance to the wall straight ahead."""
    dx, dy = math.cos(heading), math.sin(heading)
    to_x = (room.size[0] - x) / dx if dx > 1e-9 else -x / dx if dx < -1e-9 else math.inf
    to_y = (room.size[1] - y) / dy if dy > 1e-9 else -y / dy if dy < -1e-9 else math.inf
    return min(to_x, to_y)


def draw_camera(dice: Dice, room: Room, height: int, width: int) -> Camera | None:
    """A camera on the open floor that looks at something; None where twenty tries found none."""
    w, d, _ = room.size
    for _ in range(20):
        x, y = dice.uniform(0.2, w - 0.2), dice.uniform(0.2, d - 0.2)
        eye = dice.uniform(1.15, 1.65)
        body = 0.18
        rect = (x - body, y - body, x + body, y + body)
        if any(h > 0.1 and r[0] < rect[2] and rect[0] < r[2] and r[1] < rect[3] and rect[1] < r[3] for r, h in room.taken):
            continue
        tx, ty, tz = dice.pick(room.focus) if room.focus and dice.chance(0.8) else (w / 2, d / 2, 0.8)
        heading = math.atan2(ty - y, tx - x) + dice.uniform(-0.3, 0.3)
        distance = math.hypot(tx - x, ty - y)
        if distance < 1.1 or _reach(room, x, y, heading) < min(1.8, 0.6 * max(w, d)):
            continue
        down = math.atan2(eye - tz, distance)
        pitch = min(0.5, max(-0.1, 0.6 * down + dice.uniform(-0.08, 0.14)))
        return Camera((x, y, eye), orient(heading, pitch, dice.uniform(-0.04, 0.04)), height, width)
    return None
