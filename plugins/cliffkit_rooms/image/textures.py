"""Procedural textures: each maps places on a surface to albedo, blurred away where a pixel covers a whole period."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
TILE = 256


class Patch(NamedTuple):
    """Pixels that share a texture. Rows of n: metres from the face's middle, its half sizes, metres per pixel."""

    u: Array
    v: Array
    hu: Array
    hv: Array
    foot: Array
    color: Array
    """(3, n) linear."""
    second: Array
    scale: Array
    seed: NDArray[np.int32]


@lru_cache(maxsize=1)
def noise_tile() -> Array:
    """Make a fixed tileable fractal noise image, flat, zero mean, unit deviation, features of about 4 to 64 cells."""
    white = np.random.default_rng(7).standard_normal((TILE, TILE))
    fy, fx = np.meshgrid(np.fft.fftfreq(TILE), np.fft.rfftfreq(TILE), indexing="ij")
    radius = np.hypot(fx, fy)
    spectrum = np.fft.rfft2(white) * np.exp(-((radius / 0.12) ** 2)) / (radius + 0.015) ** 1.2
    spectrum[0, 0] = 0
    tile = np.fft.irfft2(spectrum, (TILE, TILE))
    unit: Array = (tile / tile.std()).astype(np.float32)
    return unit.ravel()


def noise(x: Array, y: Array, seed: NDArray[np.int32] | np.int32) -> Array:
    """Look up smooth noise at (x, y); one unit is about one feature."""
    i = (x * np.float32(16)).astype(np.int32) + seed * 37
    j = (y * np.float32(16)).astype(np.int32) + seed * 91
    return noise_tile().take(((j & (TILE - 1)) << 8) + (i & (TILE - 1)))


def scatter(i: NDArray[np.int32], j: NDArray[np.int32], seed: NDArray[np.int32]) -> Array:
    """Give each cell (i, j) a number in [0, 1) that looks random."""
    h = (i * np.int32(374761393) + j * np.int32(668265263) + seed * np.int32(362437)).view(np.uint32)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    bits: NDArray[np.uint32] = (h >> np.uint32(8)) & np.uint32(0xFFFF)
    return bits.astype(np.float32) * np.float32(1 / 65536)


def cells(x: Array) -> tuple[NDArray[np.int32], Array]:
    """Split into the integer part and the rest."""
    whole = np.floor(x)
    return whole.astype(np.int32), x - whole


def fade(period: Array | float, foot: Array) -> Array:
    """Fade from 1, where a pixel is small against the period, to 0, where it covers the period."""
    sharp: Array = np.clip(np.float32(1.6) - np.float32(2) * foot / period, 0, 1)
    return sharp


def line(distance: Array, width: float, foot: Array) -> Array:
    """Give the share of a pixel that a line covers, at a distance from its middle."""
    share: Array = np.clip((width / 2 - np.abs(distance)) / foot + np.float32(0.5), 0, 1) * np.minimum(1, width / foot)
    return share


def grid(x: Array, period: Array | float, width: float, foot: Array) -> Array:
    """Give the share of a pixel that is covered by lines repeated along x."""
    return line((x / period - np.rint(x / period)) * period, width, foot)


def mix(p: Patch, amount: Array) -> Array:
    """Mix the two colours, from all of the first at 0 to all of the second at 1."""
    return p.color + (p.second - p.color) * amount


def plain(p: Patch) -> Array:
    """Paint one colour, faintly uneven."""
    return p.color * (1 + np.float32(0.035) * noise(p.u * 1.5, p.v * 1.5, p.seed))


def wood(p: Patch) -> Array:
    """Paint grain along the longer side."""
    tall = p.hv > p.hu
    along, across = np.where(tall, p.v, p.u), np.where(tall, p.u, p.v)
    grain = noise(along * 1.2, across * 14, p.seed) * fade(0.05, p.foot)
    return mix(p, np.clip(0.35 + 0.28 * grain + 0.1 * noise(along * 0.4, across * 2, p.seed), 0, 1))


def planks(p: Patch) -> Array:
    """Paint floor boards, each of its own tone, with dark joints."""
    row, _ = cells(p.v / p.scale)
    shifted = p.u + scatter(row, row, p.seed) * np.float32(1.4)
    board, _ = cells(shifted / np.float32(1.1))
    tone = (scatter(row, board, p.seed) - np.float32(0.5)) * fade(p.scale, p.foot)
    grain = noise(p.u * 1.5, p.v * 16, p.seed + row) * fade(0.04, p.foot)
    joint = np.maximum(grid(p.v, p.scale, 0.006, p.foot), grid(shifted, 1.1, 0.005, p.foot))
    return mix(p, np.clip(0.35 + 0.6 * tone + 0.2 * grain, 0, 1)) * (1 - 0.55 * joint)


