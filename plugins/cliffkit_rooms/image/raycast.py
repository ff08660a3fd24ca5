"""Ray casting in numpy: every part is tried only in the rectangle of pixels that its corners span."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.image.camera import Camera
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.parts import BALL, BOX, Part

Array = NDArray[np.floating]
Ints = NDArray[np.int32]

SHELL = 6
"""Surfaces 0 to 5 are the room's own faces, in the order of `Room.shell`; parts follow."""
NEAR = 0.02
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)


class Solids(NamedTuple):
    """A room's parts as columns, N of them."""

    shape: Ints
    centre: Array
    """(3, N)."""
    half: Array
    """(3, N)."""
    cos: Array
    sin: Array
    corners: NDArray[np.float64]
    """(N, 8, 3) of the bounding boxes, in the room."""


def pack(parts: list[Part]) -> Solids:
    """Pack parts into columns; boxes turned by a right angle become straight ones."""
    table = np.array([part[:8] for part in parts], np.float64).reshape(-1, 8).T
    half, yaw = table[4:7].copy(), table[7]
    quarter = np.rint(yaw / (np.pi / 2))
    straight = np.abs(yaw - quarter * (np.pi / 2)) < 1e-4
    swap = straight & (quarter % 2 == 1)
    half[:2, swap] = half[1::-1, swap]
    cos, sin = np.where(straight, 1.0, np.cos(yaw)), np.where(straight, 0.0, np.sin(yaw))
    local = _CORNERS[None] * half.T[:, None]
    x = cos[:, None] * local[..., 0] - sin[:, None] * local[..., 1]
    y = sin[:, None] * local[..., 0] + cos[:, None] * local[..., 1]
    corners = np.stack([x, y, local[..., 2]], axis=-1) + table[1:4].T[:, None]
    return Solids(
        table[0].astype(np.int32),
        table[1:4].astype(np.float32),
        half.astype(np.float32),
        cos.astype(np.float32),
        sin.astype(np.float32),
        corners,
    )


def span(near: Array, far: Array, centre: float, half: float, inverse: Array, size: Array) -> None:
    """Narrow [near, far] along rays to one slab; `inverse` is 1 / direction, `size` its magnitude. In place."""
    middle = inverse * centre
    reach = size * half
    np.maximum(near, middle - reach, out=near)
    np.minimum(far, middle + reach, out=far)


def inverted(direction: Array) -> Array:
    """Divide 1 by the direction, finite where the direction is 0."""
    return np.float32(1) / np.where(np.abs(direction) < 1e-6, np.float32(1e-6), direction)


def _box(d: Array, inv: Array, size: Array, offset: Array, half: Array, cos: float, sin: float) -> Array:
    """Give the entry depth of rays into a box at `offset` from their origin; inf where they miss."""
    x, y, z = offset
    if sin == 0:
        ix, iy, sx, sy = inv[0], inv[1], size[0], size[1]
    else:
        ix, iy = inverted(cos * d[0] + sin * d[1]), inverted(cos * d[1] - sin * d[0])
        sx, sy = np.abs(ix), np.abs(iy)
        x, y = cos * x + sin * y, cos * y - sin * x
    near: Array = inv[2] * z
    reach = size[2] * half[2]
    far = near + reach
    near -= reach
    span(near, far, x, half[0], ix, sx)
    span(near, far, y, half[1], iy, sy)
    near[near >= far] = np.inf
    return near


def _round(d: Array, offset: Array, half: Array, cos: float, sin: float, ball: bool) -> Array:
    """Give the entry depth of rays into an ellipsoid or an upright cylinder; inf where they miss."""
    x, y, z = offset
    dx, dy = (cos * d[0] + sin * d[1]) / half[0], (cos * d[1] - sin * d[0]) / half[1]
    ox, oy, oz = -(cos * x + sin * y) / half[0], -(cos * y - sin * x) / half[1], -z / half[2]
    dz = d[2] / half[2]
    a, b, c = dx * dx + dy * dy, dx * ox + dy * oy, ox * ox + oy * oy - 1
    if ball:
        a, b, c = a + dz * dz, b + dz * oz, c + oz * oz
    root = b * b - a * c
    hit = root > 0
    root = np.sqrt(np.where(hit, root, np.float32(0)))
    near = (-b - root) / a
    if not ball:
        far = (root - b) / a
        inverse = inverted(dz)
        span(near, far, -oz, 1, inverse, np.abs(inverse))
        hit &= near < far
    return np.where(hit, near, np.float32(np.inf))


def windows(solids: Solids, camera: Camera) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give pixel rectangles (N, 4: top, bottom, left, right) that parts may cover, and their nearest depth (N,)."""
    relative = solids.corners - np.array(camera.position)
    seen = (relative[..., None] * camera.rotation).sum(axis=-2)
    z = np.maximum(seen[..., 2], 1e-3)
    u = seen[..., 0] / z * camera.focal + (camera.width - 1) / 2
    v = seen[..., 1] / z * camera.focal + (camera.height - 1) / 2
    nearest = seen[..., 2].min(axis=1)
    crosses = (nearest < 0.05) & (seen[..., 2].max(axis=1) > 0.05)
    box = np.stack([np.ceil(v.min(1)), np.floor(v.max(1)) + 1, np.ceil(u.min(1)), np.floor(u.max(1)) + 1], axis=1)
    box[crosses] = [0, camera.height, 0, camera.width]
    box[seen[..., 2].max(axis=1) <= 0.05] = 0
    top = np.array([camera.height, camera.height, camera.width, camera.width], np.float64)
    return np.clip(box, 0, top).astype(np.int64), nearest


def trace(room: Room, solids: Solids, camera: Camera) -> tuple[Array, Ints, Array]:
    """Trace every pixel: z-depth (H, W), the surface that it sees (H, W), and the rays (3, H, W)."""
    rays = camera.rays()
    inv = inverted(rays)
    size = np.abs(inv)
    origin = np.array(camera.position, np.float32)
    depth = np.full(rays.shape[1:], np.inf, np.float32)
    seen = np.zeros(rays.shape[1:], np.int32)

    # from inside, a ray leaves the room through the nearest of three planes
    for axis, face in ((0, 0), (1, 2), (2, 4)):
        wall = np.where(rays[axis] > 0, np.float32(room.size[axis]), np.float32(0))
        t = (wall - origin[axis]) * inv[axis]
        nearer = t < depth
        np.copyto(depth, t, where=nearer)
        np.copyto(seen, np.where(rays[axis] > 0, face + 1, face), where=nearer, casting="same_kind")

    areas, nearest = windows(solids, camera)
    offset = solids.centre - origin[:, None]

    # nearest parts first, so that parts behind them can be passed over
    for k in np.argsort(nearest, kind="stable"):
        top, bottom, left, right = areas[k]
        if top >= bottom or left >= right:
            continue
        pane = (slice(top, bottom), slice(left, right))
        best = depth[pane]
        if nearest[k] > 0.05 and nearest[k] > best.max():
            continue
        d, h, cos, sin = rays[:, pane[0], pane[1]], solids.half[:, k], solids.cos[k], solids.sin[k]
        if solids.shape[k] == BOX:
            t = _box(d, inv[:, pane[0], pane[1]], size[:, pane[0], pane[1]], offset[:, k], h, cos, sin)
        else:
            t = _round(d, offset[:, k], h, cos, sin, solids.shape[k] == BALL)
        nearer = (t < best) & (t > NEAR)
        np.copyto(best, t, where=nearer)
        seen[pane][nearer] = k + SHELL
    return depth, seen, rays
