"""What each pixel shows: place, normal, albedo and finish, gathered from the surface that its ray met."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit_rooms.image import details, textures
from cliffkit_rooms.image.raycast import SHELL, Solids
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.parts import BALL, BOX, TUBE

Array = NDArray[np.floating]
Ints = NDArray[np.int32]

TEXTURES: dict[str, textures.Texture] = {
    f.__name__: f
    for f in (
        textures.plain, textures.wood, textures.planks, textures.tiles, textures.checker, textures.patchwork,
        textures.carpet, textures.stripes, textures.checks, textures.brick, textures.granite, textures.ceiling,
        details.books, details.panel, details.picture, details.poster, details.outdoors, details.blinds,
        details.scribble, details.screen, details.rug, details.folds,
    )
}  # fmt: skip
_NAMES = {name: number for number, name in enumerate(TEXTURES)}
_SHELL_AXIS = np.array([0, 0, 1, 1, 2, 2], np.int32)
_SHELL_SIGN = np.array([1, -1, 1, -1, 1, -1], np.float32)


class Surface(NamedTuple):
    """n pixels' surfaces."""

    point: Array
    """(3, n) in the room."""
    normal: Array
    """(3, n), unit length, towards the camera's side."""
    albedo: Array
    """(3, n), linear."""
    gloss: Array
    glow: Array
    facing: Array
    """Cosine between the normal and the direction to the camera."""


def _geometry(room: Room, solids: Solids, seen: Ints, point: Array) -> tuple[Array, Array, Ints]:
    """Give places in the parts' own axes (3, n), normals (3, n), and the axes that these are nearest to (n,)."""
    w, d, h = room.size
    shell = np.array([[0, w, w / 2, w / 2, w / 2, w / 2], [d / 2, d / 2, 0, d, d / 2, d / 2], [h / 2] * 4 + [0, h]])
    centre = np.concatenate([shell.astype(np.float32), solids.centre], axis=1)
    half = np.concatenate([np.full((3, SHELL), 1, np.float32), solids.half], axis=1)
    cos = np.concatenate([np.ones(SHELL, np.float32), solids.cos])
    sin = np.concatenate([np.zeros(SHELL, np.float32), solids.sin])
    shape = np.concatenate([np.full(SHELL, -1, np.int32), solids.shape])
    soft = np.array([False] * SHELL + [part.material.soft for part in room.parts])

    local = point - centre.take(seen, axis=1)
    c, s = cos.take(seen), sin.take(seen)
    local[0], local[1] = c * local[0] + s * local[1], c * local[1] - s * local[0]
    inverse = (1 / half).take(seen, axis=1)
    unit = local * inverse
    size = np.abs(unit)
    axis = np.where(size[0] > size[1], 0, 1).astype(np.int32)
    axis[size[2] > np.maximum(size[0], size[1])] = 2
    kind = shape.take(seen)
    walls = np.flatnonzero(kind < 0)
    axis[walls] = _SHELL_AXIS[seen[walls]]
    normal = np.zeros_like(point)
    columns = np.arange(seen.size)
    normal[axis, columns] = np.sign(unit[axis, columns])
    normal[axis[walls], walls] = _SHELL_SIGN[seen[walls]]

    rounded = np.flatnonzero((kind == BOX) & soft.take(seen))
    normal[:, rounded] = unit[:, rounded] ** 5 * inverse[:, rounded] ** 0.5
    balls = np.flatnonzero(kind == BALL)
    normal[:, balls] = unit[:, balls] * inverse[:, balls]
    sides = np.flatnonzero((kind == TUBE) & (size[2] < 0.998))
    normal[:2, sides] = unit[:2, sides] * inverse[:2, sides]
    normal[2, sides] = 0
    caps = np.flatnonzero((kind == TUBE) & (size[2] >= 0.998))
    axis[caps] = 2
    normal[:2, caps], normal[2, caps] = 0, np.sign(unit[2, caps])
    bent = np.concatenate([rounded, balls, sides])
    normal[:, bent] /= np.sqrt((normal[:, bent] ** 2).sum(axis=0) + 1e-12)
    turned = np.flatnonzero(s != 0)
    nx, ny = normal[0, turned], normal[1, turned]
    normal[0, turned], normal[1, turned] = c[turned] * nx - s[turned] * ny, s[turned] * nx + c[turned] * ny
    return local, normal, axis


def gather(room: Room, solids: Solids, seen: Ints, depth: Array, rays: Array, origin: Array, focal: float) -> Surface:
    """Gather the surfaces behind all pixels; `seen` and `depth` flat (n,), `rays` (3, n)."""
    point = rays * depth + origin[:, None]
    local, normal, axis = _geometry(room, solids, seen, point)
    length = np.sqrt((rays * rays).sum(axis=0))
    facing = np.clip(-(normal * rays).sum(axis=0) / length, 0.02, 1)
    foot = depth / np.float32(focal) / np.maximum(facing, np.float32(0.12)) ** np.float32(0.7)

    materials = [*room.shell, *(part.material for part in room.parts)]
    color = np.array([m.color for m in materials], np.float32).T ** np.float32(2.2)
    second = np.array([m.second for m in materials], np.float32).T ** np.float32(2.2)
    rest = np.array([(m.scale, m.gloss, m.glow, _NAMES[m.texture]) for m in materials], np.float32).T

    w, d, h = room.size
    shell = np.array([[w / 2] * SHELL, [d / 2] * SHELL, [h / 2] * SHELL], np.float32)
    half = np.concatenate([shell, solids.half], axis=1)
    numbers = rest[3].astype(np.int32).take(seen)
    albedo = np.empty_like(point)

    for name, number in _NAMES.items():
        i = np.flatnonzero(numbers == number)
        if not i.size:
            continue
        k, a = seen[i], axis[i]
        first = (a == 0).astype(np.int32)
        other = np.where(a == 2, 1, 2)
        patch = textures.Patch(
            local[first, i], local[other, i], half[first, k], half[other, k], foot[i],
            color.take(k, axis=1), second.take(k, axis=1), rest[0][k], k * 13 + a,
        )  # fmt: skip
        albedo[:, i] = TEXTURES[name](patch)

    np.clip(albedo, 0.01, 0.95, out=albedo)
    return Surface(point, normal, albedo, rest[1].take(seen), rest[2].take(seen), facing)
