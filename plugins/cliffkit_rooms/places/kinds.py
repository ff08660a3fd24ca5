"""The scene types, in the order of their numbers, and the function that furnishes each."""

from __future__ import annotations

from collections.abc import Callable

from cliffkit_rooms.places import homes, wetrooms, workplaces
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.layout import Room

BUILDERS: tuple[Callable[[Dice], Room], ...] = (
    wetrooms.bathroom,
    homes.bedroom,
    workplaces.bookstore,
    workplaces.classroom,
    workplaces.conference_room,
    homes.dining_room,
    homes.foyer,
    homes.home_office,
    wetrooms.kitchen,
    wetrooms.laundry_room,
    homes.living_room,
    workplaces.office,
    homes.playroom,
    workplaces.student_lounge,
    homes.study,
)
SCENE_TYPES: tuple[str, ...] = tuple(builder.__name__ for builder in BUILDERS)
"""Named as NYU-Depth V2 names its scenes."""


def build_room(kind: int, dice: Dice) -> Room:
    """Build a furnished room of scene type `kind`."""
    return BUILDERS[kind](dice)
