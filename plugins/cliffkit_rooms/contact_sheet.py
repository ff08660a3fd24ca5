"""A sheet of frames to look at: `python -m cliffkit_rooms.contact_sheet OUT.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cliffkit_rooms.dataset import Rooms

NEAR_M, FAR_M = 0.5, 7.0


def tint(depth: np.ndarray) -> np.ndarray:
    """Colour (H, W) metres as (H, W, 3) uint8: near red over yellow and green to far blue, missing black."""
    level = np.clip((depth - NEAR_M) / (FAR_M - NEAR_M), 0, 1)[..., None]
    stops = np.array([[0.75, 0.1, 0.1], [1, 0.75, 0.2], [0.55, 0.85, 0.45], [0.15, 0.6, 0.75], [0.15, 0.15, 0.5]])
    place = level[..., 0] * (len(stops) - 1)
    low = np.minimum(place.astype(int), len(stops) - 2)
    rest = (place - low)[..., None]
    color = stops[low] * (1 - rest) + stops[low + 1] * rest
    return (np.where(depth[..., None] > 0, color, 0) * 255).astype(np.uint8)


def sheet(rooms: Rooms, start: int, count: int, columns: int) -> Image.Image:
    """Lay frames out in a grid, each with its depth beneath it and its scene type on it."""
    height, width = rooms[start].depth.shape[1:]
    rows = -(-count // columns)
    page = Image.new("RGB", (columns * (width + 4), rows * (2 * height + 6)), "white")
    draw = ImageDraw.Draw(page)
    for k in range(count):
        sample = rooms[start + k]
        x, y = k % columns * (width + 4), k // columns * (2 * height + 6)
        page.paste(Image.fromarray(np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy())), (x, y))
        page.paste(Image.fromarray(tint(sample.depth[0].numpy())), (x, y + height))
        draw.text((x + 3, y + height + 1), rooms.scene_types[int(sample.scene)], fill="white")
    return page


def main(out: str, start: int = 0, count: int = 24, columns: int = 6, holes: bool = False) -> None:
    """Draw test frames into a PNG, five bits a channel: noise in the lower three would treble the file."""
    page = sheet(Rooms("test", None, test=start + count, holes=holes), start, count, columns)
    coarse = np.asarray(page) & 0xF8
    Image.fromarray(coarse | coarse >> 5).save(Path(out), optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
