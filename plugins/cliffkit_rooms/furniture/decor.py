"""Things on walls and floors: pictures, boards, mirrors, clocks, rugs, plants, lamps, radiators."""

from __future__ import annotations

from cliffkit_rooms.furniture.clutter import bright
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.lamps import WARM
from cliffkit_rooms.scene.layout import Room, Spot
from cliffkit_rooms.scene.materials import BLACK, BRIGHTS, FABRICS, STEEL, WHITE, cloth, jitter, plain, shade
from cliffkit_rooms.scene.parts import Color, Light, Material, Piece


def framed(dice: Dice, room: Room, width: float, height: float, face: Material) -> Piece:
    """Frame a face, to hang on a wall."""
    frame = dice.pick((room.style.wood, plain(BLACK, 0.3), plain(WHITE, 0.2)))
    piece = Piece(width, 0.03, height)
    piece.box(0, -0.004, 0, width, 0.022, height, frame)
    piece.box(0, 0.005, 0.025, width - 0.05, 0.018, height - 0.05, face)
    return piece


def picture(dice: Dice, room: Room) -> Piece:
    """Build a picture with its own colours."""
    sky, land = dice.pick((*BRIGHTS, WHITE, (0.6, 0.75, 0.9))), dice.pick((*FABRICS, *BRIGHTS))
    face = Material("picture", jitter(dice, sky), jitter(dice, land), 1.0, 0.1)
    return framed(dice, room, dice.uniform(0.35, 0.9), dice.uniform(0.35, 0.7), face)


def poster(dice: Dice, colors: tuple[Color, ...] = BRIGHTS) -> Piece:
    """Build a bare sheet for the wall."""
    piece = Piece(dice.uniform(0.4, 0.7), 0.012, dice.uniform(0.5, 0.9))
    face = Material("poster", jitter(dice, dice.pick(colors)), jitter(dice, dice.pick(colors)))
    piece.box(0, 0, 0, piece.width, 0.012, piece.height, face)
    return piece


def board(dice: Dice, width: float, dark: bool) -> Piece:
    """Build a whiteboard or a blackboard with its ledge."""
    piece = Piece(width, 0.06, 1.2)
    frame = plain(STEEL, 0.4) if not dark else plain((0.5, 0.35, 0.22), 0.2)
    piece.box(0, -0.015, 0, width, 0.03, 1.2, frame)
    white = Material("scribble", (0.94, 0.95, 0.95), dice.pick(((0.15, 0.2, 0.6), (0.6, 0.15, 0.15), BLACK)), 1.0, 0.4)
    black = Material("scribble", (0.14, 0.25, 0.2), (0.8, 0.82, 0.8), 1.0, 0.1)
    piece.box(0, 0, 0.03, width - 0.06, 0.02, 1.14, black if dark else white)
    piece.box(0, 0.02, 0, width * 0.8, 0.07, 0.02, frame)
    return piece


def mirror(dice: Dice, room: Room, width: float, height: float) -> Piece:
    """Build a mirror in a thin frame."""
    return framed(dice, room, width, height, Material("plain", (0.9, 0.92, 0.92), WHITE, 1.0, 2.0))


def clock(dice: Dice) -> Piece:
    """Build a wall clock."""
    piece = Piece(0.3, 0.05, 0.3)
    piece.ball(0, 0, 0, 0.3, 0.06, 0.3, plain(dice.pick((BLACK, WHITE, *BRIGHTS[:3])), 0.3))
    piece.ball(0, 0.012, 0.03, 0.24, 0.05, 0.24, plain(WHITE, 0.1))
    piece.box(0, 0.035, 0.15, 0.012, 0.01, 0.09, plain(BLACK))
    piece.box(0.03, 0.035, 0.144, 0.07, 0.01, 0.012, plain(BLACK))
    return piece


def radiator(dice: Dice) -> Piece:
    """Build a ribbed heater under a window."""
    piece = Piece(dice.uniform(0.7, 1.1), 0.1, 0.62)
    m = plain(WHITE, 0.3)
    ribs = int(piece.width / 0.09)
    piece.box(0, -0.02, 0.14, piece.width, 0.03, 0.44, m)
    for k in range(ribs):
        piece.box((k - (ribs - 1) / 2) * 0.09, 0.01, 0.12, 0.05, 0.07, 0.5, m)
    return piece


