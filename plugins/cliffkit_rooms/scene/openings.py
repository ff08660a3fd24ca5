"""Doors, and windows with the light that they let in."""

from __future__ import annotations

import math

from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.materials import FABRICS, WHITE, jitter, panels, shade
from cliffkit_rooms.scene.parts import Light, Material, Piece


def add_door(room: Room, wall: int | None = None) -> None:
    """Add a panelled door in its frame, and keep the floor before it free."""
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
    """Add a glazed window: bright panes, bars, frame, sill, perhaps curtains or blinds, and the daylight it lets in."""
    dice, trim = room.dice, room.style.trim
    side = dice.integer(0, 3) if wall is None else wall
    width = min(dice.uniform(0.9, 1.9), room.length(side) - 0.9)
    sill = dice.uniform(0.8, 1.0)
    height = min(dice.uniform(1.0, 1.4), room.size[2] - sill - 0.2)
    along = dice.uniform(width / 2 + 0.4, max(width / 2 + 0.41, room.length(side) - width / 2 - 0.4))

    # the opening with all that hangs beside it must not meet what hangs already
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
