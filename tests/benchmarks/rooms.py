"""The built-in data set: frames a second on one core, and how that grows with processes."""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from harness import Row, progress, quartiles

FRAMES = 60
"""Four of each scene type."""
REPEATS = 5
TARGET = 40


def rows() -> list[Row]:
    """Frames a second of one process, and of two over one."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for _ in pool.map(frames_per_second, [2, 2]):
            pass
        alone, together = [], []
        for k in range(REPEATS):
            progress(f"rooms: turn {k + 1} of {REPEATS}")
            alone.append(pool.submit(frames_per_second, FRAMES).result())
            together.append(sum(pool.map(frames_per_second, [FRAMES, FRAMES])))
    growth = [two / one for one, two in zip(alone, together, strict=True)]
    cores = len(os.sched_getaffinity(0))
    speed = [statistics.median(rates) for rates in (alone, together)]
    return [
        Row("`rooms` at 120x160, frames a second", "one core", speed[0], quartiles(alone),
            f">= {TARGET}", f"{FRAMES} frames, {REPEATS} times"),
        Row("`rooms`, two processes", "one", statistics.median(growth), quartiles(growth),
            ">= 1.9" if cores > 1 else "", f"{speed[1]:.3g} frames/s together; {cores} cores"),
    ]  # fmt: skip


def frames_per_second(frames: int) -> float:
    """Of one process, by the clock on the wall."""
    from cliffkit_rooms.dataset import Rooms

    rooms = Rooms("train", None)
    rooms[0]
    started = time.perf_counter()
    for index in range(frames):
        rooms[index]
    return frames / (time.perf_counter() - started)
