"""Lamps on the ceiling."""

from __future__ import annotations

from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.materials import BLACK, WHITE, cloth, plain
from cliffkit_rooms.scene.parts import Color, Light, Material, Piece

WARM: Color = (1.0, 0.8, 0.55)
NEUTRAL: Color = (1.0, 0.93, 0.82)


def add_ceiling_light(room: Room, kind: str, power: float = 1.0) -> None:
    """Add lamps of one of the kinds dome, pendant, panels; dim now and then where there is daylight."""
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
