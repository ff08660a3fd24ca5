"""The room itself: walls, floor, ceiling, skirting boards."""

from __future__ import annotations

import math

from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.materials import BRIGHTS, FABRICS, PAINTS, WHITE, WOODS, Style, jitter, plain, shade
from cliffkit_rooms.scene.parts import Color, Material, Piece


def floor_material(dice: Dice, kind: str) -> Material:
    """Draw a floor of one of the kinds planks, carpet, tiles, checker, vinyl, patchwork."""
    if kind == "planks":
        color = jitter(dice, dice.pick(WOODS))
        return Material("planks", color, shade(color, 0.62), dice.uniform(0.09, 0.16), dice.uniform(0.2, 0.5))
    if kind == "carpet":
        color = jitter(dice, dice.pick(((0.62, 0.56, 0.48), (0.45, 0.45, 0.47), (0.5, 0.42, 0.36), (0.33, 0.37, 0.44))))
        return Material("carpet", color, shade(color, 0.75))
    if kind == "tiles":
        color = jitter(dice, dice.pick(((0.8, 0.77, 0.7), (0.66, 0.6, 0.53), (0.6, 0.6, 0.6), (0.7, 0.5, 0.4))))
        return Material("tiles", color, shade(color, 0.6), dice.uniform(0.25, 0.5), 0.4)
    if kind == "checker":
        return Material("checker", jitter(dice, WHITE), jitter(dice, (0.25, 0.25, 0.27)), dice.uniform(0.2, 0.4), 0.4)
    if kind == "patchwork":
        return Material("patchwork", BRIGHTS[0], BRIGHTS[1], 0.4)
    color = jitter(dice, dice.pick(((0.72, 0.7, 0.66), (0.55, 0.57, 0.58), (0.62, 0.55, 0.47))))
    return Material("granite", color, shade(color, 0.92), 0.3, 0.4)


def wall_material(dice: Dice, kind: str, colors: tuple[Color, ...] = PAINTS) -> Material:
    """Draw walls of one of the kinds paint, paper, tiles, brick."""
    color = jitter(dice, dice.pick(colors), 0.03)
    if kind == "paper":
        return Material("stripes", color, shade(color, 0.88), dice.uniform(0.12, 0.3))
    if kind == "tiles":
        return Material("tiles", color, shade(color, 0.75), dice.uniform(0.12, 0.25), 0.4)
    if kind == "brick":
        return Material("brick", jitter(dice, (0.58, 0.36, 0.28)), (0.7, 0.67, 0.62), 0.24)
    return plain(color, 0.0)


def new_room(
    dice: Dice,
    style: Style,
    width: tuple[float, float],
    depth: tuple[float, float],
    height: tuple[float, float] = (2.4, 2.75),
    floor: tuple[str, ...] = ("planks", "carpet"),
    walls: tuple[str, ...] = ("paint", "paint", "paper"),
    colors: tuple[Color, ...] = PAINTS,
    ceiling: str = "plain",
) -> Room:
    """Build an empty room of a size within the ranges, with skirting boards."""
    size = (dice.uniform(*width), dice.uniform(*depth), dice.uniform(*height))
    if dice.chance(0.5):
        size = (size[1], size[0], size[2])
    wall = wall_material(dice, dice.pick(walls), colors)
    sides = [wall] * 4
    if wall.texture == "plain" and dice.chance(0.25):
        sides[dice.integer(0, 3)] = wall_material(dice, "paint", (*FABRICS, *colors))
    white = jitter(dice, WHITE, 0.02)
    top = plain(white, 0.0) if ceiling == "plain" else Material("ceiling", white, shade(white, 0.75), 0.6)
    room = Room(dice, size, style, [*sides, floor_material(dice, dice.pick(floor)), top])
    if wall.texture != "tiles":
        for side in range(4):
            board = Piece(room.length(side), 0.015, 0.09)
            board.box(0, 0, 0, board.width, board.depth, board.height, style.trim)
            room.parts += board.moved(*room.on_wall(side, board.width / 2, 0.0075), 0.0, side * math.pi / 2)
    return room


def add_block(room: Room) -> None:
    """Box in a corner (a shaft, a closet), which makes the plan L-shaped."""
    dice = room.dice
    w, d, h = room.size
    a, b = dice.uniform(0.4, 0.28 * w), dice.uniform(0.4, 0.28 * d)
    block = Piece(a, b, h)
    block.box(0, 0, 0, a, b, h, room.shell[0])
    x, y = dice.pick((a / 2, w - a / 2)), dice.pick((b / 2, d - b / 2))
    if room.is_free((x - a / 2 + 0.01, y - b / 2 + 0.01, x + a / 2 - 0.01, y + b / 2 - 0.01)):
        room.parts += block.moved(x, y, 0.0, 0.0)
        room.taken.append(((x - a / 2, y - b / 2, x + a / 2, y + b / 2), h))
