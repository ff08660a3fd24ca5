"""Training on a GPU: what it gives, that nothing waits, what it takes, and the forms of a step."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import cliffkit.training.fit as fitting
from cliffkit.components.registry import Registry
from cliffkit.data.batches import Batches
from cliffkit.data.pack import Pack
from cliffkit.events import Event, Notice, Progress
from cliffkit.jobs.execute import Means, run_jobs
from cliffkit.jobs.plan import plan
from cliffkit.method.assemble import assemble, load_network
from cliffkit.method.objectives import DepthObjective
from cliffkit.prediction.predictor import prepared
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.training.device import Device, open_device

from ..engine_fixtures import Tiny, engine_recipe, packed, same

SCORES = 1e-3
"""Scores of networks that the processor and a GPU trained for six steps in float32."""

FORMS = ["eager", "compile", "graphs", "compile+graphs"]


class KilledError(Exception):
    """The process ends here."""


def train(
    folder: Path, registry: Registry, device: Device, *changes: str, stop_at: int | None = None, every: int = 0
) -> tuple[Store, list[Job], list[Event]]:
    """Do every job of the engine's recipe."""
    folder.mkdir(exist_ok=True)
    recipe = engine_recipe(folder, registry, *changes)
    jobs, store, heard = plan(recipe, {}), Store(folder / "runs"), []

    def emit(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Progress) and event.stage == "depth" and event.done == stop_at:
            raise KilledError

    with device.determinism(recipe.train.deterministic):
        run_jobs(jobs, Means(store, device, {}, emit, every or None))
    return store, jobs, heard


def left(store: Store, jobs: list[Job], stage: str = "depth") -> Path:
    return store.folder(next(job for job in jobs if job.stage == stage))


def scores(store: Store, jobs: list[Job]) -> dict[str, float]:
    text = (left(store, jobs, "evaluate") / "metrics.json").read_text(encoding="utf-8")
    return {
        f"{name} {metric}": value
        for name, scored in json.loads(text)["protocols"].items()
        for metric, value in scored["metrics"].items()
        if isinstance(value, float)
    }


@pytest.fixture(scope="module")
def on_the_processor(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> dict[str, float]:
    """Scores of the recipe trained and evaluated by the processor."""
    store, jobs, _ = train(tmp_path_factory.mktemp("cpu"), registry, open_device("cpu", "fp32"))
    return scores(store, jobs)


@pytest.mark.filterwarnings("ignore")  # of the compiler, which warns of its own tracing
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_step_trains_to_the_scores_of_the_processor(
    gpu: Device, tmp_path: Path, registry: Registry, on_the_processor: dict[str, float], form: str
) -> None:
    store, jobs, _ = train(tmp_path, registry, gpu, f"train.depth.speed={form}")
    found = scores(store, jobs)
    assert found == pytest.approx(on_the_processor, rel=SCORES, abs=SCORES)


def test_recorded_passes_in_micro_batches_train_as_written_ones_do(
    gpu: Device, tmp_path: Path, registry: Registry
) -> None:
    """Torch lets gradients of parameters lie in memory that the next replay overwrites (pytorch/pytorch#181723)."""
    changes = ("train.depth.batch=8", "train.depth.micro_batch=2", "train.deterministic=true")
    store, jobs, _ = train(tmp_path / "eager", registry, gpu, *changes)
    expected = scores(store, jobs)
    store, jobs, _ = train(tmp_path / "graphs", registry, gpu, *changes, "train.depth.speed=graphs")
    assert scores(store, jobs) == pytest.approx(expected, rel=SCORES, abs=SCORES)


@pytest.mark.parametrize("form", ["eager", "graphs"])
def test_two_runs_and_a_run_that_was_killed_leave_the_same_bits_where_that_is_asked_for(
    gpu: Device, tmp_path: Path, registry: Registry, form: str
) -> None:
    changes = ("train.deterministic=true", f"train.depth.speed={form}", "train.depth.steps=24")
    gpu.nondeterministic.clear()
    store, jobs, _ = train(tmp_path / "whole", registry, gpu, *changes)
    expected = load_file(left(store, jobs) / "weights.safetensors")
    with pytest.raises(KilledError):
        train(tmp_path / "killed", registry, gpu, *changes, stop_at=20, every=5)
    store, jobs, _ = train(tmp_path / "killed", registry, gpu, *changes)
    again = load_file(left(store, jobs) / "weights.safetensors")
    assert all(torch.equal(again[name], value) for name, value in expected.items())
    assert gpu.nondeterministic == [], "every operation is deterministic"


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise where the host waits for the device."""
    torch.cuda.synchronize()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that it is a prototype
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_step_waits_for_nothing(
    gpu: Device, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks at the losses, every ten steps, validations and checkpoints do wait."""
    step, done = fitting._step, []

    def watched(job: Any, running: Any, *arguments: Any) -> None:
        if job.stage == "depth" and running.state.step > 2:
            with no_waiting():
                step(job, running, *arguments)
            done.append(running.state.step)
        else:
            step(job, running, *arguments)

    monkeypatch.setattr(fitting, "_step", watched)
    train(tmp_path, registry, gpu, "train.depth.steps=9", "train.depth.clip_norm=1", "train.depth.ema=0.9")
    assert done == [4, 5, 6, 7, 8, 9]


@pytest.mark.filterwarnings("ignore")  # of the compiler, which warns of its own tracing
def test_one_process_trains_network_after_network(gpu: Device, tmp_path: Path, registry: Registry) -> None:
    """As a study's worker does: what was compiled and recorded before is dropped, and its memory is free."""
    taken = []
    for channels in (8, 12, 16, 20):
        changes = (f"model.pyramid.channels={channels}", "train.depth.speed=compile+graphs")
        train(tmp_path / str(channels), registry, gpu, *changes)
        gc.collect()
        taken.append(torch.cuda.memory_allocated())
    assert taken[-1] <= taken[0] + 2**20


def test_batches_come_to_the_device_as_they_are(gpu: Device, tmp_path: Path) -> None:
    pack = packed(Tiny(), tmp_path / "pack")
    batches = Batches(pack, 5, 1, 0, 1, gpu.torch)
    for step, (sample, _) in enumerate(batches.run(0, 20)):
        assert sample.image.device.type == gpu.torch.type
        torch.cuda._sleep(1_000_000)  # the device lags behind, and memory of earlier batches is free again
        assert same(sample.map(Tensor.cpu), batches.load(step))


@pytest.mark.parametrize("form", ["eager", "graphs"])
def test_memory_that_ends_halves_the_pass_and_the_batch_stays(
    gpu: Device, tmp_path: Path, registry: Registry, form: str
) -> None:
    """For real: the process may take no more than what half a batch of larger images needs."""
    sizes = ("data.size=[192,256]", "data.height=192", "data.width=256")
    changes = (*sizes, "train.depth.batch=16", "data.train=32", f"train.depth.speed={form}")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    train(tmp_path / "whole", registry, gpu, *changes)
    peak, total = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(gpu.torch).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.75 * peak / total, gpu.torch)
    try:
        store, jobs, heard = train(tmp_path / "less", registry, gpu, *changes, "name=less")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu.torch)
    said = [event.text for event in heard if isinstance(event, Notice) and "out of memory" in event.text]
    assert said, "memory ended"
    assert "the batch stays 16" in said[-1]
    fitted = json.loads((left(store, jobs) / "fit.json").read_text(encoding="utf-8"))
    assert fitted["micro_batch"] in (8, 4, 2, 1)


