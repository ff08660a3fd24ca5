"""Rooms of a home, by type: what stands in them and how."""

from __future__ import annotations

import math

from cliffkit_rooms.furniture import clutter, decor, seating, storage, tables
from cliffkit_rooms.places.arrange import chairs_around, litter, pictures
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.lamps import add_ceiling_light
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.materials import BRIGHTS, DARK_WOODS, LIGHT_WOODS, PAINTS, WHITE, draw_style
from cliffkit_rooms.scene.openings import add_door, add_window
from cliffkit_rooms.scene.parts import Color
from cliffkit_rooms.scene.shell import add_block, new_room


def bedroom(dice: Dice) -> Room:
    """Furnish a bedroom: bed with nightstands, wardrobe, chest, rug, curtains."""
    style = draw_style(dice)
    room = new_room(dice, style, (3.1, 4.2), (3.4, 4.8), floor=("planks", "carpet", "carpet"))
    if dice.chance(0.25):
        add_block(room)
    add_door(room)
    add_window(room, curtains=0.85)

    width = dice.pick((0.95, 1.4, 1.6, 1.8))
    spot = room.against(seating.bed(dice, style, width))
    if spot:
        for side in (-1, 1):
            room.against(tables.nightstand(dice, style), spot.wall, spot.along + side * (width / 2 + 0.28))
        if dice.chance(0.6):
            room.hang(decor.picture(dice, room), 1.45, spot.wall, spot.along)
        if dice.chance(0.6):
            room.lay(decor.rug(dice, width + 1.1, 1.5), *spot.at(0, 0.6), spot.yaw)

    room.against(storage.wardrobe(dice, style))
    chest = room.against(storage.chest(dice, style))
    if chest and dice.chance(0.6):
        room.hang(decor.mirror(dice, room, 0.6, 0.8), 1.2, chest.wall, chest.along)

    if dice.chance(0.4):
        room.against(tables.desk(dice, style, 1.1))
    if dice.chance(0.5):
        room.against(decor.radiator(dice))
    if dice.chance(0.4):
        room.free(seating.chair(dice, style))

    pictures(room, 0, 2)
    litter(room, (clutter.clothes, clutter.shoes, clutter.basket, clutter.carton), 1, 4)
    add_ceiling_light(room, dice.pick(("dome", "dome", "pendant")))
    return room


def living_room(dice: Dice) -> Room:
    """Furnish a living room: sofa, armchairs, low table on a rug, television, bookcase, lamp, plants."""
    style = draw_style(dice)
    room = new_room(dice, style, (3.8, 6.0), (4.2, 8.0), floor=("planks", "planks", "carpet"))
    if dice.chance(0.3):
        add_block(room)
    add_door(room)
    for _ in range(dice.integer(1, 2)):
        add_window(room, curtains=0.7)

    spot = room.against(seating.sofa(dice, style, dice.integer(2, 3)), gap=dice.pick((0.02, 0.1)))
    if spot:
        x, y = spot.at(dice.uniform(-0.2, 0.2), dice.uniform(1.05, 1.3))
        room.lay(decor.rug(dice, dice.uniform(1.8, 2.6), dice.uniform(1.3, 1.8)), x, y, spot.yaw)
        room.try_at(tables.coffee_table(dice, style), x, y, spot.yaw)
        for side in (-1, 1):
            if dice.chance(0.7):
                x, y = spot.at(side * 1.5, 1.5)
                room.try_at(seating.sofa(dice, style, 1), x, y, spot.yaw + side * math.pi / 2)
        opposite = room.against(storage.tv_stand(dice, style), (spot.wall + 2) % 4)
        if dice.chance(0.7):
            room.hang(decor.picture(dice, room), 1.3, spot.wall, spot.along)
        if opposite is None:
            room.against(storage.tv_stand(dice, style))

    room.against(storage.bookcase(dice, style, dice.uniform(0.8, 1.2), dice.uniform(1.2, 2.0), 0.75))
    decor.floor_lamp(room, room.against(decor.lamp_stand(dice)))
    for _ in range(dice.integer(0, 2)):
        room.against(decor.plant(dice))
    if dice.chance(0.5):
        room.against(storage.sideboard(dice, style))
    if dice.chance(0.5):
        room.against(decor.radiator(dice))

    pictures(room, 1, 3)
    litter(room, (clutter.book_stack, clutter.toy, clutter.shoes), 0, 2)
    add_ceiling_light(room, dice.pick(("dome", "pendant", "dome")))
    return room


