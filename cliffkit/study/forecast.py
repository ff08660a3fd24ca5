"""What a study will cost on this machine: time, memory, disk; and how many workers serve it best.

Everything is measured: on jobs that the store holds from this machine, else by a probe, a few steps of the real loop on
random data in a real worker. Probes are kept in the store, so that a study that goes on chooses as it chose before.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from cliffkit.context import Context
from cliffkit.device import open_device, processor_name
from cliffkit.interfaces import Executor, Place
from cliffkit.metrics import score_protocols
from cliffkit.pack import STEPS, at_training_size, read_sample
from cliffkit.plan import Job, Roots, open_split
from cliffkit.predict import Predictor
from cliffkit.protocols import truth_in_view
from cliffkit.stages import STAGES, TRAINED
from cliffkit.stages.depth import build
from cliffkit.store import Store, write_json
from cliffkit.work import peak_memory

PROBE_SECONDS = 2.0
NEARLY = 0.95
"""Workers are preferred to threads where they come this close: they also share what no thread speeds up."""
MEMORY_SHARE = 0.8
"""Of the free memory, for all workers together."""
PROBED_IMAGES = 4


class Pace(NamedTuple):
    """What a probe measured."""

    seconds: float
    """Per step of a fit; for a whole pack or evaluation."""
    memory_bytes: int
    """The process at its largest; of a GPU, what torch allocated there."""
    weights_bytes: int = 0


@dataclass(frozen=True)
class ProbeTask:
    """A job to measure."""

    job: Job
    roots: Roots


@dataclass(frozen=True)
class Forecast:
    """What is left to do of a study, as far as this machine's pace tells."""

    seconds: float
    """With so many workers."""
    workers: int
    disk_bytes: int
    memory_bytes: int
    """Of all workers together."""
    by_stage: Mapping[str, tuple[int, float]]
    """Jobs left, and their seconds one after another."""


def kind_of_work(job: Job, place: Place) -> str:
    """The key under which the pace of a job is kept: jobs of one key take equally long per unit, on this machine."""
    inputs = {name: value for name, value in job.inputs.items() if name not in ("seed", "needs", "version")}
    if job.stage in TRAINED:
        inputs["train"] = {name: inputs["train"][name] for name in ("batch", "micro_batch")}
        inputs["data"] = job.needs["pack"].inputs["data"]
    if job.stage == "evaluate":
        inputs["model"] = job.needs["depth"].inputs["model"]
        inputs["size"] = job.needs["pack"].inputs["data"]["size"]
    machine = [processor_name(), os.cpu_count(), torch.device(place.device).type, place.threads]
    text = json.dumps([inputs, machine], sort_keys=True)
    return f"{job.stage}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def units(job: Job) -> int:
    """How many times a job's pace it takes."""
    return int(job.inputs["train"]["steps"]) if job.stage in TRAINED else 1


class Paces:
    """What is known of this machine's pace, kept in a store."""

    def __init__(self, store: Store) -> None:
        self._path = store.root / "paces.json"
        self._known: dict[str, list[Any]] = {}
        if self._path.exists():
            self._known = json.loads(self._path.read_text(encoding="utf-8"))
        self._kinds: dict[tuple[str, Place], str] = {}

    def kind(self, job: Job, place: Place) -> str:
        """`kind_of_work`, worked out once per job: a study asks for the paces of all its jobs again and again."""
        key = job.key, place
        if key not in self._kinds:
            self._kinds[key] = kind_of_work(job, place)
        return self._kinds[key]

    def get(self, job: Job, place: Place) -> Pace | None:
        """The pace of a job at a place, None where nothing like it was measured."""
        known = self._known.get(self.kind(job, place))
        return None if known is None else Pace(*known)

    def learn(self, measured: Mapping[str, Pace]) -> None:
        """Keep what was measured, by kind of work."""
        self._known.update({kind: list(pace) for kind, pace in measured.items()})
        write_json(self._path, self._known)


