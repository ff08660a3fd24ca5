"""Textures that fill one face edge to edge: book spines, pictures, windows, screens, rugs, doors."""

from __future__ import annotations

import numpy as np

from cliffkit_rooms.image.textures import Array, Patch, cells, fade, grid, line, mix, noise, scatter


def books(p: Patch) -> Array:
    """Paint a row of spines of many colours and heights, dark above the lower ones."""
    pair, rest = cells(p.u / (2 * p.scale))
    second = rest > np.float32(0.3) + np.float32(0.4) * scatter(pair, pair + 5, p.seed)
    book = pair * 2 + second
    top = np.float32(0.7) + np.float32(0.3) * scatter(book, book + 9, p.seed)
    level = (p.v / p.hv + 1) * np.float32(0.5)
    hue = np.stack([scatter(book, book + 17 * k, p.seed + k) for k in range(3)])
    tone = np.float32(0.12) + np.float32(0.6) * scatter(book, book + 3, p.seed) ** 2
    spine = tone * (np.float32(0.12) + np.float32(1.2) * hue**2)
    band = np.abs(level / top - np.float32(0.75)) < np.float32(0.06)
    spine = np.where(band, np.float32(0.75) * spine + np.float32(0.15), spine)
    sharp = fade(p.scale * 1.2, p.foot)
    spine = spine * sharp + np.float32(0.2) * (1 - sharp)
    return np.where(level > top, np.float32(0.03), spine)


def panel(p: Patch) -> Array:
    """Paint a cupboard door or drawer front: a gap at the edge, a groove inside it."""
    edge = np.minimum(p.hu - np.abs(p.u), p.hv - np.abs(p.v))
    groove = line(edge - np.minimum(np.float32(0.055), np.minimum(p.hu, p.hv) * 0.3), 0.012, p.foot)
    gap = np.clip((np.float32(0.008) - edge) / p.foot + np.float32(0.5), 0, 1)
    tall = p.hv > p.hu
    along, across = np.where(tall, p.v, p.u), np.where(tall, p.u, p.v)
    grain = noise(along * 1.2, across * 14, p.seed) * fade(0.05, p.foot)
    return mix(p, np.clip(0.5 * groove + 0.8 * gap + 0.06 * grain, 0, 1))


def picture(p: Patch) -> Array:
    """Paint a framed print: a mount, then land under sky with blots of colour."""
    a, b = p.u / p.hu, p.v / p.hv
    mount = np.maximum(np.abs(a), np.abs(b)) > np.float32(0.78)
    hills = np.float32(0.35) * noise(a * 1.5 + 3, p.seed * np.float32(0.7), p.seed)
    land = np.clip((hills - b) * 3, 0, 1)
    blots = np.clip(noise(a * 2, b * 2, p.seed) - np.float32(0.5), 0, 1)
    scene = mix(p, land) * (np.float32(0.75) + np.float32(0.35) * (b + 1) * 0.5)
    hue = np.stack([scatter(p.seed, p.seed + k, p.seed) for k in range(3)])
    scene = scene * (1 - blots) + hue * blots
    return np.where(mount, np.float32(0.72), scene)


def poster(p: Patch) -> Array:
    """Paint a sheet with a headline, a block of colour and lines of text."""
    a, b = p.u / p.hu, p.v / p.hv
    inside = np.maximum(np.abs(a), np.abs(b)) < np.float32(0.88)
    block = (b > -0.1) & (b < 0.6)
    text = np.clip(grid(p.v, 0.045, 0.018, p.foot), 0, 1) * (b < -0.2) * 0.6
    headline = (np.abs(b - 0.76) < 0.07) & (np.abs(a) < 0.6)
    ink = mix(p, np.clip(noise(a * 2, b * 2, p.seed) * 0.5 + 0.3, 0, 1))
    paper = np.float32(0.75) * (1 - text)
    return np.where(inside & (block | headline), ink, np.broadcast_to(paper, ink.shape))


def outdoors(p: Patch) -> Array:
    """Paint the view through a window: bright sky over trees or roofs."""
    a, b = p.u / p.hu, p.v / p.hv
    skyline = np.float32(-0.35) + np.float32(0.25) * noise(p.u * 1.5, p.seed * np.float32(0.3), p.seed)
    below = np.clip((skyline - b) * 6, 0, 1)
    leaves = np.float32(0.75) + np.float32(0.35) * noise(p.u * 6, p.v * 6, p.seed)
    sky = p.color * (np.float32(0.85) + np.float32(0.15) * b) + np.float32(0.05) * a
    return sky * (1 - below) + p.second * leaves * below


def blinds(p: Patch) -> Array:
    """Paint slats with light between them."""
    wave = np.float32(0.5) + np.float32(0.5) * np.sin(p.v * (np.float32(2 * np.pi) / p.scale)) * fade(p.scale, p.foot)
    return mix(p, wave)


def scribble(p: Patch) -> Array:
    """Paint a board with writing in places."""
    stroke = np.abs(noise(p.u * 7, p.v * 9, p.seed)) < np.float32(0.12)
    where = noise(p.u * 0.8, p.v * 1.1, p.seed + 3) > np.float32(0.35)
    edge = np.minimum(p.hu - np.abs(p.u), p.hv - np.abs(p.v)) > np.float32(0.06)
    ink = (stroke & where & edge).astype(np.float32) * fade(0.12, p.foot)
    return mix(p, ink * np.float32(0.8)) * (1 + np.float32(0.03) * noise(p.u, p.v, p.seed))


def screen(p: Patch) -> Array:
    """Paint a lit display: windows of two tones over a dark ground."""
    a, b = p.u / p.hu, p.v / p.hv
    i, _ = cells(a * np.float32(1.5) + np.float32(0.3))
    j, _ = cells(b * np.float32(1.2) + np.float32(0.1))
    tone = scatter(i, j, p.seed)
    text = grid(p.v, 0.03, 0.012, p.foot) * (tone > 0.5)
    return mix(p, tone) * (1 - np.float32(0.35) * text)


def rug(p: Patch) -> Array:
    """Paint a woven rug: borders, a field, a medallion."""
    edge = np.minimum(p.hu - np.abs(p.u), p.hv - np.abs(p.v))
    border = (edge < 0.06) | ((edge > 0.14) & (edge < 0.2))
    medal = np.hypot(p.u / p.hu, p.v / p.hv)
    rings = np.sin(medal * np.float32(14)) * (medal < np.float32(0.6)) * fade(0.2, p.foot)
    weave = noise(p.u * 12, p.v * 12, p.seed) * fade(0.06, p.foot)
    return mix(p, np.clip(np.where(border, 0.9, 0.25 + 0.35 * rings) + 0.12 * weave, 0, 1))


def folds(p: Patch) -> Array:
    """Paint hanging cloth: soft upright folds."""
    wave = np.sin(p.u * (np.float32(2 * np.pi) / p.scale) + noise(p.u, p.v * 0.5, p.seed))
    return mix(p, np.float32(0.5) + np.float32(0.45) * wave * fade(p.scale, p.foot))
