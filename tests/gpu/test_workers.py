"""Workers of a study: each gives its GPU's memory back, and one that lost its GPU ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cliffkit.errors import UserError
from cliffkit.interfaces import Executor, Place
from cliffkit.jobs.worker import LOST_GPU, gpu_memory, peak_memory
from cliffkit.study.probe import free_bytes
from cliffkit.training.device import Device
from cliffkit_executors.local import Local


@pytest.fixture
def worker(gpu: Device) -> Iterator[Executor]:
    """One worker on the first GPU."""
    executor = Local(1, "cuda:0")
    yield executor
    executor.close()


def take(count: int, place: Place) -> int:
    """Take so many bytes as a job does; the peak of it."""
    with gpu_memory(place):
        torch.empty(count, dtype=torch.uint8, device=place.device).fill_(1)
        return peak_memory(place)


def read_beyond_the_end(nothing: None, place: Place) -> float:
    """Fail an assertion in a kernel."""
    with gpu_memory(place):
        return float(torch.arange(3.0, device=place.device)[torch.tensor([9], device=place.device)].sum())


def test_a_worker_gives_memory_back_after_each_job_and_tells_the_peak_of_that_job(worker: Executor) -> None:
    before = worker.submit(free_bytes, None).result()
    large, small = (worker.submit(take, count).result() for count in (2**30, 2**20))
    assert large >= 2**30
    assert 2**20 <= small < 2**28
    assert worker.submit(free_bytes, None).result() > before - 2**29


def test_a_worker_that_lost_its_gpu_ends_and_another_one_works_on(worker: Executor) -> None:
    error = worker.submit(read_beyond_the_end, None).exception()
    assert isinstance(error, UserError)
    assert f"exit code {LOST_GPU}" in str(error)
    assert worker.submit(take, 2**20).result() >= 2**20
