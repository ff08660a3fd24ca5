"""Rooms with water, by type: what stands in them and how."""

from __future__ import annotations

import math

from cliffkit_rooms.furniture import clutter, decor, fixtures, seating, storage, tables
from cliffkit_rooms.places.arrange import chairs_around, litter, pictures
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.lamps import add_ceiling_light
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.materials import draw_style
from cliffkit_rooms.scene.openings import add_door, add_window
from cliffkit_rooms.scene.parts import Color
from cliffkit_rooms.scene.shell import new_room

COOL: tuple[Color, ...] = ((0.85, 0.9, 0.92), (0.92, 0.92, 0.9), (0.78, 0.86, 0.86), (0.9, 0.86, 0.78))


def kitchen(dice: Dice) -> Room:
    """Furnish a kitchen: counters and cupboards on two walls, stove with hood, fridge, a small table."""
    style = draw_style(dice)
    room = new_room(
        dice, style, (2.7, 3.6), (3.2, 4.6), floor=("tiles", "tiles", "planks", "checker"), walls=("paint", "tiles")
    )

    top = fixtures.worktop(dice)
    main = dice.integer(0, 3)
    add_door(room, (main + dice.pick((1, 2, 3))) % 4)
    long = room.length(main)
    room.against(fixtures.fridge(dice), main, long - 0.4)

    stove = room.against(fixtures.stove(dice, style), main, dice.uniform(0.95, max(1.0, long - 1.45)))
    if stove:
        room.hang(fixtures.hood(dice), 1.65, main, stove.along)
        for low, high, sink in ((0.03, stove.along - 0.31, True), (stove.along + 0.31, long - 0.78, False)):
            if high - low > 0.35:
                middle = (low + high) / 2
                room.against(fixtures.counter(dice, style, top, high - low, sink and high - low > 0.7), main, middle)
                room.hang(fixtures.wall_cupboards(dice, style, high - low - 0.02), 1.45, main, middle)

    side = (main + dice.pick((1, 3))) % 4
    add_window(room, side if dice.chance(0.5) else None, curtains=0.2)
    for _ in range(3):
        width = dice.uniform(1.0, 1.8)
        spot = room.against(fixtures.counter(dice, style, top, width, not stove), side)
        if spot:
            if dice.chance(0.7):
                room.hang(fixtures.wall_cupboards(dice, style, width), 1.45, side, spot.along)
            break

    if dice.chance(0.7):
        width = dice.uniform(0.75, 1.1)
        spot = room.free(tables.dining_table(dice, style, width, 0.75), turn=dice.pick((0.0, math.pi / 2)), margin=0.3)
        if spot:
            chairs_around(room, seating.chair, spot, width, 0.75)

    room.hang(decor.clock(dice), 1.9)
    pictures(room, 0, 1)
    litter(room, (decor.bin_, clutter.carton, clutter.basket), 0, 2)
    add_ceiling_light(room, dice.pick(("dome", "pendant", "panels")))
    return room


def bathroom(dice: Dice) -> Room:
    """Furnish a bathroom: tub or shower, toilet, washbasin with mirror, towels; tiles all round."""
    style = draw_style(dice)
    room = new_room(
        dice,
        style,
        (2.2, 2.9),
        (2.6, 3.6),
        (2.3, 2.6),
        ("tiles", "tiles", "checker"),
        ("tiles", "tiles", "paint"),
        COOL,
    )
    add_door(room)
    if dice.chance(0.4):
        add_window(room, curtains=0.1, power=0.6)

    spot = room.against(fixtures.bathtub(dice))
    if spot is None or dice.chance(0.3):
        room.against(fixtures.shower(dice))

    width = dice.uniform(0.6, 1.1)
    basin = room.against(fixtures.vanity(dice, style, width), tries=30)
    if basin:
        room.hang(decor.mirror(dice, room, min(width, 0.9), 0.8), 1.1, basin.wall, basin.along)

    room.against(fixtures.toilet(dice), tries=30)
    room.hang(decor.towel_rail(dice), 1.0)
    if dice.chance(0.5):
        room.hang(storage.shelf_board(dice, style, (clutter.towels, clutter.bottle)), 1.5)
    if basin and dice.chance(0.7):
        room.lay(decor.rug(dice, 0.8, 0.5, True), *basin.at(0, 0.6), basin.yaw)

    litter(room, (decor.bin_, clutter.basket, clutter.clothes), 1, 2)
    add_ceiling_light(room, "dome")
    return room


def laundry_room(dice: Dice) -> Room:
    """Furnish a laundry: machines in a row, shelves of linen, baskets, an ironing board."""
    style = draw_style(dice)
    room = new_room(dice, style, (2.3, 3.0), (2.8, 4.0), floor=("tiles", "checker", "vinyl"), colors=COOL)
    add_door(room)
    if dice.chance(0.5):
        add_window(room, curtains=0.1)
    for _ in range(6):
        first = room.against(fixtures.washer(dice))
        if first:
            for k in range(1, dice.integer(2, 3)):
                room.against(fixtures.washer(dice), first.wall, first.along + 0.63 * k)
            room.hang(storage.shelf_board(dice, style, (clutter.bottle, clutter.towels)), 1.5, first.wall, first.along)
            break
    room.against(fixtures.counter(dice, style, fixtures.worktop(dice), dice.uniform(0.8, 1.3), True))
    for _ in range(dice.integer(1, 2)):
        room.against(storage.metal_rack(dice))
    room.free(fixtures.ironing_board(dice))
    room.hang(storage.coat_rack(dice, style), 0.95)
    litter(room, (clutter.basket, clutter.basket, clutter.clothes, clutter.carton), 2, 5)
    add_ceiling_light(room, dice.pick(("dome", "panels")))
    return room
