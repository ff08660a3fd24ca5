"""Things that hold things: bookcases, wardrobes, chests, cabinets, racks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cliffkit_rooms.furniture import clutter
from cliffkit_rooms.furniture.tables import strew
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.materials import BLACK, BRIGHTS, STEEL, Style, cloth, jitter, metal, plain
from cliffkit_rooms.scene.parts import Material, Piece

BOOKS = Material("books", (0.5, 0.4, 0.3), (0.2, 0.2, 0.3), 0.032)


def bookcase(dice: Dice, style: Style, width: float, height: float, fill: float = 0.85, depth: float = 0.3) -> Piece:
    """Build a bookcase; each board carries a row of books or a few objects, or stands empty."""
    piece = Piece(width, depth, height)
    thick = 0.025
    for x in (-1.0, 1.0):
        piece.box(x * (width - thick) / 2, 0, 0, thick, depth, height, style.wood)
    piece.box(0, -depth / 2 + 0.008, 0, width, 0.014, height, style.wood)

    count = max(2, round(height / 0.36))
    step = (height - 0.08) / count
    for k in range(count + 1):
        piece.box(0, 0, 0.05 + k * step, width - 2 * thick, depth - 0.01, thick, style.wood)
    piece.box(0, depth / 2 - 0.03, 0, width - 2 * thick, 0.02, 0.05, style.wood)

    for k in range(count):
        z = 0.05 + k * step + thick
        if dice.chance(fill):
            share = 1.0 if dice.chance(0.5) else dice.uniform(0.4, 0.9)
            w = (width - 2 * thick - 0.01) * share
            x = (width - 2 * thick - w) / 2 * dice.pick((-1, 1)) * 0.98
            deep = dice.uniform(0.16, 0.21)
            row = BOOKS._replace(scale=dice.uniform(0.024, 0.045))
            piece.box(x, -depth / 2 + 0.02 + deep / 2, z, w, deep, step - thick - 0.02, row)
            if share < 0.7:
                piece.put(dice.pick((clutter.vase, clutter.mug, clutter.book_stack))(dice), -x * 1.6, 0, z)
        elif dice.chance(0.7):
            for x in (-width / 4, width / 4):
                thing = dice.pick((clutter.mug, clutter.book_stack, clutter.bottle, clutter.bowl))
                piece.put(thing(dice), x, 0, z, dice.uniform(-0.4, 0.4))

    if dice.chance(0.4) and height < 1.9:
        strew(dice, piece, dice.integer(1, 2), (clutter.vase, clutter.book_stack, clutter.bowl))
    return piece


def wardrobe(dice: Dice, style: Style) -> Piece:
    """Build a tall wardrobe with two or three doors and their handles."""
    doors = dice.integer(2, 3)
    width, height, depth = doors * dice.uniform(0.45, 0.55), dice.uniform(1.95, 2.2), 0.58
    piece = Piece(width, depth, height)
    piece.box(0, -0.01, 0, width, depth - 0.02, height, style.wood)
    each = (width - 0.02) / doors
    for k in range(doors):
        x = (k - (doors - 1) / 2) * each
        piece.box(x, depth / 2 - 0.01, 0.08, each - 0.01, 0.02, height - 0.11, style.front)
        side = 1 if k % 2 == 0 else -1
        piece.box(x + side * (each / 2 - 0.05), depth / 2 + 0.01, height * 0.45, 0.02, 0.025, 0.18, style.metal)
    return piece


def chest(dice: Dice, style: Style, width: float | None = None, rows: int | None = None) -> Piece:
    """Build a chest of drawers with things on top."""
    width = dice.uniform(0.75, 1.2) if width is None else width
    rows = dice.integer(3, 4) if rows is None else rows
    height, depth = 0.12 + rows * 0.22, 0.46
    piece = Piece(width, depth, height)
    piece.box(0, -0.01, 0.05, width, depth - 0.02, height - 0.05, style.wood)
    piece.box(0, -0.03, 0, width - 0.06, depth - 0.1, 0.05, style.wood)
    piece.box(0, 0, height - 0.025, width + 0.03, depth + 0.02, 0.028, style.wood)
    halves = 2 if width > 0.85 else 1
    for r in range(rows):
        for k in range(halves):
            w = (width - 0.04) / halves
            x = (k - (halves - 1) / 2) * w
            z = 0.07 + r * 0.22
            piece.box(x, depth / 2 - 0.012, z, w - 0.015, 0.02, 0.205, style.front)
            piece.box(x, depth / 2 + 0.005, z + 0.1, 0.12, 0.025, 0.018, style.metal)
    lamp = clutter.table_lamp(dice, style)
    piece.put(lamp, -width / 2 + 0.2, -0.05, height)
    strew(dice, piece, dice.integer(1, 3), (clutter.vase, clutter.book_stack, clutter.bowl, clutter.bottle), margin=0.3)
    return piece


def sideboard(dice: Dice, style: Style) -> Piece:
    """Build a long low cabinet on legs, with things on top."""
    width, height, depth = dice.uniform(1.2, 1.7), dice.uniform(0.75, 0.9), 0.45
    piece = Piece(width, depth, height)
    for x in (-1.0, 1.0):
        for y in (-1, 1):
            piece.box(x * (width / 2 - 0.05), y * (depth / 2 - 0.05), 0, 0.05, 0.05, 0.14, style.wood)
    piece.box(0, -0.01, 0.14, width, depth - 0.02, height - 0.14, style.wood)
    for k in range(3):
        x = (k - 1) * (width - 0.04) / 3
        piece.box(x, depth / 2 - 0.01, 0.18, (width - 0.08) / 3, 0.02, height - 0.25, style.front)
        piece.ball(x + 0.12, depth / 2 + 0.01, height * 0.6, 0.03, 0.03, 0.03, style.metal)
    strew(dice, piece, dice.integer(2, 4), (clutter.vase, clutter.bowl, clutter.bottle, clutter.book_stack))
    return piece


def glass_cabinet(dice: Dice, style: Style) -> Piece:
    """Build a china cabinet: doors below, dishes on open boards above."""
    width, depth, height = dice.uniform(0.9, 1.2), 0.42, dice.uniform(1.85, 2.05)
    piece = Piece(width, depth, height)
    piece.box(0, -0.01, 0, width, depth - 0.02, 0.85, style.wood)
    for x in (-1.0, 1.0):
        piece.box(x * width / 4, depth / 2 - 0.01, 0.06, width / 2 - 0.02, 0.02, 0.74, style.front)
        piece.box(x * (width - 0.03) / 2, -0.05, 0.85, 0.03, depth - 0.1, height - 0.85, style.wood)
    piece.box(0, -depth / 2 + 0.01, 0.85, width, 0.02, height - 0.85, style.wood)
    for k in range(4):
        z = 0.85 + k * (height - 0.88) / 3
        piece.box(0, -0.05, z, width - 0.06, depth - 0.1, 0.02, style.wood)
        if k < 3:
            for x in (-0.3, -0.1, 0.1, 0.3):
                thing = dice.pick((clutter.mug, clutter.mug, clutter.bottle, clutter.bowl))
                piece.put(thing(dice), x * width, -0.05, z + 0.02)
    return piece


def filing_cabinet(dice: Dice, style: Style) -> Piece:
    """Build a filing cabinet: steel drawers with labels."""
    m = plain(jitter(dice, dice.pick((STEEL, (0.75, 0.74, 0.7), (0.25, 0.25, 0.27)))), 0.4)
    rows = dice.integer(2, 4)
    piece = Piece(0.46, 0.6, 0.05 + rows * 0.32)
    piece.box(0, -0.01, 0, 0.46, 0.58, piece.height, m)
    for r in range(rows):
        z = 0.03 + r * 0.32
        piece.box(0, 0.29, z, 0.43, 0.02, 0.3, m._replace(texture="panel", second=(0.2, 0.2, 0.2)))
        piece.box(0, 0.31, z + 0.2, 0.14, 0.02, 0.02, plain(BLACK, 0.5))
        piece.box(0, 0.302, z + 0.235, 0.1, 0.004, 0.04, plain((0.95, 0.95, 0.9)))
    strew(dice, piece, 1, (clutter.carton, clutter.papers, clutter.vase, clutter.book_stack))
    return piece


def tv_stand(dice: Dice, style: Style) -> Piece:
    """Build a low board with a television."""
    width = dice.uniform(1.1, 1.7)
    piece = Piece(width, 0.42, 1.15)
    piece.box(0, 0, 0.06, width, 0.42, 0.42, style.wood)
    for k in range(3):
        x = (k - 1) * width / 3
        m = style.front if k != 1 else plain(BLACK, 0.3)
        piece.box(x, 0.21, 0.1, width / 3 - 0.02, 0.015, 0.34, m)
    tv = dice.uniform(0.85, 1.15)
    piece.box(0, -0.05, 0.48, 0.4, 0.2, 0.02, plain(BLACK, 0.5))
    piece.box(0, -0.05, 0.5, 0.1, 0.04, 0.08, plain(BLACK, 0.5))
    piece.box(0, -0.05, 0.55, tv, 0.05, tv * 0.58, plain(BLACK, 0.5))
    on = Material("picture", (0.3, 0.5, 0.8), (0.2, 0.45, 0.25), 1.0, 0.6, False, 1.2)
    face = on if dice.chance(0.4) else plain((0.05, 0.05, 0.06), 0.9)
    piece.box(0, -0.02, 0.57, tv - 0.05, 0.008, tv * 0.58 - 0.05, face)
    return piece


def toy_shelf(dice: Dice, style: Style) -> Piece:
    """Build a shelf of cubes with bright bins and toys."""
    columns, rows = dice.integer(3, 4), dice.integer(2, 3)
    piece = Piece(columns * 0.36 + 0.03, 0.36, rows * 0.36 + 0.03)
    m = style.wood if dice.chance(0.5) else plain((0.95, 0.94, 0.92), 0.2)
    for k in range(columns + 1):
        piece.box((k - columns / 2) * 0.36, 0, 0, 0.03, 0.36, piece.height, m)
    for r in range(rows + 1):
        piece.box(0, 0, r * 0.36, piece.width, 0.355, 0.03, m)
    piece.box(0, -0.17, 0, piece.width, 0.02, piece.height, m)
    for k in range(columns):
        for r in range(rows):
            x, z = (k - (columns - 1) / 2) * 0.36, r * 0.36 + 0.03
            if dice.chance(0.55):
                piece.box(x, 0.02, z, 0.3, 0.3, 0.24, cloth(dice, BRIGHTS)._replace(soft=False, texture="carpet"))
            elif dice.chance(0.7):
                piece.put(clutter.toy(dice), x, 0, z)
    strew(dice, piece, 2, (clutter.toy,))
    return piece


def coat_rack(dice: Dice, style: Style) -> Piece:
    """Build a board with hooks and coats, to hang on a wall."""
    width = dice.uniform(0.8, 1.2)
    piece = Piece(width, 0.24, 0.95)
    piece.box(0, -0.1, 0.82, width, 0.03, 0.12, style.wood)
    for k in range(4):
        x = (k - 1.5) * width / 4
        piece.box(x, -0.06, 0.84, 0.02, 0.07, 0.02, style.metal)
        if dice.chance(0.75):
            m = cloth(dice)
            piece.box(x, -0.01, 0.12, width / 4.4, 0.13, 0.72, m._replace(soft=True, texture="folds", scale=0.1))
    return piece


def shelf_board(dice: Dice, style: Style, things: Sequence[Callable[[Dice], Piece]] = ()) -> Piece:
    """Build a board on brackets with things on it, to hang on a wall."""
    width = dice.uniform(0.7, 1.3)
    piece = Piece(width, 0.24, 0.35)
    piece.box(0, 0, 0, width, 0.24, 0.025, style.wood)
    for x in (-0.4, 0.4):
        piece.box(x * width, -0.05, -0.1, 0.02, 0.13, 0.1, style.metal)
    things = things or (clutter.book_stack, clutter.vase, clutter.mug, clutter.bottle)
    strew(dice, piece, dice.integer(2, 4), things, top=0.025, margin=0.08)
    return piece


def metal_rack(dice: Dice) -> Piece:
    """Build open steel shelving with cartons."""
    m = metal(dice)
    piece = Piece(0.95, 0.42, 1.8)
    for x in (-1.0, 1.0):
        for y in (-1, 1):
            piece.box(x * 0.46, y * 0.2, 0, 0.03, 0.03, 1.8, m)
    for k in range(4):
        z = 0.12 + k * 0.54
        piece.box(0, 0, z, 0.93, 0.42, 0.02, m)
        for x in (-0.24, 0.24):
            if dice.chance(0.75):
                piece.put(
                    dice.pick((clutter.carton, clutter.towels, clutter.bottle, clutter.towels))(dice), x, 0, z + 0.02
                )
    return piece
