"""Rooms of work, learning and trade, by type."""

from __future__ import annotations

import math

from cliffkit_rooms.furniture import clutter, decor, seating, storage, tables
from cliffkit_rooms.places.arrange import chairs_around, litter
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.lamps import add_ceiling_light
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.materials import FABRICS, STEEL, WHITE, cloth, draw_style, plain
from cliffkit_rooms.scene.openings import add_door, add_window
from cliffkit_rooms.scene.parts import Color, Piece
from cliffkit_rooms.scene.shell import add_block, new_room

OFFICE: tuple[Color, ...] = ((0.9, 0.9, 0.87), (0.86, 0.87, 0.85), (0.85, 0.82, 0.75), (0.8, 0.84, 0.87))


def office(dice: Dice) -> Room:
    """Furnish an office: desks parted by low screens, swivel chairs, filing cabinets, boards, panel lights."""
    style = draw_style(dice)
    room = new_room(dice, style, (3.6, 6.0), (4.2, 8.5), (2.5, 2.9), ("carpet",), ("paint",), OFFICE, ceiling="panels")
    if dice.chance(0.3):
        add_block(room)
    add_door(room)
    for _ in range(dice.integer(0, 2)):
        add_window(room, curtains=0.05)

    divider = cloth(dice, ((0.5, 0.53, 0.58), (0.6, 0.57, 0.5), (0.4, 0.45, 0.5)))._replace(
        soft=False, texture="carpet"
    )
    for _ in range(dice.integer(3, 5)):
        width = dice.uniform(1.3, 1.6)
        spot = room.against(tables.desk(dice, style, width, dice.integer(1, 2)), tries=20)
        if spot is None:
            continue
        x, y = spot.at(dice.uniform(-0.2, 0.2), 0.8)
        room.try_at(seating.office_chair(dice, style), x, y, spot.yaw + math.pi + dice.uniform(-0.9, 0.9))
        if dice.chance(0.6):
            screen = Piece(0.05, 1.3, 1.35)
            screen.box(0, 0, 0.05, 0.05, 1.3, 1.3, divider)
            side = dice.pick((-1, 1))
            room.try_at(screen, *spot.at(side * (width / 2 + 0.06), 0.25), spot.yaw)

    for _ in range(dice.integer(1, 3)):
        room.against(storage.filing_cabinet(dice, style))
    room.against(storage.bookcase(dice, style, dice.uniform(0.8, 1.0), dice.uniform(1.2, 2.0), 0.7))
    if dice.chance(0.6):
        room.hang(decor.board(dice, dice.uniform(1.2, 1.8), False), 0.95)
    room.hang(decor.poster(dice, FABRICS), 1.2)
    room.hang(decor.clock(dice), 2.0)
    if dice.chance(0.5):
        room.against(decor.plant(dice))

    litter(room, (decor.bin_, clutter.carton), 1, 3)
    add_ceiling_light(room, "panels")
    return room


