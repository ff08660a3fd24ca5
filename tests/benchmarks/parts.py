"""What several benchmarks train: recipes of this repository, packs of noise, loops, and processes that take turns."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import cliffkit.training.fit
from cliffkit.components.load import load_plugins
from cliffkit.data.pack import Pack
from cliffkit.events import Event, Progress
from cliffkit.interfaces import Sample
from cliffkit.method.assemble import assemble
from cliffkit.method.objectives import DepthObjective
from cliffkit.recipe.check import load_recipe
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages.depth import validate
from cliffkit.store.artifacts import FitFacts, PackFacts
from cliffkit.training.device import Device, open_device
from cliffkit.training.fit import fit
from cliffkit.training.job import FitJob, Goal

RECIPES = Path(__file__).parents[2] / "recipes"
SCENE_TYPES = 10
NYU_SIZE = "data.size=[228,304]"


def recipe(name: str, *sets: str) -> Recipe:
    """A recipe of this repository with `--set` changes."""
    return load_recipe(RECIPES / f"{name}.yaml", load_plugins(strict=True).registry, sets)


def write_random_pack(folder: Path, images: int, size: tuple[int, int]) -> Path:
    """A pack of noise, as large as wanted, written faster than any data set could be read."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, channels, kind in (("image", 3, np.uint8), ("depth", 1, np.uint16)):
        rows = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (images, channels, *size))
        for start in range(0, images, 256):
            rows[start : start + 256] = random.integers(1, 250, rows[start : start + 256].shape, kind)
        rows.flush()
    np.save(folder / "metres.npy", np.full(images, 0.02, np.float32))  # of a step: up to 5 m
    np.save(folder / "scene.npy", np.zeros(images, np.int64))
    PackFacts(images, size, 2.5, 1.0, 0, tuple(map(str, range(SCENE_TYPES)))).write(folder)
    return folder


@contextmanager
def random_pack(images: int, size: tuple[int, int]) -> Iterator[Pack]:
    """The same in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        yield Pack(write_random_pack(Path(folder) / "pack", images, size))


def objective(of: Recipe, device: Device) -> DepthObjective:
    """What stage `depth` trains, the embedding generator with random weights: for time and memory only."""
    torch.manual_seed(0)
    return DepthObjective(assemble(of, SCENE_TYPES), device.autocast)


def engine_loop(
    of: Recipe, pack: Pack, val: Pack, steps: int, every: int, tick: Callable[[int], object], where: str = "cpu"
) -> FitFacts:
    """Stage `depth` over a pack, `tick(steps)` after every few steps, validated once, after the last."""
    cliffkit.training.fit.LOG_EVERY = every
    done = 0

    def emit(event: Event) -> None:
        nonlocal done
        if isinstance(event, Progress):
            tick(event.done - done)
            done = event.done

    device = open_device(where)
    trained = objective(of, device)
    training = of.train.depth.changed({"steps": steps, "validate_every": steps})
    settings = training.settings
    goal = Goal("abs_rel", False, lambda: validate(trained.network, val, settings.batch, device))
    with tempfile.TemporaryDirectory() as folder, device.determinism(of.train.deterministic):
        job = FitJob(trained.network, trained, pack, training, goal, "depth", 0, Path(folder), device, emit)
        return fit(replace(job, speed=settings.speed, regions=trained.network.parts()))


class BareLoop:
    """The same modules, precision, layout and optimiser as the engine's, over tensors in memory, and nothing else."""

    def __init__(self, of: Recipe, pack: Pack, where: str = "cpu") -> None:
        device = open_device(where)
        self.objective = objective(of, device).to(device.torch).to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(self.objective.parameters(), lr=1e-4, fused=True)
        batch = of.train.depth.settings.batch
        starts = range(0, len(pack) - batch + 1, batch)
        self.samples = [in_memory(pack, start, batch).to(device.torch) for start in starts]
        self.done = 0

    def steps(self, count: int) -> None:
        """Train so many steps."""
        for _ in range(count):
            terms = self.objective(self.samples[self.done % len(self.samples)], 1000)
            sum(terms.values()).backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.done += 1


def in_memory(pack: Pack, start: int, batch: int) -> Sample:
    """A batch as a plain loop has it: float images, channels last."""
    sample = pack.batch(np.arange(start, start + batch))
    return sample._replace(image=(sample.image.float() / 255).contiguous(memory_format=torch.channels_last))


class NaiveLoop:
    """The loop that users write: fp32, NCHW, Adam, prediction and truth through the embedding with gradients."""

    def __init__(self, of: Recipe, pack: Pack) -> None:
        device = open_device("cpu", "fp32")
        whole = objective(of, device)
        self.network: nn.Module = whole.network.train()
        assert whole.hierarchical is not None
        from cliffkit.method.assemble import build_embedding

        assert of.embedding is not None
        self.embedding = build_embedding(of.embedding, SCENE_TYPES, 0).eval()
        self.weights = whole.hierarchical.weights
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        batch = of.train.depth.settings.batch
        self.samples = [pack.batch(np.arange(start, start + batch)) for start in range(0, len(pack) - batch + 1, batch)]
        self.done = 0

    def steps(self, count: int) -> None:
        """Train so many steps."""
        for _ in range(count):
            image, depth, *_ = self.samples[self.done % len(self.samples)]
            self.optimizer.zero_grad()
            prediction = self.network(image.float() / 255)
            loss = (prediction - depth).abs().mean()
            for weight, a, b in zip(self.weights, self.embedding(prediction), self.embedding(depth), strict=True):
                loss = loss + weight * (a - b).abs().mean()
            loss.backward()
            self.optimizer.step()
            self.done += 1


class Turn:
    """A loop in a process of its own that goes on when it is told to: two of them share a machine without meeting."""

    def __init__(self, loop: Callable[..., object], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_take_turns, args=(there, loop, arguments), daemon=True)
        self._process.start()

    def advance(self) -> float:
        """Seconds per step of the next few; the other process sleeps meanwhile."""
        self._here.send("go")
        result: float = self._here.recv()
        return result

    def close(self) -> None:
        """End it."""
        self._here.send("end")
        self._process.join()


class _EndError(Exception):
    pass


def _take_turns(pipe: Connection, loop: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """Run `loop(*arguments, tick)`; each `tick(steps)` hands over what its steps took and waits for the next word."""
    pipe.recv()
    resumed = time.perf_counter()

    def tick(steps: int) -> None:
        nonlocal resumed
        pipe.send((time.perf_counter() - resumed) / steps)
        if pipe.recv() == "end":
            raise _EndError
        resumed = time.perf_counter()

    with suppress(_EndError):
        loop(*arguments, tick)


def apart(work: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    """What a piece of work gives in a process of its own, and the bytes that this process took at its most."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_report, args=(there, work, arguments))
    process.start()
    result: tuple[Any, int] = here.recv()
    process.join()
    return result


def _report(pipe: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    result = work(*arguments)
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()  # rusage begins with the parent's peak
    (peak_kib,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    pipe.send((result, 1024 * peak_kib))
