"""What a worker measures of itself, and what it leaves on a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.interfaces import Place
from cliffkit.jobs import worker
from cliffkit.jobs.plan import plan
from cliffkit.store.store import Store

from ..engine_fixtures import cpu, engine_recipe

GPU = Place("cuda:1", 1)


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_memory_is_told_in_bytes_whatever_the_system_counts(
    monkeypatch: pytest.MonkeyPatch, platform: str, unit: int
) -> None:
    class Usage:
        ru_maxrss = 7

    monkeypatch.setattr("cliffkit.jobs.worker.resource.getrusage", lambda who: Usage)
    monkeypatch.setattr("cliffkit.jobs.worker.sys.platform", platform)
    assert worker.peak_memory(Place("cpu", 1)) == 7 * unit


def test_memory_on_a_gpu_is_what_torch_took_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", {"cuda:1": 99}.__getitem__)
    assert worker.peak_memory(Place("cuda:1", 1)) == 99


class Ended(BaseException):
    """A process ended here."""


class Cuda:
    """A GPU that is not there: what is asked of it, and whether it still answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_lost = False

    def synchronize(self, device: str) -> None:
        if self.is_lost:
            raise RuntimeError("CUDA error: device-side assert triggered")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """A GPU that this process has used already; work is done on the processor."""

    def end(code: int) -> None:
        raise Ended(code)

    gpu = Cuda()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", gpu.synchronize)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: gpu.asked.append("peak") or 7)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: gpu.asked.append(f"reset {device}"))
    monkeypatch.setattr(worker, "clear_device_cache", lambda garbage_collection: gpu.asked.append("clear"))
    monkeypatch.setattr(worker, "open_device", lambda name, precision: cpu())
    monkeypatch.setattr(os, "_exit", end)
    return gpu


@pytest.fixture
def task(tmp_path: Path, registry: Registry) -> worker.JobTask:
    """A job that packs images."""
    return worker.JobTask(plan(engine_recipe(tmp_path, registry), {})[0], tmp_path / "runs", {})


@pytest.mark.parametrize("lost", [True, False])
def test_a_process_that_lost_its_gpu_says_why_and_ends_and_another_one_stays(
    cuda: Cuda, task: worker.JobTask, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    def broken(*arguments: object) -> None:
        cuda.is_lost = lost
        raise RuntimeError("CUDA error: device-side assert triggered" if lost else "a shape is wrong")

    monkeypatch.setattr(worker, "run_job", broken)
    if lost:
        with pytest.raises(Ended, match=str(worker.LOST_GPU)):
            worker.do_job(task, GPU)
    else:
        assert worker.do_job(task, GPU).state == "failed"
        assert cuda.asked == ["reset cuda:1", "clear"]
    failure = Store(task.runs).failure(task.job)
    assert failure is not None
    assert ("device-side assert" in failure.reason) == lost


def test_a_failure_on_a_processor_asks_no_gpu(
    cuda: Cuda, task: worker.JobTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda.is_lost = True
    monkeypatch.setattr(worker, "run_job", lambda *arguments: 1 / 0)
    assert worker.do_job(task, Place("cpu", 1)).state == "failed"
    assert cuda.asked == []


def test_each_job_has_a_peak_of_its_own_and_leaves_no_memory(cuda: Cuda, task: worker.JobTask) -> None:
    outcome = worker.do_job(task, GPU)
    assert (outcome.state, outcome.memory_bytes) == ("done", 7)
    assert cuda.asked == ["reset cuda:1", "peak", "clear"]


def test_tensors_that_an_error_holds_are_dropped_before_memory_is_given_back(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[bool] = []

    class Large:
        def __del__(self) -> None:
            dropped.append(True)

    def inner() -> None:
        large = Large()
        raise MemoryError(len(dropped), large is None)

    def outer() -> None:
        try:
            inner()
        except MemoryError as error:
            raise UserError("out of memory") from error

    monkeypatch.setattr(worker, "clear_device_cache", lambda garbage_collection: cuda.asked.append(str(dropped)))
    with pytest.raises(UserError), worker.gpu_memory(GPU):
        outer()
    assert cuda.asked == ["reset cuda:1", "[True]"]


def test_an_error_beside_a_lost_gpu_is_printed_before_the_end(cuda: Cuda, capsys: pytest.CaptureFixture[str]) -> None:
    cuda.is_lost = True
    with pytest.raises(Ended), worker.gpu_memory(GPU):
        raise ValueError("index out of range in a kernel")
    assert "index out of range in a kernel" in capsys.readouterr().err
