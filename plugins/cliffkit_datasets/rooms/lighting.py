"""Light: lamps and windows with soft shadows, light from the sky of the room dimmed in corners and under furniture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .layout import Room
from .raycast import Solids, inverted, span
from .scene import BOX, Light
from .surface import Surface

Array = NDArray[np.float32]

CELL = 0.125
_PAD = 3


def casters(room: Room, solids: Solids) -> NDArray[np.int64]:
    """The parts worth a shadow: not lamps, not flat things on walls and floors, not crumbs."""
    glows = np.array([part.material.glow > 0 for part in room.parts], bool)
    low, mid, high = np.sort(solids.half, axis=0) * 2
    return np.flatnonzero(~glows & (mid > 0.025) & (high > 0.12) & ((low > 0.012) | (solids.centre[2] > 0.2)))


def _visible(light: Light, d: Array, solids: Solids, which: NDArray[np.int64]) -> Array:
    """Share of a light that reaches points at offsets d (3, n) from it: softer the shorter the way through a caster.

    Points are sorted by direction, so that each caster is tried only on the run of points in its own sector.
    """
    n = d.shape[1]
    ahead = d[light.axis] * light.sign
    side = 0 if light.axis != 0 else 1
    ratio = d[side] / np.maximum(ahead, 0.05)
    order = np.argsort(ratio)
    ratio, d = ratio[order], d[:, order]
    inv = inverted(d)
    size = np.abs(inv)
    length = np.sqrt((d * d).sum(axis=0))
    stop = 1 - np.float32(0.012) / length
    offset = solids.centre[:, which] - np.array(light.position, np.float32)[:, None]
    corners = solids.corners[which] - np.array(light.position)
    reach = corners[..., light.axis] * light.sign
    slopes = corners[..., side] / np.maximum(reach, 0.05)
    start = np.searchsorted(ratio, slopes.min(axis=1))
    end = np.searchsorted(ratio, slopes.max(axis=1))
    across = reach.min(axis=1) < 0.06
    start[across], end[across] = 0, n
    end[reach.max(axis=1) < 0.06] = 0
    light_share = np.ones(n, np.float32)
    for j, k in enumerate(which):
        run = slice(start[j], end[j])
        if start[j] >= end[j]:
            continue
        x, y, z = offset[:, j]
        half = solids.half[:, k] if solids.shape[k] == BOX else solids.half[:, k] * np.float32(0.85)
        cos, sin = solids.cos[k], solids.sin[k]
        if sin == 0:
            ix, iy, sx, sy = inv[0, run], inv[1, run], size[0, run], size[1, run]
        else:
            a, b = d[0, run], d[1, run]
            ix, iy = inverted(cos * a + sin * b), inverted(cos * b - sin * a)
            sx, sy = np.abs(ix), np.abs(iy)
            x, y = cos * x + sin * y, cos * y - sin * x
        near = np.zeros(end[j] - start[j], np.float32)
        far = stop[run].copy()
        span(near, far, x, half[0], ix, sx)
        span(near, far, y, half[1], iy, sy)
        span(near, far, z, half[2], inv[2, run], size[2, run])
        chord = (far - near) * length[run]
        light_share[run] *= np.clip(1 - chord / min(0.12, 2 * float(half.min()) + 0.02), 0, 1)
    result = np.empty(n, np.float32)
    result[order] = light_share
    return result


def direct(room: Room, solids: Solids, surface: Surface, eye: Array) -> tuple[Array, Array]:
    """Light (3, n) that falls on matt surfaces straight from the lamps, and the glint (3, n) on polished ones."""
    n = surface.gloss.size
    matt, glint = np.zeros((3, n), np.float32), np.zeros((3, n), np.float32)
    which = casters(room, solids)
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
            strength[lit] *= _visible(light, d[:, lit], solids, which)
        power = np.array(light.power, np.float32)[:, None]
        matt += power * strength
        shiny = np.flatnonzero((surface.gloss > 0.05) & (strength > 0))
        if shiny.size:
            to_eye = eye[:, None] - surface.point[:, shiny]
            to_eye /= np.sqrt((to_eye * to_eye).sum(axis=0))
            middle = to_eye - d[:, shiny] / length[shiny]
            middle /= np.sqrt((middle * middle).sum(axis=0)) + np.float32(1e-6)
            cosine = np.clip((middle * surface.normal[:, shiny]).sum(axis=0), 0, 1)
            gloss = np.minimum(surface.gloss[shiny], 1)
            glint[:, shiny] += power * (strength[shiny] * gloss * cosine ** (12 + 60 * gloss))
    return matt, glint


def crowding(room: Room, solids: Solids, surface: Surface) -> Array:
    """How much of the space just before each surface is filled, 0 to 1: corners and the floor under tables."""
    cells = [int(np.ceil(s / CELL)) + 2 * _PAD for s in room.size]
    full = np.ones(cells, np.float32)
    full[_PAD:-_PAD, _PAD:-_PAD, _PAD:-_PAD] = 0
    low = np.rint(solids.corners.min(axis=1) / CELL).astype(int) + _PAD
    high = np.maximum(np.rint(solids.corners.max(axis=1) / CELL).astype(int) + _PAD, low + 1)
    for k in np.flatnonzero(np.sort(solids.half, axis=0)[1] > 0.04):
        full[low[k, 0] : high[k, 0], low[k, 1] : high[k, 1], low[k, 2] : high[k, 2]] = 1
    for axis in range(3):
        for _ in range(2):
            wide = full.copy()
            view, out = np.moveaxis(full, axis, 0), np.moveaxis(wide, axis, 0)
            out[1:-1] = (view[:-2] + view[1:-1] + view[2:]) * np.float32(1 / 3)
            full = wide
    spot = (surface.point + surface.normal * np.float32(0.22)) * np.float32(1 / CELL) + np.float32(_PAD - 0.5)
    for axis in range(3):
        np.clip(spot[axis], 0, cells[axis] - 1.001, out=spot[axis])
    base = spot.astype(np.int32)
    frac = spot - base
    sy, sz = cells[2], 1
    sx = cells[1] * cells[2]
    flat = full.ravel()
    index = base[0] * sx + base[1] * sy + base[2]
    filled = np.zeros(index.size, np.float32)
    for i in (0, 1):
        wx = frac[0] if i else 1 - frac[0]
        for j in (0, 1):
            wy = wx * (frac[1] if j else 1 - frac[1])
            at = flat.take(index + (i * sx + j * sy)), flat.take(index + (i * sx + j * sy + sz))
            filled += wy * (at[0] + frac[2] * (at[1] - at[0]))
    return filled


def shade(room: Room, solids: Solids, surface: Surface, eye: Array) -> Array:
    """Radiance (3, n) towards the camera, in arbitrary units."""
    matt, glint = direct(room, solids, surface, eye)
    total = np.array([light.power for light in room.lights], np.float32).sum(axis=0)
    w, d, h = room.size
    area = 2 * (w * d + w * h + d * h)
    tones = [np.array(m.color, np.float32) ** np.float32(2.2) for m in room.shell]
    wall, floor, top = sum(tones[:4]) / 4, tones[4], tones[5]
    bounced = total * np.float32(3.0 / area)
    up = surface.normal[2]
    sky = np.where(up > 0, 0.5 * up, 0)[None] * top[:, None] + np.where(up < 0, -0.7 * up, 0)[None] * floor[:, None]
    sky += (1 - 0.4 * np.abs(up))[None] * (0.6 * wall + 0.25)[:, None]
    open_ = np.clip(1.12 - 1.25 * crowding(room, solids, surface), 0.12, 1)
    light = matt * (0.45 + 0.55 * open_) + bounced[:, None] * sky * open_
    radiance = surface.albedo * light + 0.6 * glint
    mirror = np.flatnonzero(surface.gloss > 1.5)
    radiance[:, mirror] = _mirrored(room, surface, mirror, eye, tones, bounced)
    return radiance + surface.albedo * surface.glow


def _mirrored(room: Room, surface: Surface, i: NDArray[np.int64], eye: Array, tones: list[Array], light: Array) -> Array:
    """What a mirror shows: the empty room, walls lit evenly and darker towards their edges."""
    point, normal = surface.point[:, i], surface.normal[:, i]
    view = point - eye[:, None]
    view = view - 2 * (view * normal).sum(axis=0) * normal
    size = np.array(room.size, np.float32)[:, None]
    t = (np.where(view > 0, size, 0) - point) * inverted(view)
    axis = t.argmin(axis=0)
    columns = np.arange(i.size)
    hit = point + view * t[axis, columns]
    face = axis * 2 + (view[axis, columns] > 0)
    edge = np.sort(np.minimum(hit, size - hit), axis=0)[1]
    return np.stack(tones, axis=1)[:, face] * light[:, None] * (1.2 - 0.6 * np.exp(-edge / 0.4)) * np.float32(1.3)
