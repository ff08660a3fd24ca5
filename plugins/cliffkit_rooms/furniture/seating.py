"""Things to sit and lie on: chairs, sofas, beds, benches."""

from __future__ import annotations

from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.materials import BLACK, BRIGHTS, WHITE, Style, cloth, jitter, metal, plain
from cliffkit_rooms.scene.parts import Material, Piece


def legs(piece: Piece, width: float, depth: float, height: float, thick: float, m: Material, z: float = 0.0) -> None:
    """Add four legs at the corners of a width by depth rectangle."""
    for x in (-1.0, 1.0):
        for y in (-1, 1):
            piece.box(x * (width - thick) / 2, y * (depth - thick) / 2, z, thick, thick, height, m)


def chair(dice: Dice, style: Style, material: Material | None = None, size: float = 1.0) -> Piece:
    """Build a dining chair: seat, legs, a back of slats or a board."""
    m = material or style.wood
    w, d, seat, top = 0.43 * size, 0.44 * size, 0.45 * size, dice.uniform(0.85, 0.98) * size
    piece = Piece(w, d, top)
    legs(piece, w, d, seat - 0.03, 0.04 * size, m)
    piece.box(0, 0, seat - 0.03, w, d, 0.035, m)
    if dice.chance(0.45):
        piece.box(0, 0.01, seat, w * 0.92, d * 0.88, 0.04, style.fabric)
    for x in (-1.0, 1.0):
        piece.box(x * (w / 2 - 0.02), -d / 2 + 0.02, seat, 0.035 * size, 0.035 * size, top - seat, m)
    if dice.chance(0.5):
        piece.box(0, -d / 2 + 0.02, top - 0.08, w, 0.025, 0.08, m)
        for k in range(4):
            piece.box((k - 1.5) * w * 0.2, -d / 2 + 0.02, seat, 0.022, 0.015, top - seat - 0.06, m)
    else:
        piece.box(0, -d / 2 + 0.02, seat + 0.16, w * 0.95, 0.025, top - seat - 0.16, m)
    return piece


def small_chair(dice: Dice, style: Style) -> Piece:
    """Build a child's chair in a strong colour."""
    return chair(dice, style, plain(jitter(dice, dice.pick(BRIGHTS)), 0.4), 0.65)


def office_chair(dice: Dice, style: Style) -> Piece:
    """Build a swivel chair: star base, column, padded seat and back, arms."""
    pad = cloth(dice, ((0.12, 0.12, 0.14), (0.2, 0.2, 0.22), (0.2, 0.25, 0.4), (0.4, 0.15, 0.15)))
    frame = plain(BLACK, 0.4)
    piece = Piece(0.6, 0.6, 0.98)
    piece.box(0, 0, 0.04, 0.56, 0.07, 0.05, frame, 0.4)
    piece.box(0, 0, 0.04, 0.56, 0.07, 0.05, frame, 0.4 + 1.57)
    piece.tube(0, 0, 0.08, 0.06, 0.06, 0.34, style.metal)
    piece.box(0, 0.02, 0.42, 0.5, 0.48, 0.09, pad._replace(soft=True))
    piece.box(0, -0.22, 0.56, 0.46, 0.08, 0.42, pad._replace(soft=True))
    piece.box(0, -0.26, 0.44, 0.08, 0.03, 0.25, frame)
    if dice.chance(0.7):
        for x in (-1.0, 1.0):
            piece.box(x * 0.27, 0.02, 0.65, 0.06, 0.26, 0.035, frame)
            piece.box(x * 0.27, -0.02, 0.47, 0.03, 0.05, 0.18, frame)
    return piece


def sofa(dice: Dice, style: Style, seats: int) -> Piece:
    """Build a sofa, or an armchair for one: base, seat cushions, back cushions, arms, throw pillows."""
    arm, depth, back = dice.uniform(0.14, 0.24), dice.uniform(0.82, 0.95), dice.uniform(0.78, 0.92)
    inner = seats * dice.uniform(0.56, 0.64)
    width = inner + 2 * arm
    m = style.fabric._replace(soft=True)
    piece = Piece(width, depth, back)
    piece.box(0, 0, 0.08, width - 0.04, depth - 0.04, 0.2, m._replace(soft=False))
    legs(piece, width - 0.1, depth - 0.1, 0.08, 0.06, style.wood)
    piece.box(0, -depth / 2 + 0.09, 0.08, width, 0.18, back - 0.1, m)
    for x in (-1.0, 1.0):
        piece.box(x * (width - arm) / 2, 0, 0.08, arm, depth, 0.52, m)
    each = inner / seats
    for k in range(seats):
        x = (k - (seats - 1) / 2) * each
        piece.box(x, 0.07, 0.27, each - 0.012, depth - 0.2, 0.17, m)
        piece.box(x, -depth / 2 + 0.25, 0.43, each - 0.02, 0.17, back - 0.43, m)
        if dice.chance(0.4):
            pillow = cloth(dice, (*BRIGHTS, WHITE)) if dice.chance(0.5) else style.accent
            piece.box(x + dice.uniform(-0.1, 0.1), -depth / 2 + 0.4, 0.44, 0.4, 0.13, 0.36, pillow._replace(soft=True))
    if dice.chance(0.2):
        piece.box(-width / 2 + arm / 2, 0.1, 0.6, arm + 0.02, 0.5, 0.02, cloth(dice))
    return piece


