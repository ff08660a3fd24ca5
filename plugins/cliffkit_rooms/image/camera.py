"""The camera: a Kinect's field of view at human height, held almost level by a person who looks at the furniture."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.layout import Room, overlaps

FOCAL_AT_640 = 518.86
"""Focal length in pixels of NYU-Depth V2's Kinect at width 640 (its toolbox's camera_params.m)."""

Array = NDArray[np.floating]


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

    @property
    def intrinsics(self) -> NDArray[np.float32]:
        """(4,): fx, fy, cx, cy in pixels; the first pixel has its centre at (0.5, 0.5)."""
        return np.array([self.focal, self.focal, self.width / 2, self.height / 2], np.float32)

    def rays(self) -> Array:
        """Give the (3, H, W) directions in the room that advance one metre along the optical axis: t is z-depth."""
        x = (np.arange(self.width) - (self.width - 1) / 2) / self.focal
        y = (np.arange(self.height) - (self.height - 1) / 2) / self.focal
        r = self.rotation[:, :, None, None]
        return (r[:, 0] * x[None, None, :] + r[:, 1] * y[None, :, None] + r[:, 2]).astype(np.float32)


def orient(heading: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Give a camera's rotation: heading from +x towards +y, pitch downwards, roll clockwise, in radians."""
    ch, sh, cp, sp = math.cos(heading), math.sin(heading), math.cos(pitch), math.sin(pitch)
    forward = np.array([ch * cp, sh * cp, -sp])
    right = np.array([sh, -ch, 0.0])
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, forward], axis=1)


def _reach(room: Room, x: float, y: float, heading: float) -> float:
    """Measure the distance to the wall straight ahead."""
    dx, dy = math.cos(heading), math.sin(heading)
    to_x = (room.size[0] - x) / dx if dx > 1e-9 else -x / dx if dx < -1e-9 else math.inf
    to_y = (room.size[1] - y) / dy if dy > 1e-9 else -y / dy if dy < -1e-9 else math.inf
    return min(to_x, to_y)


def _stand(dice: Dice, room: Room, height: int, width: int, close: bool) -> Camera | None:
    """Stand on the open floor, turned to a piece of furniture; None where a person could not stand or see."""
    w, d, _ = room.size
    x, y = dice.uniform(0.2, w - 0.2), dice.uniform(0.2, d - 0.2)
    body = (x - 0.18, y - 0.18, x + 0.18, y + 0.18)
    tx, ty, tz = dice.pick(room.focus) if room.focus and dice.chance(0.8) else (w / 2, d / 2, 0.8)
    eye, swing = dice.uniform(1.15, 1.65), dice.uniform(-0.3, 0.3)
    tilt, roll = dice.uniform(-0.08, 0.14), dice.uniform(-0.04, 0.04)
    heading, distance = math.atan2(ty - y, tx - x) + swing, math.hypot(tx - x, ty - y)
    if distance < (0.7 if close else 1.1) or _reach(room, x, y, heading) < (
        1.1 if close else min(1.8, 0.6 * max(w, d))
    ):
        return None
    if any(top > 0.1 and overlaps(rect, body) for rect, top in room.taken):
        return None
    pitch = min(0.5, max(-0.1, 0.6 * math.atan2(eye - tz, distance) + tilt))
    return Camera((x, y, eye), orient(heading, pitch, roll), height, width)


def _interest(room: Room, camera: Camera) -> int:
    """Count the pieces of furniture before the camera, near enough to be told."""
    x, y, _ = camera.position
    fx, fy = camera.rotation[0, 2], camera.rotation[1, 2]
    ahead = [((px - x) * fx + (py - y) * fy, (px - x) * fy - (py - y) * fx) for px, py, _ in room.focus]
    return sum(1.0 < a < 6 and abs(b) < 0.55 * a for a, b in ahead)


def _ahead(room: Room, camera: Camera) -> float:
    """Measure the distance to the wall along the optical axis."""
    x, y, _ = camera.position
    return _reach(room, x, y, math.atan2(camera.rotation[1, 2], camera.rotation[0, 2]))


def draw_camera(dice: Dice, room: Room, height: int, width: int) -> Camera | None:
    """Choose the best of three standpoints; None where thirty tries found none.

    Some views are taken close to a wall and some across the room, so that images differ in depth as a person's do.
    """
    wish = dice.integer(0, 3)
    found: list[Camera] = []
    for _ in range(30):
        camera = _stand(dice, room, height, width, close=wish == 0)
        if camera is not None:
            found.append(camera)
        if len(found) == 3:
            break
    if wish == 0:
        return min(found, key=lambda camera: _ahead(room, camera), default=None)
    if wish == 1:
        return max(found, key=lambda camera: _ahead(room, camera), default=None)
    return max(found, key=lambda camera: _interest(room, camera), default=None)