def classroom(dice: Dice) -> Room:
    """Furnish a classroom: rows of desks and chairs that face a board, a teacher's desk, posters."""
    style = draw_style(dice, woods=((0.8, 0.68, 0.5), (0.7, 0.55, 0.38), (0.75, 0.72, 0.66)))
    room = new_room(
        dice, style, (5.0, 7.0), (6.0, 9.0), (2.7, 3.1), ("vinyl", "vinyl", "tiles", "carpet"), ("paint",), OFFICE,
        ceiling="panels",
    )  # fmt: skip

    front = dice.integer(0, 3)
    width = min(3.6, room.length(front) - 1.6)
    room.hang(decor.board(dice, width, dice.chance(0.4)), 0.9, front, room.length(front) / 2)
    room.hang(decor.clock(dice), 2.3)
    add_door(room, (front + dice.pick((1, 3))) % 4)
    for _ in range(3):
        add_window(room, (front + 1) % 4 if dice.chance(0.7) else (front + 3) % 4, curtains=0.15)

    across, away = room.length(front), room.length(front + 1)
    x, y = room.on_wall(front, across * dice.uniform(0.25, 0.75), 1.0)
    turn = front * math.pi / 2
    room.try_at(tables.desk(dice, style, 1.3, dice.integer(0, 1)), x, y, turn)

    columns, rows = max(2, int((across - 1.0) / 1.25)), max(2, int((away - 2.6) / 1.15))
    seat = seating.metal_chair(dice, style)
    for c in range(columns):
        for r in range(rows):
            if dice.chance(0.1):
                continue
            along = across * (c + 0.5) / columns + dice.uniform(-0.05, 0.05)
            out = 2.2 + r * (away - 2.6) / rows + dice.uniform(-0.05, 0.05)
            desk = tables.table(dice, style, 0.7, 0.5, 0.72)
            if dice.chance(0.4):
                desk.put(dice.pick((clutter.papers, clutter.book_stack))(dice), 0, 0, 0.72, dice.uniform(-0.4, 0.4))
            if room.try_at(desk, *room.on_wall(front, along, out), turn + dice.uniform(-0.05, 0.05)):
                wiggle = dice.uniform(-0.25, 0.25)
                room.try_at(seat, *room.on_wall(front, along, out + 0.58), turn + math.pi + wiggle)

    for _ in range(2):
        room.against(storage.bookcase(dice, style, 1.0, dice.uniform(0.9, 1.8), 0.7))
    room.against(decor.radiator(dice))
    for _ in range(dice.integer(2, 5)):
        room.hang(decor.poster(dice), dice.uniform(1.1, 1.5))
    add_ceiling_light(room, "panels", 1.2)
    return room


def bookstore(dice: Dice) -> Room:
    """Furnish a bookstore: shelves along the walls and in rows, tables piled with books, signs."""
    style = draw_style(dice)
    room = new_room(
        dice, style, (5.2, 7.0), (5.4, 9.0), (2.7, 3.1), ("carpet", "planks", "vinyl"), ("paint", "brick"),
        ceiling=dice.pick(("panels", "plain")),
    )  # fmt: skip
    add_door(room)
    if dice.chance(0.5):
        add_window(room, curtains=0.0)

    tall = dice.uniform(1.9, 2.2)
    for side in range(4):
        for k in range(int(room.length(side) / 1.25)):
            shelf = storage.bookcase(dice, style, 1.18, tall, 0.97)
            room.against(shelf, side, 0.75 + 1.22 * k)

    w, d, _ = room.size
    turn = dice.pick((0.0, math.pi / 2))
    low = dice.uniform(1.2, 1.6)
    aisles = 2 if dice.chance(0.6) else 1
    for a in range(aisles):
        for k in range(3):
            step, offset = (a + 1) / (aisles + 1), (k - 1) * 1.2
            x, y = (w / 2 + offset, d * step) if turn == 0 else (w * step, d / 2 + offset)
            if dice.chance(0.8):
                island = Piece(1.15, 0.62, low)
                for yaw, y0 in ((0.0, 0.155), (math.pi, -0.155)):
                    island.put(storage.bookcase(dice, style, 1.15, low, 0.97), 0, y0, 0, yaw)
                room.try_at(island, x, y, turn)

    for _ in range(dice.integer(1, 2)):
        pile = tables.table(dice, style, 1.2, 0.8, 0.75)
        for i in range(4):
            for j in range(2):
                pile.put(clutter.book_stack(dice), (i - 1.5) * 0.28, (j - 0.5) * 0.34, 0.75)
        room.free(pile, margin=0.5, turn=turn)

    for _ in range(3):
        room.hang(decor.poster(dice), min(tall + 0.08, room.size[2] - 0.9))
    litter(room, (clutter.carton, clutter.book_stack, clutter.book_stack), 1, 3)
    add_ceiling_light(room, "panels", 1.1)
    return room