def dining_room(dice: Dice) -> Room:
    """Furnish a dining room: a laid table with chairs under a pendant lamp, sideboard, china cabinet."""
    style = draw_style(dice)
    room = new_room(dice, style, (3.3, 5.0), (3.8, 6.5), floor=("planks", "planks", "tiles"))
    add_door(room)
    add_window(room, curtains=0.6)
    w, d, _ = room.size
    x, y = w / 2 + dice.uniform(-0.3, 0.3), d / 2 + dice.uniform(-0.3, 0.3)
    turn = 0.0 if w > d else math.pi / 2
    if dice.chance(0.6):
        room.lay(decor.rug(dice, 2.6, 2.0), x, y, turn)
    width, depth = dice.uniform(1.3, 1.9), dice.uniform(0.85, 1.0)
    if dice.chance(0.25):
        width = depth = dice.uniform(1.0, 1.25)
        spot = room.try_at(tables.round_table(dice, style, width), x, y, turn)
    else:
        spot = room.try_at(tables.dining_table(dice, style, width, depth), x, y, turn)
    if spot:
        chairs_around(room, seating.chair, spot, width, depth)
    room.against(storage.sideboard(dice, style))
    room.against(storage.glass_cabinet(dice, style))
    if dice.chance(0.5):
        room.against(decor.plant(dice))
    pictures(room, 1, 4)
    add_ceiling_light(room, "pendant")
    return room


def playroom(dice: Dice) -> Room:
    """Furnish a playroom: foam floor, toy shelves, a small table, bean bags, toys everywhere."""
    style = draw_style(dice, LIGHT_WOODS, BRIGHTS)
    pastel: tuple[Color, ...] = ((0.75, 0.88, 0.95), (0.95, 0.9, 0.7), (0.85, 0.93, 0.78), (0.95, 0.82, 0.82), WHITE)
    room = new_room(
        dice, style, (3.2, 5.0), (3.6, 6.5), floor=("patchwork", "carpet", "planks"), walls=("paint", "paper"),
        colors=pastel,
    )  # fmt: skip
    add_door(room)
    add_window(room, curtains=0.6)
    for _ in range(dice.integer(1, 3)):
        room.against(storage.toy_shelf(dice, style))
    if room.shell[4].texture != "patchwork":
        w, d, _ = room.size
        room.lay(decor.rug(dice, 2.0, 1.6, True), w / 2, d / 2)
    size = dice.uniform(0.65, 0.9)
    spot = room.free(tables.table(dice, style, size, 0.6, 0.5), margin=0.3)
    if spot:
        chairs_around(room, seating.small_chair, spot, size, 0.6)
    for _ in range(dice.integer(0, 2)):
        room.free(seating.bean_bag(dice))
    for _ in range(dice.integer(1, 3)):
        room.hang(decor.poster(dice), dice.uniform(1.0, 1.3))
    litter(room, (clutter.toy, clutter.toy, clutter.toy, clutter.book_stack), 6, 12)
    add_ceiling_light(room, "dome")
    return room


def foyer(dice: Dice) -> Room:
    """Furnish an entrance: stairs or bench, console with mirror, coats, shoes."""
    style = draw_style(dice)
    room = new_room(
        dice, style, (2.4, 3.2), (4.2, 7.5), (2.5, 3.0), ("tiles", "checker", "planks"), ("paint", "paper", "brick")
    )

    long = 0 if room.size[0] > room.size[1] else 1
    add_door(room, 1 - long)
    add_door(room, 3 - long)

    if dice.chance(0.6):
        add_door(room)
    if dice.chance(0.6):
        steps = min(11, int((room.size[2] - 0.3) / 0.18))
        room.against(decor.stairs(dice, room, steps), dice.pick((long, long + 2)))
    if dice.chance(0.4):
        add_window(room, curtains=0.2)

    console = room.against(tables.table(dice, style, dice.uniform(0.8, 1.1), 0.35, 0.8))
    if console:
        x, y = console.at(0, 0)
        room.parts += clutter.table_lamp(dice, style).moved(x, y, 0.8, 0.0)
        room.hang(decor.mirror(dice, room, 0.6, 0.9), 1.1, console.wall, console.along)

    room.against(seating.bench(dice, style))
    room.hang(storage.coat_rack(dice, style), 0.95)
    for _ in range(dice.integer(1, 2)):
        room.against(decor.plant(dice))
    w, d, _ = room.size
    turn = 0.0 if w > d else math.pi / 2
    room.lay(decor.rug(dice, dice.uniform(1.6, 2.6), dice.uniform(0.8, 1.1)), w / 2, d / 2, turn)

    pictures(room, 1, 3)
    litter(room, (clutter.shoes, clutter.shoes, clutter.carton), 2, 4)
    add_ceiling_light(room, dice.pick(("pendant", "dome")))
    return room


