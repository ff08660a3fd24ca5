"""The room itself: walls, floor, ceiling, trim, windows with light behind them, doors, ceiling lamps."""

from __future__ import annotations

import math

from .layout import Room
from .materials import BLACK, BRIGHTS, FABRICS, PAINTS, WHITE, WOODS, Style, cloth, jitter, panels, plain, shade
from .scene import Color, Dice, Light, Material, Piece

WARM: Color = (1.0, 0.8, 0.55)
NEUTRAL: Color = (1.0, 0.93, 0.82)


def floor_material(dice: Dice, kind: str) -> Material:
    """A floor of one of the kinds planks, carpet, tiles, checker, vinyl, patchwork."""
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
    """Walls of one of the kinds paint, paper, tiles, brick."""
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
    """An empty room of a size within the ranges, with skirting boards."""
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


def add_door(room: Room, wall: int | None = None) -> None:
    """A panelled door in its frame, with the floor before it kept free."""
    dice, trim = room.dice, room.style.trim
    leaf = panels(room.style.wood if dice.chance(0.5) else trim)
    width, height = dice.uniform(0.78, 0.92), 2.03
    for side in dice.shuffled(range(4)) if wall is None else [wall]:
        along = dice.uniform(0.65, max(0.7, room.length(side) - 0.65))
        face = (along - width / 2 - 0.08, 0.0, along + width / 2 + 0.08, height + 0.08)
        x, y = room.on_wall(side, along, 0.45)
        rect = room.footprint(x, y, width, 0.88, side * math.pi / 2)
        if face[2] > room.length(side) or any(f[0] < face[2] and face[0] < f[2] for f in room.hung[side]):
            continue
        if not room.is_free(rect):
            continue
        door = Piece(width + 0.16, 0.06, height + 0.08)
        door.box(0, -0.01, 0, width, 0.03, height, leaf._replace(texture="wood") if leaf.color == trim.color else leaf)
        for z, h in ((0.15, 0.75), (1.05, 0.85)):
            for x0 in (-width / 4, width / 4):
                door.box(x0, 0.005, z, width * 0.36, 0.02, h, leaf)
        for x0 in (-1, 1):
            door.box(x0 * (width / 2 + 0.04), 0, 0, 0.08, 0.06, height + 0.08, trim)
        door.box(0, 0, height, width, 0.06, 0.08, trim)
        door.ball(width / 2 - 0.07, 0.04, 0.98, 0.06, 0.06, 0.06, room.style.metal)
        room.hung[side].append(face)
        room.parts += door.moved(*room.on_wall(side, along, 0.03), 0.0, side * math.pi / 2)
        room.taken.append((rect, 0.0))
        return


def add_window(room: Room, wall: int | None = None, curtains: float = 0.5, power: float = 1.0) -> None:
    """A glazed window: bright panes, bars, frame, sill, perhaps curtains or blinds, and the daylight it lets in."""
    dice, trim = room.dice, room.style.trim
    side = dice.integer(0, 3) if wall is None else wall
    width = min(dice.uniform(0.9, 1.9), room.length(side) - 0.9)
    sill = dice.uniform(0.8, 1.0)
    height = min(dice.uniform(1.0, 1.4), room.size[2] - sill - 0.2)
    along = dice.uniform(width / 2 + 0.4, max(width / 2 + 0.41, room.length(side) - width / 2 - 0.4))
    drape = 0.3 if dice.chance(curtains) else 0.0
    face = (along - width / 2 - 0.1 - drape, sill - 0.1, along + width / 2 + 0.1 + drape, sill + height + 0.15)
    long = drape > 0 and dice.chance(0.5)
    if long:
        face = (face[0], 0.0, face[2], face[3])
    if any(f[0] < face[2] and face[0] < f[2] for f in room.hung[side]):
        return
    pane = Piece(width, 0.08, height)
    sky = dice.pick(((0.95, 0.97, 1.0), (0.85, 0.93, 1.0), (1.0, 0.98, 0.94)))
    view = Material("outdoors", sky, dice.pick(((0.42, 0.5, 0.33), (0.5, 0.48, 0.45))), 1.0, 0.0, False, 1.0)
    shaded = dice.chance(0.3)
    if shaded:
        view = Material("blinds", (0.95, 0.94, 0.9), (0.55, 0.54, 0.52), dice.uniform(0.05, 0.08), 0.0, False, 0.7)
    strength = dice.uniform(0.5, 1.6) * power * (0.5 if shaded else 1)
    view = view._replace(glow=(2.2 if not shaded else 0.7) * strength**0.5)
    pane.box(0, -0.02, 0, width, 0.04, height, view)
    for x0 in (-1, 1):
        pane.box(x0 * (width / 2 + 0.035), 0, -0.07, 0.07, 0.07, height + 0.14, trim)
    pane.box(0, 0, height, width, 0.07, 0.07, trim)
    pane.box(0, 0.04, -0.07, width + 0.16, 0.16, 0.06, trim)
    if not shaded:
        for k in range(1, 2 if width < 1.3 else 3):
            pane.box(width * (k / (2 if width < 1.3 else 3) - 0.5), 0, 0, 0.035, 0.05, height, trim)
        if dice.chance(0.5):
            pane.box(0, 0, height * 0.5, width, 0.045, 0.035, trim)
    if drape:
        color = jitter(dice, dice.pick((*FABRICS, WHITE, WHITE)))
        stuff = Material("folds", color, shade(color, 0.65), dice.uniform(0.09, 0.15))
        low = -sill + 0.06 if long else -0.15
        for x0 in (-1, 1):
            pane.box(x0 * (width / 2 + 0.05), 0.09, low, 0.42, 0.06, height + 0.12 - low, stuff)
        pane.box(0, 0.09, height + 0.12, width + 0.6, 0.03, 0.03, room.style.metal)
    room.hung[side].append(face)
    room.parts += pane.moved(*room.on_wall(side, along, 0.04), sill, side * math.pi / 2)
    room.windows += 1
    x, y = room.on_wall(side, along, 0.12)
    p = 1.6 * width * height * strength
    axis, sign = ((1, 1.0), (0, -1.0), (1, -1.0), (0, 1.0))[side]
    if not shaded and room.sun is None and dice.chance(0.4):
        high, turn = dice.uniform(0.4, 0.9), side * math.pi / 2 + dice.uniform(-0.7, 0.7)
        towards = (math.sin(turn) * math.cos(high), -math.cos(turn) * math.cos(high), math.sin(high))
        room.sun = (side, (along - width / 2, sill, along + width / 2, sill + height), towards)
    tint = (0.9 * p, 0.97 * p, 1.05 * p)
    room.lights.append(Light((x, y, sill + 0.55 * height), axis, sign, tint, True))


