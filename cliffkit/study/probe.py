"""Measure a job's pace: a few steps of the real loop on random data, in a real worker."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cliffkit.data.full_size import bytes_of
from cliffkit.data.pack import EXTRA, STEPS
from cliffkit.data.read import read_sample
from cliffkit.data.resize import at_training_size
from cliffkit.data.splits import Roots, open_split
from cliffkit.interfaces import Dataset, Place, Sample
from cliffkit.jobs.worker import gpu_memory, peak_memory
from cliffkit.method.assemble import build
from cliffkit.method.differences import PAIRS
from cliffkit.prediction.predictor import WHOLE, Floats, Predictor, prepared
from cliffkit.prediction.scored import predicted_by, score_images
from cliffkit.protocols import View
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages import STAGES, is_fit
from cliffkit.stages.context import Context
from cliffkit.store.artifacts import WEIGHTS, FitFacts, PackFacts
from cliffkit.store.files import writing
from cliffkit.store.job import Job
from cliffkit.study.pace import Pace
from cliffkit.training.device import Device, open_device
from cliffkit.workers import available_cores

PROBE_SECONDS = 2.0

ASKED_SECONDS = 0.2
"""Time that a worker takes to ask its GPU: all workers are busy until the last one is asked, so each asks its own."""

PROBED_IMAGES = 4

SCORED_IMAGES = 8
"""Images on which an evaluation is measured: more at once are not much faster."""


@dataclass(frozen=True)
class ProbeTask:
    """A job to measure."""

    job: Job
    roots: Roots


def probe(task: ProbeTask, place: Place) -> Pace:
    """Measure a job's pace here: steps of the real loop on random data, or a few of the real images."""
    torch.set_num_threads(place.threads)
    with gpu_memory(place):
        return _probe(task, place)