def tiles(p: Patch) -> Array:
    """Paint square tiles in the first colour, grout in the second."""
    i, _ = cells(p.u / p.scale + np.float32(0.5))
    j, _ = cells(p.v / p.scale + np.float32(0.5))
    tone = 1 + np.float32(0.12) * (scatter(i, j, p.seed) - np.float32(0.5)) * fade(p.scale, p.foot)
    joint = np.maximum(grid(p.u + p.scale / 2, p.scale, 0.008, p.foot), grid(p.v + p.scale / 2, p.scale, 0.008, p.foot))
    albedo: Array = (p.color * tone) * (1 - joint) + p.second * joint
    return albedo


def checker(p: Patch) -> Array:
    """Paint tiles of the two colours in turn."""
    i, _ = cells(p.u / p.scale)
    j, _ = cells(p.v / p.scale)
    odd = ((i + j) & 1).astype(np.float32)
    sharp = fade(p.scale, p.foot)
    joint = np.maximum(grid(p.u, p.scale, 0.006, p.foot), grid(p.v, p.scale, 0.006, p.foot))
    return mix(p, odd * sharp + np.float32(0.5) * (1 - sharp)) * (1 - 0.4 * joint)


def patchwork(p: Patch) -> Array:
    """Paint foam tiles: every cell another bright colour around the first."""
    i, _ = cells(p.u / p.scale)
    j, _ = cells(p.v / p.scale)
    joint = np.maximum(grid(p.u, p.scale, 0.012, p.foot), grid(p.v, p.scale, 0.012, p.foot))
    hue = [scatter(i, j, p.seed + k) for k in range(3)]
    sharp = fade(p.scale, p.foot)
    return np.stack([(0.12 + 0.6 * h**2) * sharp + 0.3 * (1 - sharp) for h in hue]) * (1 - 0.5 * joint)


def carpet(p: Patch) -> Array:
    """Paint pile: fine speckle over large faint patches."""
    fine = noise(p.u * 30, p.v * 30, p.seed) * fade(0.03, p.foot)
    return mix(p, np.clip(0.4 + 0.25 * fine + 0.15 * noise(p.u * 2, p.v * 2, p.seed), 0, 1))


def stripes(p: Patch) -> Array:
    """Paint upright stripes, as on wallpaper."""
    wave = np.sin(p.u * (np.float32(2 * np.pi) / p.scale))
    return mix(p, np.float32(0.5) + np.float32(0.5) * np.clip(wave * 2.5, -1, 1) * fade(p.scale, p.foot))


def checks(p: Patch) -> Array:
    """Paint woven checks: two crossing sets of stripes."""
    a = np.clip(np.sin(p.u * (np.float32(2 * np.pi) / p.scale)) * 3, -1, 1)
    b = np.clip(np.sin(p.v * (np.float32(2 * np.pi) / p.scale)) * 3, -1, 1)
    return mix(p, np.float32(0.5) + np.float32(0.25) * (a + b) * fade(p.scale, p.foot))


def brick(p: Patch) -> Array:
    """Paint bricks in running bond."""
    height = p.scale / 3
    row, _ = cells(p.v / height)
    shifted = p.u + np.float32(0.5) * p.scale * (row & 1).astype(np.float32)
    col, _ = cells(shifted / p.scale)
    tone = 1 + np.float32(0.4) * (scatter(row, col, p.seed) - np.float32(0.5)) * fade(height, p.foot)
    joint = np.maximum(grid(p.v, height, 0.012, p.foot), grid(shifted, p.scale, 0.012, p.foot))
    albedo: Array = p.color * tone * (1 - joint) + p.second * joint
    return albedo


def granite(p: Patch) -> Array:
    """Paint stone: speckle of the second colour."""
    fine = noise(p.u * 22, p.v * 22, p.seed) * fade(0.06, p.foot)
    return mix(p, np.clip(0.25 + 0.3 * fine + 0.2 * noise(p.u * 5, p.v * 5, p.seed), 0, 1))


def ceiling(p: Patch) -> Array:
    """Paint mineral-fibre panels in a grid of rails."""
    rail = np.maximum(grid(p.u, p.scale, 0.025, p.foot), grid(p.v, p.scale, 0.025, p.foot))
    fine = noise(p.u * 40, p.v * 40, p.seed) * fade(0.03, p.foot)
    return mix(p, np.clip(rail, 0, 1)) * (1 - 0.05 * np.abs(fine))


Texture = Callable[[Patch], Array]
