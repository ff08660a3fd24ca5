"""Soft shadows: how much of a light reaches a point past the room's parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.image.raycast import Solids, inverted, span
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.parts import BOX, Light

Array = NDArray[np.floating]


def casters(room: Room, solids: Solids) -> NDArray[np.int64]:
    """Choose the parts worth a shadow: not lamps, not flat things on walls and floors, not crumbs."""
    glows = np.array([part.material.glow > 0 for part in room.parts], bool)
    low, mid, high = np.sort(solids.half, axis=0) * 2
    return np.flatnonzero(~glows & (mid > 0.025) & (high > 0.12) & ((low > 0.012) | (solids.centre[2] > 0.2)))


def visible(light: Light, d: Array, solids: Solids, which: NDArray[np.int64]) -> Array:
    """Give the share of a light that reaches points at offsets d (3, n): softer the shorter the way through a caster.

    Points are sorted by direction, so that each caster is tried only on the run of points in its own sector, and of
    those only on the ones whose direction across it meets the caster too.
    """
    n = d.shape[1]
    side, other = (axis for axis in range(3) if axis != light.axis)
    ahead = np.maximum(d[light.axis] * light.sign, np.float32(0.05))
    ratio = d[side] / ahead

    order = np.argsort(ratio)
    ratio, across, d = ratio[order], (d[other] / ahead)[order], d.take(order, axis=1)
    start, end, low, high = _sectors(light, solids, which, ratio)

    inv = inverted(d)
    length = np.sqrt((d * d).sum(axis=0))
    stop = 1 - np.float32(0.012) / length
    halves = solids.half[:, which] * np.where(solids.shape[which] == BOX, np.float32(1), np.float32(0.85))
    offset = solids.centre[:, which] - np.array(light.position, np.float32)[:, None]
    depths = np.minimum(0.12, 2 * halves.min(axis=0).astype(np.float64) + 0.02).astype(np.float32)

    light_share = np.ones(n, np.float32)
    for j, k in enumerate(which):
        if start[j] >= end[j]:
            continue
        run = slice(start[j], end[j])
        met = np.flatnonzero((across[run] > low[j]) & (across[run] < high[j]))
        if not met.size:
            continue
        met += start[j]

        turn = solids.cos[k], solids.sin[k]
        through = _through(d, inv, stop.take(met), met, (offset[:, j], halves[:, j], turn))
        hit = np.flatnonzero(through > 0)
        if hit.size:
            met = met.take(hit)
            chord = through.take(hit) * length.take(met)
            light_share[met] *= np.maximum(1 - chord / depths[j], 0)

    result = np.empty(n, np.float32)
    result[order] = light_share
    return result


def _sectors(light: Light, solids: Solids, which: NDArray[np.int64], ratio: Array) -> tuple[Array, Array, Array, Array]:
    """For each caster: first and last of the sorted points that its corners span, and the slants that they span."""
    side, other = (axis for axis in range(3) if axis != light.axis)
    corners = solids.corners[which] - np.array(light.position)
    reach = corners[..., light.axis] * light.sign
    slopes, slants = corners[..., side] / np.maximum(reach, 0.05), corners[..., other] / np.maximum(reach, 0.05)
    low, high = slants.min(axis=1) - 1e-3, slants.max(axis=1) + 1e-3

    start = np.searchsorted(ratio, slopes.min(axis=1))
    end = np.searchsorted(ratio, slopes.max(axis=1))
    beside = reach.min(axis=1) < 0.06  # a caster beside the light may shade any point
    start[beside], end[beside], low[beside], high[beside] = 0, len(ratio), -np.inf, np.inf
    end[reach.max(axis=1) < 0.06] = 0
    return start, end, low, high


def _through(d: Array, inv: Array, stop: Array, met: NDArray[np.int64], caster: tuple[Array, Array, Any]) -> Array:
    """Share of the way to the light that leads through a caster, for points `met`; below 0 where it passes by."""
    (x, y, z), half, (cos, sin) = caster
    if sin == 0:
        ix, iy = inv[0].take(met), inv[1].take(met)
    else:
        a, b = d[0].take(met), d[1].take(met)
        ix, iy = inverted(cos * a + sin * b), inverted(cos * b - sin * a)
        x, y = cos * x + sin * y, cos * y - sin * x
    iz = inv[2].take(met)

    near, far = np.zeros(met.size, np.float32), stop
    for centre, extent, inverse in ((x, half[0], ix), (y, half[1], iy), (z, half[2], iz)):
        span(near, far, centre, extent, inverse, np.abs(inverse))
    far -= near
    return far
