"""Tables and desks, with what lies on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cliffkit_rooms.furniture import clutter
from cliffkit_rooms.furniture.seating import legs
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.materials import BLACK, Style, plain
from cliffkit_rooms.scene.parts import Piece


def table(dice: Dice, style: Style, width: float, depth: float, height: float = 0.74) -> Piece:
    """Build a table: top, apron and four legs."""
    piece = Piece(width, depth, height)
    thick = dice.uniform(0.05, 0.08)
    legs(piece, width - 0.06, depth - 0.06, height - 0.03, thick, style.wood)
    piece.box(0, 0, height - 0.035, width, depth, 0.035, style.wood)
    if width > 0.9:
        piece.box(0, 0, height - 0.12, width - 0.16, depth - 0.16, 0.09, style.wood)
    return piece


def round_table(dice: Dice, style: Style, width: float, height: float = 0.74) -> Piece:
    """Build a round table: a disc on a column and a foot."""
    piece = Piece(width, width, height)
    piece.tube(0, 0, 0, width * 0.5, width * 0.5, 0.03, style.wood)
    piece.tube(0, 0, 0.03, 0.1, 0.1, height - 0.06, style.wood)
    piece.tube(0, 0, height - 0.035, width, width, 0.035, style.wood)
    return piece


def strew(
    dice: Dice,
    piece: Piece,
    count: int,
    things: Sequence[Callable[[Dice], Piece]],
    top: float | None = None,
    margin: float = 0.12,
) -> None:
    """Put things drawn from `things` here and there on a piece's top, side by side along its width."""
    top = piece.height if top is None else top
    if count <= 0:
        return
    step = (piece.width - 2 * margin) / count
    for k in range(count):
        x = -piece.width / 2 + margin + (k + dice.uniform(0.3, 0.7)) * step
        y = dice.uniform(-0.5, 0.5) * max(0.0, piece.depth - 0.36)
        piece.put(dice.pick(things)(dice), x, y, top, dice.uniform(-0.5, 0.5))


def dining_table(dice: Dice, style: Style, width: float, depth: float) -> Piece:
    """Build a table laid with plates, glasses, a bowl."""
    piece = table(dice, style, width, depth)
    if dice.chance(0.3):
        piece.box(0, 0, 0.72, width + 0.02, depth + 0.02, 0.025, style.accent._replace(soft=False))
    if dice.chance(0.6):
        for x in (-width / 4, width / 4):
            for y in (-depth / 2 + 0.18, depth / 2 - 0.18):
                piece.put(clutter.plate(dice), x, y, 0.745)
    piece.put(dice.pick((clutter.bowl, clutter.vase, clutter.bottle))(dice), 0, 0, 0.745)
    return piece


def desk(dice: Dice, style: Style, width: float, screens: int = 1, height: float = 0.73) -> Piece:
    """Build a desk with drawers, screens, keyboard, papers, lamp."""
    depth = dice.uniform(0.6, 0.75)
    piece = Piece(width, depth, height)
    piece.box(0, 0, height - 0.035, width, depth, 0.035, style.wood)
    side = dice.pick((-1, 1))
    piece.box(-side * (width / 2 - 0.02), 0, 0, 0.035, depth - 0.04, height - 0.035, style.wood)
    x = side * (width / 2 - 0.21)
    piece.box(x, 0, 0, 0.4, depth - 0.04, height - 0.035, style.wood)
    for k in range(3):
        z = 0.06 + k * 0.21
        piece.box(x, depth / 2 - 0.015, z, 0.38, 0.025, 0.2, style.front)
        piece.box(x, depth / 2 + 0.005, z + 0.1, 0.12, 0.02, 0.015, style.metal)
    piece.box(0, -depth / 2 + 0.03, 0.3, width - 0.05, 0.02, height - 0.34, style.wood)
    for k in range(screens):
        at = (k - (screens - 1) / 2) * 0.55 - side * 0.05
        piece.put(clutter.monitor(dice) if dice.chance(0.75) else clutter.laptop(dice), at, -0.12, height)
        piece.box(at, 0.14, height, 0.42, 0.14, 0.02, plain(BLACK))
    room_left = width / 2 - 0.15
    for x in (-room_left, room_left):
        thing = dice.pick((clutter.papers, clutter.book_stack, clutter.mug, clutter.desk_lamp, clutter.papers))
        piece.put(thing(dice), x, dice.uniform(-0.12, 0.12), height, dice.uniform(-0.4, 0.4))
    return piece


def coffee_table(dice: Dice, style: Style) -> Piece:
    """Build a low table with a shelf beneath."""
    width, depth, height = dice.uniform(0.8, 1.2), dice.uniform(0.5, 0.65), dice.uniform(0.38, 0.46)
    piece = Piece(width, depth, height)
    legs(piece, width, depth, height - 0.04, 0.06, style.wood)
    piece.box(0, 0, height - 0.04, width, depth, 0.04, style.wood)
    if dice.chance(0.5):
        piece.box(0, 0, 0.12, width - 0.08, depth - 0.08, 0.025, style.wood)
    strew(
        dice, piece, dice.integer(1, 4), (clutter.book_stack, clutter.mug, clutter.bowl, clutter.papers, clutter.vase)
    )
    return piece


def nightstand(dice: Dice, style: Style) -> Piece:
    """Build a bedside cabinet with a lamp or books."""
    piece = Piece(0.45, 0.4, 0.52)
    piece.box(0, 0, 0.06, 0.45, 0.38, 0.46, style.wood)
    for z in (0.09, 0.3):
        piece.box(0, 0.195, z, 0.41, 0.015, 0.19, style.front)
        piece.ball(0, 0.21, z + 0.08, 0.03, 0.03, 0.03, style.metal)
    piece.put(clutter.table_lamp(dice, style), 0.02, -0.02, 0.52)
    if dice.chance(0.6):
        piece.put(dice.pick((clutter.mug, clutter.book_stack))(dice), -0.12, 0.1, 0.52)
    return piece