def add_ceiling_light(room: Room, kind: str, power: float = 1.0) -> None:
    """Lamps of one of the kinds dome, pendant, panels; off or dim now and then where there is daylight."""
    dice = room.dice
    w, d, h = room.size
    level = power * dice.uniform(0.7, 1.3) * (0.35 if room.windows and dice.chance(0.3) else 1.0)
    color = WARM if dice.chance(0.45) else NEUTRAL
    if kind == "panels":
        nx, ny = max(1, round(w / 2.6)), max(1, round(d / 2.6))
        glow = Material("plain", (0.98, 0.98, 0.96), WHITE, 0.3, 0.0, False, 5.0)
        for i in range(nx):
            for j in range(ny):
                x, y = w * (i + 0.5) / nx, d * (j + 0.5) / ny
                lamp = Piece(1.2, 0.6, 0.03)
                lamp.box(0, 0, 0, 1.16, 0.56, 0.03, glow)
                room.parts += lamp.moved(x, y, h - 0.03, 0.0)
                p = level * 9 / (nx * ny) ** 0.6
                shadows = nx * ny <= 2 or ((i + j) % 2 == 0 and len(room.lights) < 3)
                room.lights.append(Light((x, y, h - 0.06), 2, -1.0, (p, p * 0.98, p * 0.92), True, shadows))
        return
    x, y = w / 2 + dice.uniform(-0.2, 0.2), d / 2 + dice.uniform(-0.2, 0.2)
    lamp = Piece(0.4, 0.4, 0.1)
    shadeless = Material("plain", (0.98, 0.95, 0.86), WHITE, 0.3, 0.0, False, 3.0 * level)
    drop = 0.12
    if kind == "pendant":
        drop = min(0.95, h - 1.75)
        lamp.tube(0, 0, -drop + 0.2, 0.015, 0.015, drop - 0.2, plain(BLACK))
        lamp.tube(0, 0, -drop, 0.4, 0.4, 0.2, cloth(dice, soft=False)._replace(glow=0.6 * level))
        lamp.ball(0, 0, -drop - 0.04, 0.14, 0.14, 0.14, shadeless)
    else:
        lamp.ball(0, 0, -0.12, 0.36, 0.36, 0.2, shadeless)
        lamp.tube(0, 0, -0.02, 0.4, 0.4, 0.02, room.style.metal)
    room.parts += lamp.moved(x, y, h, 0.0)
    p = 3.2 * level
    light = (p * color[0], p * color[1], p * color[2])
    room.lights.append(Light((x, y, h - drop - 0.1), 2, -1.0, light, False))


def add_block(room: Room) -> None:
    """A boxed-in corner (a shaft, a closet): makes the plan L-shaped."""
    dice = room.dice
    w, d, h = room.size
    a, b = dice.uniform(0.4, 0.28 * w), dice.uniform(0.4, 0.28 * d)
    block = Piece(a, b, h)
    block.box(0, 0, 0, a, b, h, room.shell[0])
    x, y = dice.pick((a / 2, w - a / 2)), dice.pick((b / 2, d - b / 2))
    if room.is_free((x - a / 2 + 0.01, y - b / 2 + 0.01, x + a / 2 - 0.01, y + b / 2 - 0.01)):
        room.parts += block.moved(x, y, 0.0, 0.0)
        room.taken.append(((x - a / 2, y - b / 2, x + a / 2, y + b / 2), h))
