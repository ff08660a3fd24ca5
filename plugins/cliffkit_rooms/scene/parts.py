"""A room as data: parts (boxes, balls, tubes) with materials, pieces made of parts, and lights.

World axes: x and y along the floor, z up, the room's corner at the origin. Lengths in metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Color = tuple[float, float, float]

BOX, BALL, TUBE = 0, 1, 2


class Material(NamedTuple):
    """A surface: a texture of two colours (sRGB in [0, 1]) and how it meets light."""

    texture: str
    color: Color
    second: Color
    scale: float = 0.1
    """The texture's period."""
    gloss: float = 0.0
    """0 matt to 1 polished; 2 is a mirror."""
    soft: bool = False
    """Shade a box as if its edges were rounded: cushions, mattresses."""
    glow: float = 0.0
    """Own light: panes, lamps, screens."""


class Part(NamedTuple):
    """A box, an ellipsoid or an upright elliptic cylinder: centre, half sizes, turn about the vertical in radians."""

    shape: int
    x: float
    y: float
    z: float
    hx: float
    hy: float
    hz: float
    yaw: float
    material: Material


class Piece:
    """A piece of furniture around its own origin: x to its right, y to its front (back at -depth/2), z up from 0."""

    def __init__(self, width: float, depth: float, height: float):
        self.width, self.depth, self.height = width, depth, height
        self.parts: list[Part] = []

    def _add(self, shape: int, at: tuple[float, float, float], size: Sequence[float], m: Material, yaw: float) -> None:
        w, d, h = size
        self.parts.append(Part(shape, at[0], at[1], at[2] + h / 2, w / 2, d / 2, h / 2, yaw, m))

    def box(
        self, x: float, y: float, z: float, w: float, d: float, h: float, material: Material, yaw: float = 0.0
    ) -> None:
        """Add a box whose bottom's middle is (x, y, z)."""
        self._add(BOX, (x, y, z), (w, d, h), material, yaw)

    def ball(self, x: float, y: float, z: float, w: float, d: float, h: float, material: Material) -> None:
        """Add an ellipsoid that rests on (x, y, z)."""
        self._add(BALL, (x, y, z), (w, d, h), material, 0.0)

    def tube(self, x: float, y: float, z: float, w: float, d: float, h: float, material: Material) -> None:
        """Add an upright cylinder that stands on (x, y, z)."""
        self._add(TUBE, (x, y, z), (w, d, h), material, 0.0)

    def put(self, other: Piece, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> None:
        """Stand another piece at (x, y, z) of this one."""
        self.parts += other.moved(x, y, z, yaw)

    def moved(self, x: float, y: float, z: float, yaw: float) -> list[Part]:
        """Turn the parts by yaw and carry them to (x, y, z)."""
        c, s = math.cos(yaw), math.sin(yaw)
        return [
            Part(p.shape, x + c * p.x - s * p.y, y + s * p.x + c * p.y, z + p.z, p.hx, p.hy, p.hz, yaw + p.yaw, p[8])
            for p in self.parts
        ]


class Light(NamedTuple):
    """A lamp or a window: a point that shines along one world axis."""

    position: tuple[float, float, float]
    axis: int
    """0, 1, 2 for x, y, z."""
    sign: float
    power: Color
    flat: bool
    """True: Lambertian about the axis (window, ceiling panel); False: the same in all directions (bulb)."""
    shadows: bool = True