def conference_room(dice: Dice) -> Room:
    """Furnish a conference room: a long table ringed by swivel chairs, a display, a whiteboard, a credenza."""
    style = draw_style(dice)
    room = new_room(dice, style, (3.7, 5.0), (4.8, 8.5), (2.6, 2.9), ("carpet",), ("paint",), OFFICE, ceiling="panels")
    w, d, _ = room.size
    turn = 0.0 if w > d else math.pi / 2
    end = dice.pick((1, 3)) if w > d else dice.pick((0, 2))
    add_door(room)

    screen = Piece(1.5, 0.06, 0.88)
    screen.box(0, 0, 0, 1.5, 0.06, 0.88, plain((0.06, 0.06, 0.07), 0.8))
    room.hang(screen, 1.1, end, room.length(end) / 2)
    room.hang(decor.board(dice, dice.uniform(1.6, 2.4), False), 0.9)
    for _ in range(dice.integer(0, 2)):
        add_window(room, curtains=0.05)

    length, depth = max(w, d) - 2.4, dice.uniform(1.0, 1.25)
    table = tables.table(dice, style, length, depth)
    tables.strew(dice, table, dice.integer(3, 6), (clutter.papers, clutter.mug, clutter.laptop, clutter.bottle))

    spot = room.try_at(table, w / 2, d / 2, turn)
    if spot:
        count = max(2, int(length / 0.75))
        for side in (-1, 1):
            for k in range(count):
                if dice.chance(0.12):
                    continue
                right = (k - (count - 1) / 2) * length / count
                x, y = spot.at(right, side * (depth / 2 + dice.uniform(0.12, 0.3)))
                yaw = turn + (0.0 if side < 0 else math.pi) + dice.uniform(-0.4, 0.4)
                chair = seating.office_chair(dice, style)
                room.parts += chair.moved(x, y, 0.0, yaw)
                room.taken.append((room.footprint(x, y, 0.55, 0.55, yaw), chair.height))

    room.against(storage.sideboard(dice, style))
    room.against(decor.plant(dice))
    room.hang(decor.picture(dice, room), 1.4)
    room.hang(decor.clock(dice), 2.1)
    add_ceiling_light(room, "panels")
    return room


def student_lounge(dice: Dice) -> Room:
    """Furnish a lounge: sofas in groups, round tables with stools, vending machine, notices."""
    style = draw_style(dice)
    room = new_room(
        dice, style, (4.4, 6.5), (5.0, 9.0), (2.6, 3.0), ("vinyl", "carpet", "tiles"), ("paint", "paint", "brick"),
        OFFICE, ceiling="panels",
    )  # fmt: skip
    add_door(room)
    for _ in range(dice.integer(1, 2)):
        add_window(room, curtains=0.1)

    machine = Piece(0.9, 0.75, 1.85)
    machine.box(0, 0, 0, 0.9, 0.75, 1.85, clutter.bright(dice))
    front = plain(WHITE)._replace(texture="books", glow=0.9, gloss=0.6, scale=0.05)
    for k in range(5):
        machine.box(-0.1, 0.375, 0.55 + k * 0.24, 0.6, 0.01, 0.22, front)
    machine.box(0.33, 0.375, 0.8, 0.16, 0.012, 0.5, plain(STEEL, 0.6))
    room.against(machine)

    for _ in range(dice.integer(2, 3)):
        spot = room.against(seating.sofa(dice, style, dice.integer(2, 3)))
        if spot:
            room.try_at(tables.coffee_table(dice, style), *spot.at(0, 1.0), spot.yaw)
    for _ in range(dice.integer(2, 3)):
        width = dice.uniform(0.7, 0.95)
        spot = room.free(tables.round_table(dice, style, width), margin=0.8, tries=20)
        if spot:
            make = dice.pick((seating.metal_chair, seating.metal_chair, seating.chair, seating.stool))
            chairs_around(room, make, spot, width, width)

    for _ in range(dice.integer(1, 2)):
        room.against(decor.plant(dice))
    room.hang(decor.poster(dice, FABRICS), 1.1)
    for _ in range(3):
        room.hang(decor.poster(dice), dice.uniform(1.1, 1.4))
    room.against(decor.bin_(dice))
    add_ceiling_light(room, "panels")
    return room
