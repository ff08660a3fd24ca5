"""Kitchens, bathrooms and laundries: counters, appliances, sanitary ware."""

from __future__ import annotations

from cliffkit_rooms.furniture import clutter
from cliffkit_rooms.furniture.tables import strew
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.materials import BLACK, STEEL, WHITE, Style, cloth, jitter, plain
from cliffkit_rooms.scene.parts import Color, Material, Piece

PORCELAIN: Color = (0.95, 0.95, 0.93)
STONES: tuple[Color, ...] = ((0.3, 0.29, 0.28), (0.7, 0.66, 0.6), (0.5, 0.45, 0.4), (0.2, 0.2, 0.21))


def worktop(dice: Dice) -> Material:
    """Draw the material of a polished stone top."""
    color = jitter(dice, dice.pick(STONES))
    return Material("granite", color, jitter(dice, (0.55, 0.5, 0.45)), 0.1, 0.5)


def counter(dice: Dice, style: Style, top: Material, width: float, sink: bool = False) -> Piece:
    """Build base cabinets with doors and drawers under a worktop, with a sink and its tap or with things on top."""
    piece = Piece(width, 0.62, 0.92)
    piece.box(0, -0.04, 0, width, 0.5, 0.1, plain(BLACK))
    piece.box(0, -0.015, 0.1, width, 0.57, 0.78, style.front._replace(texture="plain"))
    units = max(1, round(width / 0.55))
    each = width / units
    for k in range(units):
        x = (k - (units - 1) / 2) * each
        drawers = dice.chance(0.3)
        for z, h in ((0.12, 0.24), (0.37, 0.24), (0.62, 0.24)) if drawers else ((0.12, 0.56), (0.7, 0.16)):
            piece.box(x, 0.275, z, each - 0.012, 0.02, h - 0.012, style.front)
            piece.box(x, 0.295, z + h - 0.06, 0.13, 0.025, 0.015, style.metal)
    piece.box(0, 0, 0.88, width, 0.63, 0.04, top)
    if sink:
        piece.box(0, 0.03, 0.915, 0.6, 0.42, 0.009, plain(STEEL, 0.8))
        piece.box(0, 0.03, 0.921, 0.52, 0.34, 0.004, plain((0.3, 0.3, 0.31), 0.7))
        piece.tube(0, -0.2, 0.92, 0.035, 0.035, 0.26, plain(STEEL, 0.9))
        piece.box(0, -0.12, 1.16, 0.03, 0.18, 0.025, plain(STEEL, 0.9))
        piece.put(dice.pick((clutter.bottle, clutter.mug))(dice), 0.4, -0.1, 0.92)
    else:
        things = (clutter.bottle, clutter.mug, clutter.bowl, kettle, toaster, microwave, clutter.papers)
        strew(dice, piece, min(4, int(width / 0.4)), things, margin=0.15)
    return piece


def kettle(dice: Dice) -> Piece:
    """Build a kettle."""
    piece = Piece(0.2, 0.2, 0.25)
    m = plain(dice.pick((STEEL, BLACK, WHITE)), 0.7)
    piece.tube(0, 0, 0, 0.17, 0.17, 0.2, m)
    piece.box(0.11, 0, 0.04, 0.03, 0.03, 0.17, plain(BLACK))
    return piece


def toaster(dice: Dice) -> Piece:
    """Build a toaster."""
    piece = Piece(0.28, 0.18, 0.2)
    piece.box(0, 0, 0.01, 0.28, 0.17, 0.18, plain(dice.pick((STEEL, BLACK, WHITE)), 0.7, True))
    return piece


def microwave(dice: Dice) -> Piece:
    """Build a microwave oven."""
    piece = Piece(0.48, 0.36, 0.28)
    piece.box(0, 0, 0.01, 0.48, 0.36, 0.27, plain(dice.pick((STEEL, BLACK, WHITE)), 0.4))
    piece.box(-0.06, 0.18, 0.03, 0.32, 0.01, 0.22, plain((0.06, 0.06, 0.07), 0.8))
    return piece


def wall_cupboards(dice: Dice, style: Style, width: float) -> Piece:
    """Build cabinets to hang above a counter."""
    piece = Piece(width, 0.34, 0.68)
    piece.box(0, -0.01, 0, width, 0.32, 0.68, style.front._replace(texture="plain"))
    units = max(1, round(width / 0.45))
    each = width / units
    for k in range(units):
        x = (k - (units - 1) / 2) * each
        piece.box(x, 0.16, 0.005, each - 0.012, 0.02, 0.67, style.front)
        piece.box(x + (0.5 if k % 2 == 0 else -0.5) * (each - 0.09), 0.175, 0.05, 0.015, 0.02, 0.12, style.metal)
    return piece


