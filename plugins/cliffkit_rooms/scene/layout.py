"""Where things stand: a room's floor and walls as rectangles already taken, and placement that keeps clear of them."""

from __future__ import annotations

import math
from typing import NamedTuple

from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.materials import Style
from cliffkit_rooms.scene.parts import Light, Material, Part, Piece

Rect = tuple[float, float, float, float]


class Spot(NamedTuple):
    """Where a piece came to stand: its centre and turn in the room, and its wall (-1 for none)."""

    x: float
    y: float
    yaw: float
    wall: int = -1
    along: float = 0.0

    def at(self, right: float, front: float) -> tuple[float, float]:
        """Bring a point from the piece's own axes to the room's."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + c * right - s * front, self.y + s * right + c * front


def overlaps(a: Rect, b: Rect) -> bool:
    """Tell whether two rectangles (x0, y0, x1, y1) share area."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


class Room:
    """A room being furnished. Walls 0 to 3 face +y, -x, -y, +x; a place on a wall is a distance along it."""

    def __init__(self, dice: Dice, size: tuple[float, float, float], style: Style, shell: list[Material]):
        self.dice, self.size, self.style = dice, size, style
        self.shell = shell
        """Materials of the faces x=0, x=max, y=0, y=max, floor, ceiling."""
        self.parts: list[Part] = []
        self.lights: list[Light] = []
        self.windows = 0
        """How many windows there are."""
        self.taken: list[tuple[Rect, float]] = []
        """Floor rectangles in use, with the height of what stands there (0 for a passage kept free)."""
        self.hung: list[list[Rect]] = [[], [], [], []]
        self.focus: list[tuple[float, float, float]] = []
        """Points worth looking at."""
        self.sun: tuple[int, Rect, tuple[float, float, float]] | None = None
        """The window that the sun shines through: its wall, its opening on it, the direction to the sun."""

    def length(self, wall: int) -> float:
        """Give the wall's length."""
        return self.size[wall % 2]

    def on_wall(self, wall: int, along: float, out: float) -> tuple[float, float]:
        """Give the floor point at a distance along a wall and another out from it."""
        w, d, _ = self.size
        return ((along, out), (w - out, along), (w - along, d - out), (out, d - along))[wall]

    def footprint(self, x: float, y: float, width: float, depth: float, yaw: float) -> Rect:
        """Give the axis-aligned bounds of a turned rectangle."""
        c, s = abs(math.cos(yaw)), abs(math.sin(yaw))
        hx, hy = (c * width + s * depth) / 2, (s * width + c * depth) / 2
        return (x - hx, y - hy, x + hx, y + hy)

    def is_free(self, rect: Rect) -> bool:
        """Tell whether a floor rectangle lies in the room and touches nothing."""
        w, d, _ = self.size
        inside = rect[0] >= 0 and rect[1] >= 0 and rect[2] <= w and rect[3] <= d
        return inside and not any(overlaps(rect, other) for other, _ in self.taken)

    def stand(self, piece: Piece, spot: Spot, z: float = 0.0) -> Spot:
        """Put a piece there without asking, and take its floor."""
        self.parts += piece.moved(spot.x, spot.y, z, spot.yaw)
        rect = self.footprint(spot.x, spot.y, piece.width, piece.depth, spot.yaw)
        self.taken.append((rect, z + piece.height))
        if piece.height > 0.3:
            self.focus.append((spot.x, spot.y, min(1.3, z + 0.7 * piece.height)))
        return spot

    def try_at(self, piece: Piece, x: float, y: float, yaw: float, gap: float = 0.02) -> Spot | None:
        """Put a piece there if the floor is free."""
        rect = self.footprint(x, y, piece.width + gap, piece.depth + gap, yaw)
        return self.stand(piece, Spot(x, y, yaw)) if self.is_free(rect) else None

    def against(
        self, piece: Piece, wall: int | None = None, along: float | None = None, tries: int = 14, gap: float = 0.01
    ) -> Spot | None:
        """Put a piece with its back to a wall, at a free place; None where there is none."""
        for _ in range(tries if wall is None or along is None else 1):
            side = self.dice.integer(0, 3) if wall is None else wall
            slack = self.length(side) - piece.width - 0.04
            if slack < 0:
                continue
            place = piece.width / 2 + 0.02 + self.dice.uniform(0, slack) if along is None else along
            x, y = self.on_wall(side, place, piece.depth / 2 + gap)
            yaw = side * math.pi / 2
            face = (place - piece.width / 2, 0.0, place + piece.width / 2, piece.height)
            if any(overlaps(face, other) for other in self.hung[side]):
                continue
            if self.is_free(self.footprint(x, y, piece.width, piece.depth, yaw)):
                self.hung[side].append(face)
                return self.stand(piece, Spot(x, y, yaw, side, place))
        return None

    def free(self, piece: Piece, tries: int = 10, margin: float = 0.1, turn: float | None = None) -> Spot | None:
        """Put a piece somewhere on the open floor."""
        w, d, _ = self.size
        for _ in range(tries):
            yaw = self.dice.uniform(0, 2 * math.pi) if turn is None else turn
            x, y = self.dice.uniform(0.2, w - 0.2), self.dice.uniform(0.2, d - 0.2)
            if self.is_free(self.footprint(x, y, piece.width + margin, piece.depth + margin, yaw)):
                return self.stand(piece, Spot(x, y, yaw))
        return None

    def hang(self, piece: Piece, bottom: float, wall: int | None = None, along: float | None = None) -> bool:
        """Fix a piece to a wall with its back flat on it, where nothing hangs or stands in front."""
        for _ in range(8 if wall is None or along is None else 1):
            side = self.dice.integer(0, 3) if wall is None else wall
            slack = self.length(side) - piece.width - 0.1
            if slack < 0:
                continue
            place = piece.width / 2 + 0.05 + self.dice.uniform(0, slack) if along is None else along
            face = (place - piece.width / 2, bottom, place + piece.width / 2, bottom + piece.height)
            low, high = 0.0, self.length(side)
            if face[0] < low or face[2] > high or any(overlaps(face, other) for other in self.hung[side]):
                continue
            self.hung[side].append(face)
            x, y = self.on_wall(side, place, piece.depth / 2)
            self.parts += piece.moved(x, y, bottom, side * math.pi / 2)
            return True
        return False

    def lay(self, piece: Piece, x: float, y: float, yaw: float = 0.0) -> None:
        """Put a flat thing (a rug) on the floor; others may stand on it."""
        self.parts += piece.moved(x, y, 0.0, yaw)