def study(dice: Dice) -> Room:
    """Furnish a study in dark wood: walls of books, a desk, a reading chair by a lamp."""
    style = draw_style(dice, DARK_WOODS, ((0.35, 0.2, 0.14), (0.28, 0.16, 0.12), (0.2, 0.28, 0.22), (0.4, 0.15, 0.14)))
    colors: tuple[Color, ...] = ((0.55, 0.5, 0.38), (0.45, 0.5, 0.42), (0.6, 0.45, 0.38), (0.7, 0.64, 0.5))
    room = new_room(dice, style, (3.1, 4.2), (3.4, 4.8), (2.5, 2.9), ("planks", "planks", "carpet"), colors=colors)
    add_door(room)
    add_window(room, curtains=0.7)
    side = dice.integer(0, 3)
    for _ in range(4):
        room.against(
            storage.bookcase(dice, style, dice.uniform(0.9, 1.2), 2.1, 0.96), side if dice.chance(0.6) else None
        )
    w, d, _ = room.size
    room.lay(decor.rug(dice, 2.2, 1.6), w / 2, d / 2, dice.pick((0.0, math.pi / 2)))
    spot = room.against(tables.desk(dice, style, dice.uniform(1.3, 1.6), dice.integer(0, 1)))
    if spot:
        x, y = spot.at(dice.uniform(-0.2, 0.2), 0.7)
        room.try_at(seating.chair(dice, style), x, y, spot.yaw + math.pi + dice.uniform(-0.4, 0.4))
    chair = room.free(seating.sofa(dice, style, 1), margin=0.1)
    if chair:
        decor.floor_lamp(room, room.try_at(decor.lamp_stand(dice), *chair.at(0.75, -0.2), 0.0))
    room.against(storage.chest(dice, style))
    pictures(room, 1, 3)
    litter(room, (clutter.book_stack, clutter.carton, decor.bin_), 1, 3)
    add_ceiling_light(room, "pendant", 0.7)
    return room


def home_office(dice: Dice) -> Room:
    """Furnish a home office: desk with screens, office chair, shelves, plants, a daybed now and then."""
    style = draw_style(dice)
    room = new_room(dice, style, (2.8, 3.7), (3.1, 4.2), floor=("carpet", "planks"), colors=PAINTS)
    add_door(room)
    add_window(room, curtains=0.4)
    for _ in range(dice.integer(1, 2)):
        spot = room.against(tables.desk(dice, style, dice.uniform(1.3, 1.7), dice.integer(1, 2)), tries=25)
        if spot:
            x, y = spot.at(dice.uniform(-0.2, 0.2), 0.75)
            room.try_at(seating.office_chair(dice, style), x, y, spot.yaw + math.pi + dice.uniform(-0.8, 0.8))
            if dice.chance(0.6):
                room.hang(storage.shelf_board(dice, style), 1.5, spot.wall, spot.along)
    room.against(storage.bookcase(dice, style, dice.uniform(0.7, 1.0), dice.uniform(1.2, 2.0), 0.7))
    room.against(storage.filing_cabinet(dice, style))
    if dice.chance(0.35):
        room.against(seating.sofa(dice, style, 2))
    room.against(decor.plant(dice))
    room.hang(decor.poster(dice), 1.2)
    pictures(room, 0, 2)
    litter(room, (decor.bin_, clutter.carton, clutter.book_stack), 1, 3)
    add_ceiling_light(room, "dome")
    return room
