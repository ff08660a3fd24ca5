"""A training step of the engine beside a bare loop, and the default settings beside the loop that users write."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Row, progress, row
from parts import NYU_SIZE, BareLoop, NaiveLoop, Turn, engine_loop, random_pack, recipe, write_random_pack

from cliffkit.data.pack import Pack

TIMM = ["model.backbone.use=timm", NYU_SIZE, "train.depth.batch=8"]
STEPS = {
    "ResNet-18, HEG-S, 228x304, batch 8": ("cliff_hegS", [*TIMM, "model.backbone.name=resnet18"], 2, 9),
    "recipes/cliff_hegR, 64x96, batch 16": ("cliff_hegR", [], 10, 15),
    "recipes/handbuilt_cliff_hegR, 64x96, batch 16": ("handbuilt_cliff_hegR", ["data.size=[64,96]"], 20, 15),
}
NAIVE = {"ResNet-18": "resnet18", "ResNet-50": "resnet50"}
PAIRS = 7


def rows() -> list[Row]:
    """Both comparisons."""
    return [*steps(), *defaults()]


def steps() -> list[Row]:
    """The engine's loop interrupted every few steps for as many of a bare loop, in one process."""
    found = []
    for what, (name, sets, every, count) in STEPS.items():
        progress(f"a step, {what}")
        of = recipe(name, *sets)
        with random_pack(4 * of.train.depth.settings.batch, of.data.engine["size"]) as pack:
            bare = BareLoop(of, pack)
            pairs: list[tuple[float, float]] = []
            resumed = time.perf_counter()

            def tick(steps: int, bare: BareLoop = bare, pairs: list[tuple[float, float]] = pairs) -> None:
                nonlocal resumed
                own = time.perf_counter() - resumed
                started = time.perf_counter()
                bare.steps(steps)
                pairs.append((own / steps, (time.perf_counter() - started) / steps))
                resumed = time.perf_counter()

            engine_loop(of, pack, pack, (count + 2) * every, every, tick)
        # the first has the start in it, the last has no batch to fetch ahead
        found.append(row(f"a step of `cliffkit run`: {what}", "bare torch loop", pairs[1:-1], "<= 1.02"))
    return found


def defaults() -> list[Row]:
    """Default settings beside fp32, NCHW, and gradients through the embedding of both sides."""
    found = []
    with TemporaryDirectory() as folder:
        pack = write_random_pack(Path(folder) / "pack", 32, (228, 304))
        for label, name in NAIVE.items():
            progress(f"default settings, {label}")
            arguments = ("cliff_hegS", [*TIMM, f"model.backbone.name={name}"], pack)
            ours, theirs = Turn(ours_in_turns, *arguments), Turn(naive_in_turns, *arguments)
            ours.advance(), theirs.advance()
            pairs = [(ours.advance(), theirs.advance()) for _ in range(PAIRS)]
            ours.close(), theirs.close()
            speeds = (f"{8 * len(pairs) / sum(pair[k] for pair in pairs):.1f}" for k in (0, 1))
            what = f"default settings: `cliff` on {label}, HEG-S, 228x304, batch 8"
            found.append(row(what, "the loop users write", pairs, ">= 2.5", " and ".join(speeds) + " img/s"))
    return found


def ours_in_turns(name: str, sets: list[str], pack: Path, tick: Callable[[int], None]) -> None:
    """The engine's loop, two steps a turn."""
    engine_loop(recipe(name, *sets), Pack(pack), Pack(pack), 10**6, 2, tick)


def naive_in_turns(name: str, sets: list[str], pack: Path, tick: Callable[[int], None]) -> None:
    """The naive loop, two steps a turn."""
    loop = NaiveLoop(recipe(name, *sets), Pack(pack))
    while True:
        loop.steps(2)
        tick(2)
