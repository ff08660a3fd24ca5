"""Small things: what lies on tables, shelves and floors."""

from __future__ import annotations

from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.materials import BLACK, BRIGHTS, FABRICS, WHITE, Style, cloth, jitter, metal, plain, shade
from cliffkit_rooms.scene.parts import Color, Material, Piece

MUTED: tuple[Color, ...] = (*FABRICS, WHITE, (0.6, 0.4, 0.3), (0.3, 0.45, 0.5))
CARDBOARD: Color = (0.68, 0.53, 0.37)


def bright(dice: Dice) -> Material:
    """Draw shiny plastic in a strong colour."""
    return plain(jitter(dice, dice.pick(BRIGHTS)), 0.4)


def muted(dice: Dice) -> Material:
    """Draw glazed stuff in a quiet colour."""
    return plain(jitter(dice, dice.pick(MUTED)), 0.4)


def book_stack(dice: Dice) -> Piece:
    """Stack two to five books."""
    piece = Piece(0.24, 0.18, 0.1)
    z = 0.0
    for _ in range(dice.integer(2, 5)):
        h = dice.uniform(0.018, 0.04)
        piece.box(0, 0, z, dice.uniform(0.19, 0.24), dice.uniform(0.14, 0.18), h, muted(dice), dice.uniform(-0.2, 0.2))
        z += h
    return piece


def mug(dice: Dice) -> Piece:
    """Build a mug."""
    piece = Piece(0.1, 0.1, 0.1)
    m = muted(dice)
    piece.tube(0, 0, 0, 0.08, 0.08, 0.1, m)
    piece.box(0.05, 0, 0.025, 0.03, 0.012, 0.05, m)
    return piece


def bottle(dice: Dice) -> Piece:
    """Build a bottle with its neck."""
    piece = Piece(0.08, 0.08, 0.28)
    m = plain(jitter(dice, dice.pick(((0.15, 0.3, 0.18), (0.35, 0.2, 0.1), (0.75, 0.8, 0.82), *BRIGHTS[:3]))), 0.7)
    piece.tube(0, 0, 0, 0.075, 0.075, 0.17, m)
    piece.tube(0, 0, 0.17, 0.03, 0.03, 0.09, m)
    return piece


def plate(dice: Dice) -> Piece:
    """Build a plate with a glass beside it."""
    piece = Piece(0.3, 0.3, 0.1)
    piece.tube(0, 0, 0, 0.25, 0.25, 0.012, plain(WHITE, 0.5))
    piece.tube(0.17, 0.06, 0, 0.06, 0.06, 0.11, plain((0.75, 0.8, 0.82), 0.8))
    return piece


