"""One frame from a seed: a room, a camera in it that keeps the depth range, the photograph, the sensor's holes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.image.camera import Camera, draw_camera
from cliffkit_rooms.image.holes import missing
from cliffkit_rooms.image.lighting import shade
from cliffkit_rooms.image.photo import expose
from cliffkit_rooms.image.raycast import SHELL, Solids, pack, trace
from cliffkit_rooms.image.surface import gather
from cliffkit_rooms.places.kinds import build_room
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.layout import Room

VERSION = 2
"""Raise it whenever any frame's bits change: it is part of every fingerprint."""

MIN_DEPTH_M, MAX_DEPTH_M = 0.5, 10.0


class Shot(NamedTuple):
    """A frame with its depth and its camera."""

    image: NDArray[np.uint8]
    """(3, H, W) sRGB."""
    depth: NDArray[np.float32]
    """(H, W) z-depth, metres."""
    valid: NDArray[np.bool_]
    """(H, W): pixels with depth."""
    intrinsics: NDArray[np.float32]
    """(4,): fx, fy, cx, cy in pixels."""


def _worth(depth: NDArray[np.float32], seen: NDArray[np.int32]) -> bool:
    """Tell whether a view keeps the depth range and shows more than a wall."""
    if depth.min() < MIN_DEPTH_M or depth.max() > MAX_DEPTH_M:
        return False
    counts = np.bincount(seen.ravel(), minlength=SHELL)
    return bool(counts.max() < 0.5 * seen.size and (counts[SHELL:] > 12e-4 * seen.size).sum() >= 5)


class View(NamedTuple):
    """A furnished room and what a camera sees of it."""

    room: Room
    solids: Solids
    camera: Camera
    depth: NDArray[np.float32]
    seen: NDArray[np.int32]
    rays: NDArray[np.float32]
    dice: Dice
    """The draws left over."""


def compose(kind: int, seed: np.random.SeedSequence, height: int, width: int) -> View:
    """Build a room of scene type `kind` and a view of it worth taking; other rooms are tried until there is one."""
    while True:
        dice = Dice(np.random.default_rng(seed))
        room = build_room(kind, dice)
        solids = pack(room.parts)
        for _ in range(6):
            camera = draw_camera(dice, room, height, width)
            if camera is None:
                break
            depth, seen, rays = trace(room, solids, camera)
            if _worth(depth, seen):
                return View(room, solids, camera, depth, seen, rays, dice)
        (seed,) = seed.spawn(1)


def render(kind: int, seed: np.random.SeedSequence, height: int, width: int, holes: bool) -> Shot:
    """Render the frame that a seed stands for; the same image and depth with holes and without."""
    room, solids, camera, depth, seen, rays, dice = compose(kind, seed, height, width)
    eye = np.array(camera.position, np.float32)
    surface = gather(room, solids, seen.ravel(), depth.ravel(), rays.reshape(3, -1), eye, camera.focal)
    radiance = shade(room, solids, surface, eye).reshape(3, height, width)
    image = expose(radiance, dice)
    valid = ~missing(depth, surface, camera.focal, dice.rng) if holes else np.ones(depth.shape, bool)
    return Shot(image, np.where(valid, depth, np.float32(0)), valid, camera.intrinsics)
