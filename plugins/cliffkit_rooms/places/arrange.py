"""What most rooms have: chairs around tables, pictures on walls, things on floors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cliffkit_rooms.furniture import decor
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.layout import Room, Spot
from cliffkit_rooms.scene.materials import Style
from cliffkit_rooms.scene.parts import Piece


def chairs_around(room: Room, make: Callable[[Dice, Style], Piece], spot: Spot, width: float, depth: float) -> None:
    """Put chairs at the sides and ends of a table of a size, some pulled out, some missing."""
    reach = 0.14
    dice = room.dice
    places = [(x, side) for side in (-1, 1) for x in ((0.0,) if width < 1.0 else (-width / 4, width / 4))]
    rest = [
        (x, side * (depth / 2 + reach + dice.uniform(-0.05, 0.22)), 0.0 if side < 0 else math.pi) for x, side in places
    ]
    rest += [(s * (width / 2 + reach + dice.uniform(-0.02, 0.2)), 0.0, s * math.pi / 2) for s in (-1, 1)]
    for right, front, yaw in rest:
        if dice.chance(0.88):
            x, y = spot.at(right, front)
            turn = spot.yaw + yaw + dice.uniform(-0.25, 0.25)
            piece = make(dice, room.style)
            room.parts += piece.moved(x, y, 0.0, turn)
            room.taken.append((room.footprint(x, y, piece.width, piece.depth, turn), piece.height))


def pictures(room: Room, low: int, high: int) -> None:
    """Hang some pictures at eye height."""
    for _ in range(room.dice.integer(low, high)):
        room.hang(decor.picture(room.dice, room), room.dice.uniform(1.25, 1.5))


def litter(room: Room, things: Sequence[Callable[[Dice], Piece]], low: int, high: int) -> None:
    """Leave things on the floor."""
    for _ in range(room.dice.integer(low, high)):
        thing = room.dice.pick(things)(room.dice)
        if room.dice.chance(0.4) or room.against(thing, gap=0.05) is None:
            room.free(thing, tries=4, margin=0.05)