def _probe(task: ProbeTask, place: Place) -> Pace:
    job, roots = task.job, task.roots
    device = open_device(place.device, job.recipe.train.precision)
    weights, halved = 0, False
    if job.stage == "pack":
        seconds = _probe_pack(job, roots)
    elif job.stage == "images":
        seconds, weights = _probe_images(job, roots)
    elif job.stage == "evaluate":
        seconds = _probe_evaluate(job, roots, device.torch)
    else:
        with writing(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
            seconds, weights, halved = _probe_training(job, roots, device, Path(folder))
    return Pace(seconds, peak_memory(place), weights, halved)


def free_bytes(nothing: None, place: Place) -> int:
    """Ask a GPU how many bytes of its memory are free, whoever has taken the others."""
    time.sleep(ASKED_SECONDS)
    return int(torch.cuda.mem_get_info(place.device)[0])


def _probe_training(job: Job, roots: Roots, device: Device, folder: Path) -> tuple[float, int, bool]:
    """Run a stage that has weights, on noise.

    Returns seconds per step, or of the whole stage, bytes of weights, and whether memory ended and passes were halved.
    """
    _random_pack(job, folder / "pack", open_split(job.recipe, "train", roots))

    def steps(count: int) -> Path:
        short = replace(job, recipe=_shortened(job.recipe, count))
        job_folder = Path(tempfile.mkdtemp(dir=folder))
        STAGES[job.stage](short, Context(job_folder, {"pack": folder / "pack"}, device, roots, _unheard))
        return job_folder

    if not is_fit(job):
        started = time.monotonic()
        whole = steps(1)
        return time.monotonic() - started, (whole / WEIGHTS).stat().st_size, False
    first = FitFacts.read(steps(2))  # includes costs that occur once, which the next two fits lack
    folder_of_few, count = steps(2), max(3, round(2 * PROBE_SECONDS / first.seconds))
    few, more = FitFacts.read(folder_of_few), FitFacts.read(steps(2 + count))
    seconds = max((more.seconds - few.seconds) / count, 1e-6)
    halved = any(facts.micro_batch is not None for facts in (first, few, more))
    return seconds, (folder_of_few / WEIGHTS).stat().st_size, halved


def _shortened(recipe: Recipe, steps: int) -> Recipe:
    """Give a recipe whose stages train `steps` steps and validate once."""
    train = recipe.train
    changes = {"steps": steps, "validate_every": steps, "warmup_steps": 0, "reload_best": False, "init": None}
    embedding = train.embedding.changed(changes) if train.embedding else None
    return replace(recipe, train=replace(train, depth=train.depth.changed(changes), embedding=embedding))


def _unheard(event: object) -> None:
    """Drop an event: nobody hears the events of a probe."""


def _random_pack(job: Job, folder: Path, data: Dataset) -> None:
    """Write a pack of noise, with two images to validate on; camera and extras of a real image.

    It has a batch to train on, or as many images as a generator that is not fitted is measured on.
    """
    random = np.random.default_rng(0)
    engine, scene_types = job.recipe.data.engine, len(data.scene_types)
    size = tuple(engine["size"])
    real = at_training_size(read_sample(data, 0), size, engine["crop"])
    tensors = {} if real.intrinsics is None else {"intrinsics": real.intrinsics}
    tensors |= {f"{EXTRA}{name}": extra for name, extra in real.extras.items()}
    images = int(job.inputs["train"]["batch"]) if is_fit(job) else min(2 * PAIRS, len(data))
    for split, n in (("train", images), ("val", 2)):
        (folder / split).mkdir(parents=True)
        arrays: dict[str, NDArray[Any]] = {
            "image": random.integers(0, 256, (n, 3, *size), dtype=np.uint8),
            "depth": random.integers(1, STEPS + 1, (n, 1, *size), dtype=np.uint16),
            "metres": np.full(n, 10 / STEPS, np.float32),
            "scene": random.integers(0, max(1, scene_types), n),
            **{name: np.repeat(tensor.numpy()[None], n, axis=0) for name, tensor in tensors.items()},
        }
        for name, array in arrays.items():
            np.save(folder / split / f"{name}.npy", array)
        facts = PackFacts(n, (size[0], size[1]), 5.0, 1.0, 0, ("",) * scene_types)
        facts.write(folder / split)


def _probe_pack(job: Job, roots: Roots) -> float:
    """Read a few images on one core; returns the seconds for all images on all cores."""
    splits = [open_split(job.recipe, split, roots) for split in ("train", "val")]
    engine = job.recipe.data.engine
    started = time.monotonic()
    few = min(PROBED_IMAGES, len(splits[0]))
    for index in range(few):
        at_training_size(read_sample(splits[0], index), engine["size"], engine["crop"])
    seconds_per_image = (time.monotonic() - started) / few
    return seconds_per_image * sum(map(len, splits)) / available_cores()


def _probe_images(job: Job, roots: Roots) -> tuple[float, int]:
    """Read a few test images on one core; returns the seconds for all images on all cores, and their bytes."""
    test = open_split(job.recipe, "test", roots)
    started = time.monotonic()
    few = _First(test, PROBED_IMAGES)
    seconds = (time.monotonic() - started) / len(few) * len(test)
    height, width = few[0].image.shape[-2:]
    return seconds / available_cores(), bytes_of(height, width) * len(test)


@dataclass(frozen=True)
class _Untrained(Predictor):
    """A network with random weights. Its depths are raised to at least 0.1 m, so that every protocol can score them."""

    def batch(self, images: Tensor, view: View = WHOLE, *, flip: bool = False) -> Floats:
        return np.maximum(super().batch(images, view, flip=flip), np.float32(0.1))


class _First(Dataset):
    """The first images of a split, in memory: stage `evaluate` finds its images drawn or decoded."""

    def __init__(self, dataset: Dataset, count: int) -> None:
        self.scene_types, self._dataset = dataset.scene_types, dataset
        self._samples = [read_sample(dataset, index) for index in range(min(count, len(dataset)))]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    def name(self, index: int) -> str:
        return self._dataset.name(index)

    def fingerprint(self) -> str:
        return self._dataset.fingerprint()


def _probe_evaluate(job: Job, roots: Roots, device: torch.device) -> float:
    """Score a few test images as the stage does, with an untrained network; returns the seconds for all test images."""
    recipe = job.recipe
    test = open_split(recipe, "test", roots)
    predict = _Untrained(**vars(prepared(build(recipe), recipe, device)))

    few = _First(test, min(SCORED_IMAGES, predict.at_once))
    for indices in (range(1), range(len(few))):  # the first time is slower
        started = time.monotonic()
        predicted = predicted_by(predict, few, indices, recipe.protocols)
        score_images(few, indices, recipe.protocols, predicted, 1.0, _unheard)
    return (time.monotonic() - started) / len(few) * len(test)
