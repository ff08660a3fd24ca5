"""Light that comes straight from lamps, windows and the sun, and the radiance that all light makes of surfaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.image.ambient import bounced, crowding, mirrored
from cliffkit_rooms.image.raycast import Solids
from cliffkit_rooms.image.shadows import casters, visible
from cliffkit_rooms.image.surface import Surface
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.parts import Light

Array = NDArray[np.floating]


def direct(room: Room, solids: Solids, surface: Surface, eye: Array) -> tuple[Array, Array]:
    """Give the light (3, n) straight from the lamps on matt surfaces, and the glint (3, n) on polished ones."""
    n = surface.gloss.size
    matt, glint = np.zeros((3, n), np.float32), np.zeros((3, n), np.float32)
    which = casters(room, solids)

    shiny = np.flatnonzero(surface.gloss > 0.05)
    gloss = np.minimum(surface.gloss.take(shiny), 1)
    power_of_gloss = 12 + 60 * gloss
    normal = surface.normal.take(shiny, axis=1)
    to_eye = eye[:, None] - surface.point.take(shiny, axis=1)
    to_eye /= np.sqrt((to_eye * to_eye).sum(axis=0))
    shine = np.zeros_like(to_eye)

    for light in room.lights:
        d = surface.point - np.array(light.position, np.float32)[:, None]
        square = (d * d).sum(axis=0)
        length = np.sqrt(square)
        cosine = -(d * surface.normal).sum(axis=0) / length
        strength = np.maximum(cosine, 0) / (square + np.float32(0.35))
        if light.flat:
            strength *= np.clip(d[light.axis] * light.sign / length, 0, 1)
        lit = np.flatnonzero(strength > 0.002)
        if light.shadows and lit.size:
            strength[lit] *= visible(light, d.take(lit, axis=1), solids, which)
        power = np.array(light.power, np.float32)[:, None]
        matt += power * strength
        # Blinn-Phong's highlight, on polished pixels alone
        middle = to_eye - d.take(shiny, axis=1) / length.take(shiny)
        middle /= np.sqrt((middle * middle).sum(axis=0)) + np.float32(1e-6)
        cosine = np.clip((middle * normal).sum(axis=0), 0, 1)
        shine += power * (strength.take(shiny) * gloss * cosine**power_of_gloss)

    glint[:, shiny] = shine
    return matt, glint


def sunshine(room: Room, solids: Solids, surface: Surface) -> Array:
    """Give the sun's light (n,) through the window of `room.sun`: a patch with the shadows of the bars."""
    assert room.sun is not None
    wall, (left, bottom, right, top), towards = room.sun
    axis, sign = ((1, 1.0), (0, -1.0), (1, -1.0), (0, 1.0))[wall]
    along, out = np.array(room.on_wall(wall, 0.0, 0.0)), np.array(room.on_wall(wall, 1.0, 0.0))
    run = out - along
    way = (np.float32(along[axis]) - surface.point[axis]) / np.float32(towards[axis])
    hit = [surface.point[k] + way * np.float32(towards[k]) for k in range(3)]
    place = (hit[0] - np.float32(along[0])) * np.float32(run[0]) + (hit[1] - np.float32(along[1])) * np.float32(run[1])
    strength: Array = np.maximum((surface.normal * np.array(towards, np.float32)[:, None]).sum(axis=0), 0)
    strength *= (place > left) & (place < right) & (hit[2] > bottom) & (hit[2] < top)
    lit = np.flatnonzero(strength)
    if lit.size:
        x, y = room.on_wall(wall, (left + right) / 2, 0.0)
        far = (x + 30 * towards[0], y + 30 * towards[1], (bottom + top) / 2 + 30 * towards[2])
        d = surface.point.take(lit, axis=1) - np.array(far, np.float32)[:, None]
        light = Light(far, axis, sign, (1, 1, 1), True)
        strength[lit] *= visible(light, d, solids, casters(room, solids))
    return strength


def shade(room: Room, solids: Solids, surface: Surface, eye: Array) -> Array:
    """Give the radiance (3, n) towards the camera, in arbitrary units."""
    matt, glint = direct(room, solids, surface, eye)
    power = np.array([light.power for light in room.lights], np.float32).sum(axis=0)
    if room.sun is not None:
        matt += np.array([[2.3], [2.1], [1.8]], np.float32) * sunshine(room, solids, surface)
        power = power + np.float32(1.0)
    clear = np.clip(np.float32(1.12) - np.float32(1.35) * crowding(room, solids, surface), 0.1, 1)
    light = matt * (0.4 + 0.6 * clear) + bounced(room, surface, power) * clear
    radiance: Array = surface.albedo * light + 0.6 * glint
    mirror = np.flatnonzero(surface.gloss > 1.5)
    radiance[:, mirror] = mirrored(room, surface, mirror, eye, power)
    return radiance + surface.albedo * surface.glow
