"""Light that has bounced: dimmed in corners and under furniture, coloured by walls and floor, seen in mirrors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.image.raycast import Solids, inverted
from cliffkit_rooms.image.surface import Surface
from cliffkit_rooms.scene.layout import Room

Array = NDArray[np.floating]

CELL = 0.125
"""Edge of the voxels in which crowding is counted."""
_PAD = 3
BOUNCE = 2.4
"""Share of the lamps' power, per area of the shell, that comes back from it."""


def crowding(room: Room, solids: Solids, surface: Surface) -> Array:
    """Measure how much of the space just before each surface is filled, 0 to 1: much in corners and under tables."""
    cells = [int(np.ceil(s / CELL)) + 2 * _PAD for s in room.size]
    full = np.ones(cells, np.float32)
    full[_PAD:-_PAD, _PAD:-_PAD, _PAD:-_PAD] = 0

    low = np.rint(solids.corners.min(axis=1) / CELL).astype(int) + _PAD
    high = np.maximum(np.rint(solids.corners.max(axis=1) / CELL).astype(int) + _PAD, low + 1)
    for k in np.flatnonzero(np.sort(solids.half, axis=0)[1] > 0.04):  # sticks and legs crowd nothing
        full[low[k, 0] : high[k, 0], low[k, 1] : high[k, 1], low[k, 2] : high[k, 2]] = 1

    # two box filters an axis: how full the space is around each voxel
    for axis in range(3):
        for _ in range(2):
            wide = full.copy()
            view, out = np.moveaxis(full, axis, 0), np.moveaxis(wide, axis, 0)
            out[1:-1] = (view[:-2] + view[1:-1] + view[2:]) * np.float32(1 / 3)
            full = wide

    # a little before the surface, in voxels
    spot = (surface.point + surface.normal * np.float32(0.22)) * np.float32(1 / CELL) + np.float32(_PAD - 0.5)
    for axis in range(3):
        np.clip(spot[axis], 0, cells[axis] - 1.001, out=spot[axis])
    base = spot.astype(np.int32)
    frac = spot - base
    sy, sz = cells[2], 1
    sx = cells[1] * cells[2]
    flat = full.ravel()
    index = base[0] * sx + base[1] * sy + base[2]

    # trilinear, the last axis at once
    filled = np.zeros(index.size, np.float32)
    for i in (0, 1):
        wx = frac[0] if i else 1 - frac[0]
        for j in (0, 1):
            wy = wx * (frac[1] if j else 1 - frac[1])
            at = flat.take(index + (i * sx + j * sy)), flat.take(index + (i * sx + j * sy + sz))
            filled += wy * (at[0] + frac[2] * (at[1] - at[0]))
    return filled


def shell_tones(room: Room) -> Array:
    """Give the (3, 6) linear colours of the room's faces."""
    return np.array([m.color for m in room.shell], np.float32).T ** np.float32(2.2)


def bounced(room: Room, surface: Surface, power: Array) -> Array:
    """Give the light (3, n) from the room's faces where nothing crowds; `power` (3,) is that of all lamps."""
    w, d, h = room.size
    tones = shell_tones(room)
    wall, floor, top = tones[:, :4].mean(axis=1), tones[:, 4], tones[:, 5]
    up = surface.normal[2]
    sky = np.maximum(up, 0)[None] * (0.5 * top)[:, None] + np.maximum(-up, 0)[None] * (0.7 * floor)[:, None]
    sky += (1 - 0.4 * np.abs(up))[None] * (0.6 * wall + 0.25)[:, None]
    light: Array = sky * (power * np.float32(BOUNCE / 2 / (w * d + w * h + d * h)))[:, None]
    return light


def mirrored(room: Room, surface: Surface, i: NDArray[np.int64], eye: Array, power: Array) -> Array:
    """Give the radiance (3, n) of mirrors: the empty room, walls lit evenly and darker towards their edges."""
    point, normal = surface.point[:, i], surface.normal[:, i]
    view = point - eye[:, None]
    view = view - 2 * (view * normal).sum(axis=0) * normal
    size = np.array(room.size, np.float32)[:, None]
    t = (np.where(view > 0, size, 0) - point) * inverted(view)
    axis = t.argmin(axis=0)
    columns = np.arange(i.size)
    hit = point + view * t[axis, columns]
    face = axis * 2 + (view[axis, columns] > 0)
    w, d, h = room.size
    light = power * np.float32(BOUNCE / 2 / (w * d + w * h + d * h))
    edge = np.sort(np.minimum(hit, size - hit), axis=0)[1]
    tones = shell_tones(room)[:, face]
    shown: Array = tones * light[:, None] * (1.2 - 0.6 * np.exp(-edge / 0.4)) * np.float32(1.3)
    return shown