def choose_slots(
    job: Job, executor: Executor, store: Store, roots: Roots, most: int, say: Callable[[str], None]
) -> str:
    """Let an executor run as many jobs at once as do most of this one per second; returns what was measured.

    `most`: more jobs than this never run at once.
    """
    choices = [slots for slots in executor.choices if slots <= most] or [min(executor.choices)]
    if len(choices) == 1:
        executor.resize(choices[0])
        return ""
    paces, speeds, lines = Paces(store), {}, []
    free = psutil.virtual_memory().available * MEMORY_SHARE
    for slots in choices:
        say(f"measuring how fast {slots} at once are ({slots} of {', '.join(map(str, choices))})")
        pace = paces_at(slots, [job], executor, paces, roots)[job.key]
        speeds[slots] = slots / pace.seconds
        lines.append(f"{slots} at once: {speeds[slots]:.2f} steps/s")
        if (slots + 1) * pace.memory_bytes > free:
            lines.append("more would not fit into memory")
            break
    best = max(slots for slots in speeds if speeds[slots] >= NEARLY * max(speeds.values()))
    executor.resize(best)
    return "; ".join(lines)


def paces_at(slots: int, jobs: Sequence[Job], executor: Executor, paces: Paces, roots: Roots) -> dict[str, Pace]:
    """The pace of jobs by key when `slots` workers are busy; measured where it is not known."""
    executor.resize(slots)
    place = executor.place
    unknown = {paces.kind(job, place): job for job in jobs if paces.get(job, place) is None}
    queue = list(unknown.items())
    measured: dict[str, Pace] = {}
    while queue:
        batch, queue = queue[:slots], queue[slots:]
        busy = [*batch, *(batch * slots)[: slots - len(batch)]]  # every worker computes, as it will in the study
        futures = [(kind, executor.submit(probe, ProbeTask(job, roots))) for kind, job in busy]
        found: dict[str, list[Pace]] = {}
        for kind, future in futures:
            found.setdefault(kind, []).append(future.result())
        measured |= {kind: max(each) for kind, each in found.items()}
    if measured:
        paces.learn(measured)
    return {job.key: pace for job in jobs if (pace := paces.get(job, place)) is not None}


def probe(task: ProbeTask, place: Place) -> Pace:
    """Measure a job's pace here: steps of the real loop on random data, or a few of the real images."""
    torch.set_num_threads(place.threads)
    job, roots = task.job, task.roots
    device = open_device(place.device, job.recipe.train.precision)
    weights = 0
    if job.stage == "pack":
        seconds = _probe_pack(job, roots)
    elif job.stage == "evaluate":
        seconds = _probe_evaluate(job, roots, device.torch)
    else:
        with tempfile.TemporaryDirectory() as folder:
            scene_types = len(open_split(job.recipe, "train", roots).scene_types)
            _random_pack(job, Path(folder) / "pack", scene_types)

            def steps(count: int) -> Path:
                settings = {"steps": count, "validate_every": count, "milestones": [], "warmup_steps": 0}
                train = job.recipe.train
                fitting = getattr(train, job.stage).model_copy(update=settings)
                short = replace(job, recipe=replace(job.recipe, train=train.model_copy(update={job.stage: fitting})))
                own = Path(tempfile.mkdtemp(dir=folder))
                STAGES[job.stage](short, Context(own, {"pack": Path(folder) / "pack"}, device, roots, _unheard))
                return own

            first = _fit_seconds(steps(2))  # with what is paid once, so that the next two are without
            few, count = steps(2), max(3, round(2 * PROBE_SECONDS / first))
            seconds = max((_fit_seconds(steps(2 + count)) - _fit_seconds(few)) / count, 1e-6)
            weights = (few / "weights.safetensors").stat().st_size
    return Pace(seconds, peak_memory(place), weights)


def learn_from(job: Job, place: Place, memory_bytes: int, store: Store, paces: Paces) -> None:
    """Keep the pace of a job that was done just now."""
    folder = store.folder(job)
    seconds = _fit_seconds(folder) / units(job) if job.stage in TRAINED else float(store.record(job)["seconds"])
    weights = (folder / "weights.safetensors").stat().st_size if job.stage in TRAINED else 0
    paces.learn({kind_of_work(job, place): Pace(seconds, memory_bytes, weights)})