def rug(dice: Dice, width: float, depth: float, bold: bool = False) -> Piece:
    """Build a rug, thinner than a step."""
    color = jitter(dice, dice.pick(BRIGHTS if bold else FABRICS), 0.06)
    other = jitter(dice, dice.pick((WHITE, *FABRICS)), 0.05)
    piece = Piece(width, depth, 0.012)
    m = Material(dice.pick(("rug", "rug", "carpet")), color, other)
    if dice.chance(0.2):
        piece.tube(0, 0, 0, width, depth, 0.012, m)
    else:
        piece.box(0, 0, 0, width, depth, 0.012, m)
    return piece


def plant(dice: Dice) -> Piece:
    """Build a pot with a leafy crown."""
    height = dice.uniform(0.7, 1.5)
    piece = Piece(0.45, 0.45, height)
    piece.tube(0, 0, 0, 0.3, 0.3, 0.28, plain(jitter(dice, dice.pick((WHITE, (0.65, 0.38, 0.27), BLACK))), 0.3))
    piece.tube(0, 0, 0.26, 0.26, 0.26, 0.03, plain((0.2, 0.15, 0.1)))
    piece.tube(0, 0, 0.28, 0.03, 0.03, height * 0.55, plain((0.35, 0.28, 0.18)))
    green = jitter(dice, (0.22, 0.4, 0.18))
    for _ in range(9):
        size = dice.uniform(0.14, 0.26)
        x, y = dice.uniform(-0.2, 0.2), dice.uniform(-0.2, 0.2)
        leaf = Material("carpet", jitter(dice, green), shade(green, 0.6))
        piece.ball(x, y, dice.uniform(0.4, 1.0) * (height - 0.25), size, size * dice.uniform(0.5, 1), size * 0.8, leaf)
    return piece


def bin_(dice: Dice) -> Piece:
    """Build a waste bin."""
    piece = Piece(0.28, 0.28, 0.34)
    piece.tube(0, 0, 0, 0.27, 0.27, 0.34, bright(dice) if dice.chance(0.2) else plain(dice.pick((BLACK, STEEL)), 0.4))
    return piece


def floor_lamp(room: Room, spot: Spot | None) -> None:
    """Light a standing lamp that was put at a spot, in most of the rooms."""
    if spot is not None and room.dice.chance(0.7):
        p = room.dice.uniform(0.5, 1.1)
        power = (p * WARM[0], p * WARM[1], p * WARM[2])
        room.lights.append(Light((spot.x, spot.y, 1.45), 2, -1.0, power, False, False))


def lamp_stand(dice: Dice) -> Piece:
    """Build a standing lamp."""
    piece = Piece(0.4, 0.4, 1.65)
    piece.tube(0, 0, 0, 0.28, 0.28, 0.03, plain(BLACK, 0.4))
    piece.tube(0, 0, 0.03, 0.025, 0.025, 1.35, plain(dice.pick((BLACK, STEEL)), 0.5))
    piece.tube(0, 0, 1.35, 0.38, 0.38, 0.28, plain((0.95, 0.88, 0.72), 0.0, False, 1.3))
    return piece


def towel_rail(dice: Dice) -> Piece:
    """Build a rail with towels, to hang on a wall."""
    piece = Piece(0.6, 0.1, 0.65)
    piece.box(0, 0.02, 0.62, 0.6, 0.02, 0.02, plain(STEEL, 0.8))
    for x in (-0.14, 0.14):
        m = cloth(dice, (*FABRICS, *BRIGHTS[2:4], WHITE), soft=False)
        piece.box(x, 0.02, dice.uniform(0.0, 0.15), 0.24, 0.04, 0.62, m)
    return piece


def stairs(dice: Dice, room: Room, steps: int = 10) -> Piece:
    """Build a flight of stairs along a wall, with a rail."""
    run, rise, width = 0.26, 0.18, 0.9
    piece = Piece(steps * run, width, steps * rise + 0.9)
    for k in range(steps):
        x = (k - (steps - 1) / 2) * run
        piece.box(x, 0, 0, run, width, (k + 1) * rise - 0.03, plain(WHITE, 0.2))
        piece.box(x - 0.015, 0, (k + 1) * rise - 0.03, run + 0.03, width, 0.03, room.style.wood)
        piece.box(x, width / 2 - 0.04, (k + 1) * rise, 0.03, 0.03, 0.85, plain(WHITE, 0.2))
        piece.box(x, width / 2 - 0.04, (k + 1) * rise + 0.85, run + 0.02, 0.06, 0.05, room.style.wood)
    return piece