def bowl(dice: Dice) -> Piece:
    """Build a bowl of fruit."""
    piece = Piece(0.3, 0.3, 0.14)
    piece.tube(0, 0, 0, 0.26, 0.26, 0.07, muted(dice))
    for k in range(4):
        color = plain(jitter(dice, dice.pick(((0.85, 0.5, 0.1), (0.75, 0.15, 0.12), (0.6, 0.7, 0.2)))), 0.3)
        piece.ball(0.055 * (k % 2 * 2 - 1), 0.055 * (k // 2 * 2 - 1), 0.05, 0.09, 0.09, 0.09, color)
    return piece


def vase(dice: Dice) -> Piece:
    """Build a vase with flowers."""
    piece = Piece(0.2, 0.2, 0.45)
    piece.ball(0, 0, 0, 0.13, 0.13, 0.22, muted(dice))
    for _ in range(5):
        x, y, z = dice.uniform(-0.09, 0.09), dice.uniform(-0.09, 0.09), dice.uniform(0.2, 0.34)
        piece.ball(x, y, z, 0.09, 0.09, 0.09, bright(dice) if dice.chance(0.5) else plain((0.25, 0.42, 0.2)))
    return piece


def papers(dice: Dice) -> Piece:
    """Lay sheets of paper on a folder."""
    piece = Piece(0.3, 0.3, 0.02)
    sheet = Material("poster", (0.5, 0.5, 0.55), (0.3, 0.3, 0.3))
    piece.box(0, 0, 0, 0.21, 0.297, 0.006, sheet)
    piece.box(0.07, 0.03, 0.006, 0.21, 0.29, 0.004, plain(WHITE), dice.uniform(-0.6, 0.6))
    return piece


def carton(dice: Dice) -> Piece:
    """Build a cardboard box with its tape."""
    w, d, h = dice.uniform(0.25, 0.5), dice.uniform(0.25, 0.4), dice.uniform(0.2, 0.4)
    color = jitter(dice, CARDBOARD)
    piece = Piece(w, d, h)
    piece.box(0, 0, 0, w, d, h, Material("carpet", color, shade(color, 0.9)))
    piece.box(0, 0, h, w, 0.06, 0.004, plain(shade(color, 1.15), 0.4))
    return piece


def basket(dice: Dice) -> Piece:
    """Build a laundry basket with clothes."""
    piece = Piece(0.45, 0.36, 0.5)
    weave = Material("checks", jitter(dice, (0.7, 0.58, 0.42)), (0.5, 0.4, 0.28), 0.04)
    piece.box(0, 0, 0, 0.45, 0.36, 0.4, weave if dice.chance(0.6) else plain(WHITE, 0.3))
    for k in range(3):
        piece.ball((k - 1) * 0.12, dice.uniform(-0.06, 0.06), 0.32, 0.26, 0.26, 0.16, cloth(dice, (*FABRICS, *BRIGHTS)))
    return piece


def clothes(dice: Dice) -> Piece:
    """Heap up clothes."""
    piece = Piece(0.5, 0.4, 0.15)
    for _ in range(3):
        w, d = dice.uniform(0.2, 0.36), dice.uniform(0.2, 0.36)
        x, y = dice.uniform(-0.1, 0.1), dice.uniform(-0.1, 0.1)
        piece.ball(x, y, -0.05, w, d, dice.uniform(0.1, 0.2), cloth(dice, (*FABRICS, *BRIGHTS)))
    return piece


def towels(dice: Dice) -> Piece:
    """Fold two to four towels."""
    piece = Piece(0.34, 0.26, 0.24)
    for k in range(dice.integer(2, 4)):
        piece.box(0, 0, k * 0.06, 0.34, 0.26, 0.058, cloth(dice, (WHITE, *FABRICS, *BRIGHTS[2:4])))
    return piece


def shoes(dice: Dice) -> Piece:
    """Build a pair of shoes."""
    m = plain(jitter(dice, dice.pick((BLACK, (0.35, 0.22, 0.15), *BRIGHTS[:3]))), 0.2)
    piece = Piece(0.24, 0.3, 0.1)
    for x in (-0.06, 0.06):
        piece.ball(x, 0, -0.02, 0.095, 0.28, 0.11, m)
        piece.box(x, -0.08, 0, 0.08, 0.1, 0.09, m._replace(soft=True))
    return piece


def monitor(dice: Dice) -> Piece:
    """Build a flat screen on its foot, lit or dark."""
    w = dice.uniform(0.42, 0.55)
    h = w * 0.6
    piece = Piece(w, 0.18, h + 0.12)
    piece.box(0, 0, 0, 0.22, 0.17, 0.015, plain(BLACK, 0.4))
    piece.box(0, -0.02, 0.015, 0.05, 0.03, 0.2, plain(BLACK, 0.4))
    piece.box(0, 0, 0.1, w, 0.035, h, plain(BLACK, 0.4))
    on = dice.chance(0.7)
    face = Material("screen", (0.25, 0.35, 0.55), (0.85, 0.88, 0.92), 1.0, 0.6, False, 1.0) if on else plain(BLACK, 0.9)
    piece.box(0, 0.018, 0.115, w - 0.03, 0.006, h - 0.03, face)
    return piece


def laptop(dice: Dice) -> Piece:
    """Build an open laptop."""
    body = metal(dice)
    piece = Piece(0.34, 0.25, 0.24)
    piece.box(0, 0.05, 0, 0.34, 0.23, 0.018, body)
    piece.box(0, -0.075, 0.01, 0.34, 0.015, 0.22, body)
    piece.box(0, -0.066, 0.025, 0.32, 0.005, 0.19, Material("screen", (0.2, 0.4, 0.6), WHITE, 1.0, 0.5, False, 1.0))
    return piece


def table_lamp(dice: Dice, style: Style) -> Piece:
    """Build a shaded lamp, lit."""
    piece = Piece(0.26, 0.26, 0.45)
    piece.tube(0, 0, 0, 0.13, 0.13, 0.02, style.metal)
    piece.ball(0, 0, 0.02, 0.12, 0.12, 0.2, muted(dice))
    glow = dice.uniform(0.8, 2.0) if dice.chance(0.6) else 0.0
    piece.tube(0, 0, 0.24, 0.27, 0.27, 0.19, plain((0.93, 0.86, 0.7), 0.0, False, glow))
    return piece


def desk_lamp(dice: Dice) -> Piece:
    """Build a jointed lamp."""
    m = metal(dice)
    piece = Piece(0.2, 0.2, 0.45)
    piece.tube(0, 0, 0, 0.16, 0.16, 0.02, m)
    piece.tube(0, -0.02, 0.02, 0.02, 0.02, 0.38, m)
    piece.box(0, 0.07, 0.39, 0.025, 0.22, 0.025, m)
    piece.tube(0, 0.17, 0.33, 0.13, 0.13, 0.08, m)
    return piece


def toy(dice: Dice) -> Piece:
    """Build a ball, building blocks, a car or a bear."""
    piece = Piece(0.3, 0.3, 0.25)
    what = dice.integer(0, 3)
    if what == 0:
        size = dice.uniform(0.14, 0.28)
        piece.ball(0, 0, 0, size, size, size, bright(dice))
    elif what == 1:
        for k in range(dice.integer(2, 4)):
            piece.box(dice.uniform(-0.03, 0.03), 0, k * 0.09, 0.09, 0.09, 0.09, bright(dice), dice.uniform(-0.5, 0.5))
        piece.box(0.14, 0.06, 0, 0.09, 0.09, 0.09, bright(dice), dice.uniform(-0.5, 0.5))
    elif what == 2:
        m = bright(dice)
        piece.box(0, 0, 0.04, 0.3, 0.14, 0.08, m)
        piece.box(-0.02, 0, 0.12, 0.16, 0.13, 0.07, m)
        for x in (-0.09, 0.09):
            for y in (-0.07, 0.07):
                piece.ball(x, y, 0, 0.08, 0.03, 0.08, plain(BLACK))
    else:
        fur = plain(jitter(dice, (0.55, 0.38, 0.22)), 0.0)
        piece.ball(0, 0, 0, 0.22, 0.18, 0.24, fur)
        piece.ball(0, 0.02, 0.19, 0.17, 0.16, 0.16, fur)
        for x in (-0.07, 0.07):
            piece.ball(x, 0.02, 0.31, 0.06, 0.04, 0.06, fur)
            piece.ball(x * 1.4, 0.1, 0, 0.08, 0.14, 0.08, fur)
    return piece