def stove(dice: Dice, style: Style) -> Piece:
    """Build a cooker: oven door, hob rings, knobs, perhaps a pot."""
    m = plain(dice.pick((STEEL, WHITE, BLACK)), 0.5)
    piece = Piece(0.6, 0.63, 0.92)
    piece.box(0, -0.01, 0, 0.6, 0.61, 0.9, m)
    piece.box(0, 0.3, 0.18, 0.52, 0.02, 0.5, plain((0.07, 0.07, 0.08), 0.9))
    piece.box(0, 0.33, 0.68, 0.5, 0.025, 0.025, plain(STEEL, 0.8))
    piece.box(0, 0, 0.9, 0.6, 0.62, 0.015, plain(BLACK, 0.7))
    for x in (-0.14, 0.14):
        for y in (-0.14, 0.14):
            piece.tube(x, y, 0.914, 0.19, 0.19, 0.012, plain((0.2, 0.2, 0.2)))
        for k in (-0.5, 0.5):
            piece.ball(x + k * 0.14, 0.31, 0.78, 0.05, 0.05, 0.05, plain(BLACK, 0.5))
    if dice.chance(0.6):
        piece.tube(-0.14, -0.14, 0.926, 0.22, 0.22, dice.uniform(0.1, 0.18), plain(STEEL, 0.7))
    return piece


def hood(dice: Dice) -> Piece:
    """Build an extractor hood with its duct, to hang above a stove."""
    m = plain(dice.pick((STEEL, STEEL, WHITE)), 0.7)
    piece = Piece(0.6, 0.48, 0.75)
    piece.box(0, 0, 0, 0.6, 0.48, 0.08, m)
    piece.box(0, -0.08, 0.08, 0.28, 0.28, 0.67, m)
    return piece


def fridge(dice: Dice) -> Piece:
    """Build a refrigerator: two doors, handles, notes."""
    m = plain(jitter(dice, dice.pick((WHITE, WHITE, STEEL, BLACK))), 0.5)
    height = dice.uniform(1.65, 1.85)
    piece = Piece(0.7, 0.68, height)
    piece.box(0, -0.03, 0.03, 0.7, 0.62, height - 0.03, m)
    split = dice.pick((0.55, 1.15))
    for z, top in ((0.05, split), (split + 0.012, height)):
        piece.box(0, 0.31, z, 0.69, 0.06, top - z, m)
        piece.box(-0.29, 0.36, (z + top) / 2 - 0.15, 0.025, 0.04, 0.3, plain(STEEL, 0.8))
    for _ in range(dice.integer(0, 4)):
        note = Material("poster", clutter.bright(dice).color, (0.4, 0.4, 0.4))
        piece.box(dice.uniform(-0.2, 0.25), 0.342, dice.uniform(1.2, 1.5), 0.1, 0.004, 0.13, note)
    return piece


def toilet(dice: Dice) -> Piece:
    """Build a toilet: bowl, seat, cistern."""
    m = plain(PORCELAIN, 0.6)
    piece = Piece(0.4, 0.68, 0.8)
    piece.box(0, 0.0, 0, 0.24, 0.42, 0.2, m._replace(soft=True))
    piece.ball(0, 0.08, 0.04, 0.37, 0.5, 0.38, m)
    piece.tube(0, 0.08, 0.37, 0.4, 0.52, 0.05, m)
    piece.box(0, -0.12, 0.39, 0.36, 0.06, 0.4, m._replace(soft=True))
    piece.box(0, -0.25, 0.34, 0.4, 0.18, 0.42, m)
    piece.box(0, -0.25, 0.76, 0.42, 0.2, 0.035, m)
    return piece


def bathtub(dice: Dice) -> Piece:
    """Build a tub with a rim around the water's edge, a tap, perhaps a shower curtain."""
    length = dice.uniform(1.5, 1.7)
    m = plain(PORCELAIN, 0.6)
    piece = Piece(length, 0.75, 0.56)
    piece.box(0, 0.35, 0, length, 0.05, 0.55, m)
    piece.box(0, -0.35, 0, length, 0.05, 0.55, m)
    for x in (-1, 1):
        piece.box(x * (length / 2 - 0.06), 0, 0, 0.12, 0.68, 0.55, m)
    piece.box(0, 0, 0, length - 0.2, 0.66, 0.18, m)
    for y in (-0.35, 0.35):
        piece.box(0, y, 0.53, length + 0.01, 0.08, 0.03, m)
    piece.tube(-length / 2 + 0.1, -0.3, 0.56, 0.04, 0.04, 0.14, plain(STEEL, 0.9))
    if dice.chance(0.5):
        stuff = cloth(dice, (WHITE, WHITE, (0.6, 0.75, 0.8), (0.8, 0.7, 0.6)))
        width = dice.uniform(0.4, 0.8)
        curtain = stuff._replace(texture="folds", scale=0.12, soft=False)
        piece.box(length / 2 - width / 2, 0.4, 0.25, width, 0.05, 1.7, curtain)
        piece.box(0, 0.4, 1.95, length, 0.025, 0.025, plain(STEEL, 0.8))
    return piece


