"""Soft shadows: how much of a light reaches a point past the room's parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .layout import Room
from .raycast import Solids, inverted, span
from .scene import BOX, Light

Array = NDArray[np.floating]


def casters(room: Room, solids: Solids) -> NDArray[np.int64]:
    """The parts worth a shadow: not lamps, not flat things on walls and floors, not crumbs."""
    glows = np.array([part.material.glow > 0 for part in room.parts], bool)
    low, mid, high = np.sort(solids.half, axis=0) * 2
    return np.flatnonzero(~glows & (mid > 0.025) & (high > 0.12) & ((low > 0.012) | (solids.centre[2] > 0.2)))


def visible(light: Light, d: Array, solids: Solids, which: NDArray[np.int64]) -> Array:
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