def stool(dice: Dice, style: Style) -> Piece:
    """Build a round stool on four legs."""
    height = dice.uniform(0.42, 0.5)
    piece = Piece(0.36, 0.36, height)
    legs(piece, 0.28, 0.28, height - 0.04, 0.035, style.metal if dice.chance(0.5) else style.wood)
    piece.tube(0, 0, height - 0.05, 0.36, 0.36, 0.05, style.wood if dice.chance(0.6) else style.fabric)
    return piece


def bench(dice: Dice, style: Style) -> Piece:
    """Build a low bench, sometimes with a cushion."""
    width = dice.uniform(0.9, 1.3)
    piece = Piece(width, 0.4, 0.5)
    legs(piece, width, 0.38, 0.42, 0.06, style.wood)
    piece.box(0, 0, 0.42, width, 0.4, 0.04, style.wood)
    if dice.chance(0.6):
        piece.box(0, 0, 0.46, width * 0.96, 0.37, 0.07, style.accent._replace(soft=True))
    return piece


def bean_bag(dice: Dice) -> Piece:
    """Build a sack to sink into."""
    m = cloth(dice, BRIGHTS)._replace(texture="plain")
    piece = Piece(0.8, 0.8, 0.6)
    piece.ball(0, 0, -0.08, 0.8, 0.8, 0.5, m)
    piece.ball(0, -0.15, 0.1, 0.6, 0.45, 0.55, m)
    return piece


def bed(dice: Dice, style: Style, width: float) -> Piece:
    """Build a bed: frame, headboard, mattress, duvet, pillows, perhaps a folded blanket."""
    length, top = 2.05, dice.uniform(0.48, 0.6)
    head = dice.uniform(0.85, 1.25)
    piece = Piece(width + 0.06, length + 0.06, head)
    frame = style.wood if dice.chance(0.75) else style.fabric
    legs(piece, width, length, 0.2, 0.07, frame)
    piece.box(0, 0, 0.14, width + 0.04, length, 0.17, frame)
    piece.box(0, -length / 2 - 0.01, 0.1, width + 0.06, 0.06, head - 0.1, frame)
    piece.box(0, 0.02, 0.3, width - 0.02, length - 0.08, top - 0.32, plain(jitter(dice, WHITE), 0.0, True))
    cover = cloth(dice)
    piece.box(0, 0.255, 0.24, width + 0.05, length - 0.52, top - 0.2, cover)
    if dice.chance(0.6):
        piece.box(0, length / 2 - 0.4, 0.25, width + 0.08, 0.55, top - 0.19, style.accent)
    count = 2 if width > 1.2 else 1
    sheet = plain(jitter(dice, WHITE, 0.05), 0.0, True)
    for k in range(count):
        x = (k - (count - 1) / 2) * width * 0.48
        piece.box(x, -length / 2 + 0.27, top - 0.04, min(0.62, width * 0.46 if count > 1 else 0.6), 0.4, 0.15, sheet)
        if dice.chance(0.45):
            m = style.accent._replace(soft=True)
            piece.box(x, -length / 2 + 0.45, top - 0.02, 0.42, 0.14, 0.32, m)
    return piece


def metal_chair(dice: Dice, style: Style) -> Piece:
    """Build a school chair: steel legs, a plastic shell."""
    color = plain(jitter(dice, dice.pick((*BRIGHTS[2:4], (0.2, 0.2, 0.25), (0.6, 0.35, 0.2)))), 0.3)
    piece = Piece(0.44, 0.46, 0.8)
    legs(piece, 0.4, 0.42, 0.43, 0.025, metal(dice))
    piece.box(0, 0, 0.43, 0.42, 0.42, 0.025, color)
    piece.box(0, -0.21, 0.55, 0.4, 0.025, 0.25, color)
    for x in (-1.0, 1.0):
        piece.box(x * 0.17, -0.22, 0.43, 0.02, 0.02, 0.2, style.metal)
    return piece