def vanity(dice: Dice, style: Style, width: float) -> Piece:
    """Build a washbasin on its cabinet."""
    piece = Piece(width, 0.5, 0.86)
    piece.box(0, -0.01, 0.08, width, 0.47, 0.72, style.front._replace(texture="plain"))
    for x in (-1, 1):
        piece.box(x * width / 4, 0.225, 0.12, width / 2 - 0.015, 0.02, 0.64, style.front)
        piece.ball(x * 0.05, 0.245, 0.5, 0.03, 0.03, 0.03, style.metal)
    piece.box(0, 0, 0.8, width + 0.02, 0.52, 0.05, worktop(dice) if dice.chance(0.5) else plain(PORCELAIN, 0.6))
    piece.tube(0, 0.03, 0.85, 0.44, 0.36, 0.035, plain(PORCELAIN, 0.7))
    piece.tube(0, 0.03, 0.868, 0.37, 0.29, 0.02, plain((0.7, 0.71, 0.71), 0.7))
    piece.tube(0, -0.18, 0.85, 0.03, 0.03, 0.16, plain(STEEL, 0.9))
    piece.box(0, -0.12, 0.99, 0.03, 0.14, 0.025, plain(STEEL, 0.9))
    for x in (-1, 1):
        piece.put(dice.pick((clutter.bottle, clutter.mug, clutter.towels))(dice), x * (width / 2 - 0.12), -0.12, 0.85)
    return piece


def shower(dice: Dice) -> Piece:
    """Build a shower: tray, tiled back, rail, head."""
    piece = Piece(0.9, 0.9, 2.0)
    piece.box(0, 0, 0, 0.9, 0.9, 0.12, plain(PORCELAIN, 0.5))
    frame = plain(STEEL, 0.7)
    for x in (-1, 1):
        piece.box(x * 0.435, 0.435, 0.12, 0.03, 0.03, 1.85, frame)
    piece.box(0, 0.435, 1.95, 0.9, 0.03, 0.03, frame)
    piece.tube(0, -0.4, 1.0, 0.03, 0.03, 1.0, frame)
    piece.tube(0, -0.28, 1.95, 0.2, 0.2, 0.025, frame)
    piece.box(-0.22, 0.435, 0.12, 0.42, 0.012, 1.83, plain((0.75, 0.82, 0.83), 0.6))
    return piece


def washer(dice: Dice, lid: Color = WHITE) -> Piece:
    """Build a front-loading washing machine or dryer."""
    m = plain(jitter(dice, lid, 0.02), 0.4)
    piece = Piece(0.62, 0.62, 0.88)
    piece.box(0, -0.01, 0, 0.6, 0.6, 0.87, m)
    piece.box(0, 0.29, 0.72, 0.58, 0.015, 0.13, plain((0.8, 0.8, 0.82), 0.4))
    piece.ball(0.18, 0.27, 0.74, 0.08, 0.08, 0.08, plain(STEEL, 0.6))
    piece.box(-0.16, 0.3, 0.76, 0.16, 0.01, 0.05, plain(BLACK, 0.8))
    piece.ball(0, 0.22, 0.18, 0.46, 0.18, 0.46, plain(STEEL, 0.7))
    piece.ball(0, 0.25, 0.23, 0.36, 0.16, 0.36, plain((0.1, 0.11, 0.13), 0.9))
    return piece


def ironing_board(dice: Dice) -> Piece:
    """Build a board on crossed legs."""
    piece = Piece(1.25, 0.36, 0.9)
    piece.box(0, 0, 0.86, 1.25, 0.34, 0.035, cloth(dice)._replace(soft=False))
    for x in (-0.3, 0.3):
        for y in (-0.13, 0.13):
            piece.tube(x, y, 0, 0.03, 0.03, 0.86, plain(STEEL, 0.5))
    piece.box(0.3, 0, 0.895, 0.22, 0.11, 0.1, plain((0.3, 0.4, 0.7), 0.6, True))
    return piece