def test_a_step_takes_the_memory_of_a_bare_loop_and_two_batches(
    gpu: Device, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch ahead, and the copy of its images that augmentation works on."""
    recipe = engine_recipe(tmp_path, registry, "data.size=[192,256]", "data.height=192", "data.width=256")
    store, jobs, _ = train(tmp_path, registry, gpu, "data.size=[192,256]", "data.height=192", "data.width=256")
    pack = Pack(left(store, jobs, "pack") / "train")
    modules = assemble(recipe, len(pack.facts.scene_types), left(store, jobs, "embedding"))
    objective = DepthObjective(modules, gpu.autocast).to(gpu.torch).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-4, fused=True)
    sample = pack.batch(np.arange(4)).to(gpu.torch)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    for step in range(3):
        batch = fitting.augment(sample, [], torch.empty(0, 4))
        torch.stack(list(objective(batch, step).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    bare = torch.cuda.max_memory_allocated() - before

    peaks: list[int] = []
    step = fitting._step

    def watched(job: Any, *arguments: Any) -> None:
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        step(job, *arguments)
        if job.stage == "depth":
            peaks.append(torch.cuda.max_memory_allocated() - start)

    monkeypatch.setattr(fitting, "_step", watched)
    del objective, optimizer, batch
    train(tmp_path / "own", registry, gpu, "data.size=[192,256]", "data.height=192", "data.width=256")
    bytes_of_batch = 4 * 192 * 256 * (3 * 4 + 4 + 1)
    assert max(peaks[1:]) <= 1.05 * bare + 2 * bytes_of_batch


def test_predictions_of_a_gpu_are_those_of_the_processor_in_batches_or_alone(
    gpu: Device, tmp_path: Path, registry: Registry
) -> None:
    store, jobs, _ = train(tmp_path, registry, gpu)
    recipe, weights = jobs[-1].recipe, left(store, jobs) / "weights.safetensors"
    images = torch.randint(0, 256, (5, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    here = prepared(load_network(recipe, weights), recipe, torch.device("cpu")).batch(images, flip=True)
    predict = prepared(load_network(recipe, weights), recipe, gpu.torch)
    np.testing.assert_allclose(predict.batch(images, flip=True), here, rtol=1e-4, atol=1e-5)
    for image, expected in zip(images, here, strict=True):
        np.testing.assert_allclose(predict(image, flip=True), expected, rtol=1e-4, atol=1e-5)
