"""What rooms are made of: palettes and the materials drawn from them."""

from __future__ import annotations

from typing import NamedTuple

from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.parts import Color, Material

WHITE: Color = (0.93, 0.92, 0.9)
BLACK: Color = (0.08, 0.08, 0.09)
STEEL: Color = (0.62, 0.63, 0.65)
WOODS: tuple[Color, ...] = (
    (0.72, 0.53, 0.34),
    (0.6, 0.4, 0.25),
    (0.45, 0.28, 0.18),
    (0.8, 0.66, 0.47),
    (0.35, 0.22, 0.15),
)
DARK_WOODS: tuple[Color, ...] = ((0.4, 0.24, 0.15), (0.34, 0.21, 0.14), (0.46, 0.27, 0.16))
LIGHT_WOODS: tuple[Color, ...] = ((0.8, 0.66, 0.47), (0.76, 0.6, 0.42), (0.85, 0.74, 0.58))
FABRICS: tuple[Color, ...] = (
    (0.35, 0.38, 0.45), (0.55, 0.5, 0.43), (0.45, 0.2, 0.18), (0.25, 0.33, 0.3), (0.7, 0.66, 0.6), (0.3, 0.25, 0.23),
    (0.2, 0.27, 0.42), (0.62, 0.55, 0.36),
)  # fmt: skip
BRIGHTS: tuple[Color, ...] = (
    (0.85, 0.2, 0.18), (0.95, 0.75, 0.15), (0.2, 0.45, 0.8), (0.25, 0.65, 0.3), (0.9, 0.5, 0.15), (0.6, 0.3, 0.65),
    (0.9, 0.55, 0.65), (0.2, 0.65, 0.68),
)  # fmt: skip
PAINTS: tuple[Color, ...] = (
    (0.9, 0.88, 0.83), (0.88, 0.84, 0.74), (0.8, 0.83, 0.84), (0.82, 0.8, 0.72), (0.72, 0.77, 0.72), (0.86, 0.8, 0.76),
)  # fmt: skip


def jitter(dice: Dice, color: Color, amount: float = 0.04) -> Color:
    """Make the colour a little lighter or darker and a little off in hue."""
    shift = dice.uniform(-amount, amount)
    r, g, b = (min(0.97, max(0.03, c + shift + dice.uniform(-amount, amount) * 0.4)) for c in color)
    return (r, g, b)


def shade(color: Color, factor: float) -> Color:
    """Make the colour darker (factor < 1) or lighter."""
    r, g, b = (min(0.97, c * factor) for c in color)
    return (r, g, b)


def plain(color: Color, gloss: float = 0.1, soft: bool = False, glow: float = 0.0) -> Material:
    """Take one colour, faintly uneven."""
    return Material("plain", color, color, 0.3, gloss, soft, glow)


def wood(dice: Dice, colors: tuple[Color, ...] = WOODS, gloss: float = 0.25) -> Material:
    """Draw varnished wood with its grain."""
    color = jitter(dice, dice.pick(colors), 0.03)
    return Material("wood", color, shade(color, 0.68), 0.05, gloss)


def cloth(dice: Dice, colors: tuple[Color, ...] = FABRICS, soft: bool = True) -> Material:
    """Draw upholstery, bedding or clothes: plain, striped or checked."""
    color = jitter(dice, dice.pick(colors), 0.06)
    texture = dice.pick(("carpet", "carpet", "carpet", "stripes", "checks"))
    return Material(texture, color, shade(color, dice.uniform(0.7, 1.25)), dice.uniform(0.05, 0.12), 0.0, soft)


def panels(material: Material) -> Material:
    """Work the same stuff as a cupboard door or a drawer front: a groove along its edges."""
    return material._replace(texture="panel", second=shade(material.color, 0.45))


def metal(dice: Dice) -> Material:
    """Draw brushed steel to black iron."""
    return plain(jitter(dice, dice.pick((STEEL, STEEL, (0.3, 0.3, 0.31), BLACK))), 0.6)


class Style(NamedTuple):
    """The materials that one room's furniture shares."""

    wood: Material
    front: Material
    fabric: Material
    accent: Material
    metal: Material
    trim: Material


def draw_style(dice: Dice, woods: tuple[Color, ...] = WOODS, fabrics: tuple[Color, ...] = FABRICS) -> Style:
    """Draw a style: one wood, one upholstery, one accent colour for the whole room."""
    base = wood(dice, woods)
    front = panels(base if dice.chance(0.6) else plain(jitter(dice, WHITE), 0.3))
    trim = plain(jitter(dice, WHITE, 0.02), 0.2) if dice.chance(0.75) else base
    accent = cloth(dice, (*FABRICS, *BRIGHTS))
    return Style(base, front, cloth(dice, fabrics), accent, metal(dice), trim)