def forecast(jobs: Sequence[Job], executor: Executor, store: Store, roots: Roots) -> Forecast:
    """What jobs that are not done will take, each of them measured or probed."""
    paces = paces_at(executor.slots, jobs, executor, Paces(store), roots)
    by_stage: dict[str, tuple[int, float]] = {}
    disk = 0
    for job in jobs:
        pace = paces[job.key]
        count, seconds = by_stage.get(job.stage, (0, 0.0))
        by_stage[job.stage] = (count + 1, seconds + pace.seconds * units(job))
        disk += pace.weights_bytes + (_pack_bytes(job, roots) if job.stage == "pack" else _FILES_BYTES)
    alone = by_stage.get("pack", (0, 0.0))[1]  # uses every core by itself
    shared = sum(seconds for stage, (_, seconds) in by_stage.items() if stage != "pack")
    longest = max((paces[job.key].seconds * units(job) for job in jobs if job.stage != "pack"), default=0.0)
    memory = executor.slots * max((pace.memory_bytes for pace in paces.values()), default=0)
    seconds = alone + max(shared / executor.slots, longest)
    return Forecast(seconds, executor.slots, disk, memory, by_stage)


_FILES_BYTES = 1_000_000
"""A job's log, table and picture, about."""


def _pack_bytes(job: Job, roots: Roots) -> int:
    height, width = job.recipe.data.engine["size"]
    images = sum(len(open_split(job.recipe, split, roots)) for split in ("train", "val"))
    return int(images * height * width * 5)  # three colours, two bytes of depth


def _fit_seconds(folder: Path) -> float:
    return float(json.loads((folder / "fit.json").read_text(encoding="utf-8"))["seconds"])


def _unheard(event: object) -> None:
    """Nobody hears the events of a probe."""


def _random_pack(job: Job, folder: Path, scene_types: int) -> None:
    """A pack of noise, a batch to train on and two images to validate on."""
    random = np.random.default_rng(0)
    size = tuple(job.recipe.data.engine["size"])
    for split, n in (("train", int(job.inputs["train"]["batch"])), ("val", 2)):
        (folder / split).mkdir(parents=True)
        arrays: dict[str, NDArray[Any]] = {
            "image": random.integers(0, 256, (n, 3, *size), dtype=np.uint8),
            "depth": random.integers(1, STEPS + 1, (n, 1, *size), dtype=np.uint16),
            "metres": np.full(n, 10 / STEPS, np.float32),
            "scene": random.integers(0, max(1, scene_types), n),
        }
        for name, array in arrays.items():
            np.save(folder / split / f"{name}.npy", array)
        write_json(folder / split / "meta.json", {"scene_types": [""] * scene_types})


def _probe_pack(job: Job, roots: Roots) -> float:
    """Seconds for all images on all cores, from a few of them on one."""
    splits = [open_split(job.recipe, split, roots) for split in ("train", "val")]
    engine = job.recipe.data.engine
    started = time.monotonic()
    few = min(PROBED_IMAGES, len(splits[0]))
    for index in range(few):
        at_training_size(read_sample(splits[0], index), engine["size"], engine["crop"])
    each = (time.monotonic() - started) / few
    return each * sum(map(len, splits)) / len(os.sched_getaffinity(0))


def _probe_evaluate(job: Job, roots: Roots, device: torch.device) -> float:
    """Seconds for all test images, from a few of them and an untrained network."""
    recipe = job.recipe
    test = open_split(recipe, "test", roots)
    network = build(recipe).to(device).to(memory_format=torch.channels_last).eval()
    engine = recipe.data.engine
    predict = Predictor(network, tuple(engine["size"]), engine["crop"], device)
    few = min(PROBED_IMAGES, len(test))
    started = 0.0
    for index in range(-1, few):
        if index == 0:
            started = time.monotonic()  # the first time is slower and does not count
        sample = read_sample(test, max(index, 0))
        for protocol in recipe.protocols:
            truth, known = truth_in_view(sample.depth.numpy()[0], sample.valid.numpy()[0], protocol.view)
            prediction = np.maximum(predict(sample.image, protocol.view, flip=protocol.flip), 0.1)
            score_protocols(prediction, truth, known, [protocol])
    return (time.monotonic() - started) / few * len(test)
