"""Samples of a data set, read by as many processes as pay."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import torch
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit.workers import available_cores, begin_worker, without_main

CHUNK = 12
"""Images read by a process at a time: a multiple of how many a chunk of the usual HDF5 files holds, as 3 or 6."""

IMAGES_PER_PROCESS = 64
"""Smallest number of images for another process: with fewer, its start takes longer than it saves."""


def read_sample(dataset: Dataset, index: int) -> Sample:
    """Read the index-th image at full size. Raises UserError that names it where it cannot be read."""
    try:
        return dataset[index]
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{dataset.name(index)}: {error}") from error


Change = Callable[[Sample], Sample]


def read_in_order(dataset: Dataset, change: Change) -> Iterator[tuple[int, list[Sample]]]:
    """Give runs of neighbouring images in order, each changed by a picklable function, read by processes that pay.

    Where the system gives no other process, this one reads. Raises UserError where an image cannot be read, or a
    process that reads dies.
    """
    ranges = [(start, min(start + CHUNK, len(dataset))) for start in range(0, len(dataset), CHUNK)]
    processes = min(available_cores(), len(dataset) // IMAGES_PER_PROCESS)
    pool = _open_pool(processes)
    if pool is None:
        for start, stop in ranges:
            yield start, _read(dataset, start, stop, change)
        return
    with pool:
        try:
            upcoming: deque[tuple[int, Future[list[Arrays]]]] = deque()
            for start, stop in ranges:
                with without_main():
                    upcoming.append((start, pool.submit(_read_arrays, dataset, start, stop, change)))
                if len(upcoming) > 2 * processes:  # no more are in memory, however slow the caller is
                    yield _samples(*upcoming.popleft())
            while upcoming:
                yield _samples(*upcoming.popleft())
        except BrokenProcessPool as error:
            raise UserError(
                "a process that reads images was killed, as happens when memory runs out, or crashed, as on a damaged "
                "file; free memory, and look at the data with `cliffkit data check`"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _open_pool(processes: int) -> ProcessPoolExecutor | None:
    """Start processes that read; None where fewer than two pay, or the system gives none, as with a full /dev/shm."""
    if processes < 2:
        return None
    pool = None
    try:
        with without_main():
            pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin)
            pool.submit(os.getpid)  # starts them
    except OSError:
        if pool is not None:
            pool.shutdown(wait=False)
        return None
    return pool


def _begin() -> None:
    begin_worker()
    torch.set_num_threads(1)


def _read(dataset: Dataset, start: int, stop: int, change: Change) -> list[Sample]:
    return [change(read_sample(dataset, i)) for i in range(start, stop)]


Arrays = tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]
"""A sample's own tensors and its extras, as arrays: tensors sent between processes would hold a file open each."""


def _read_arrays(dataset: Dataset, start: int, stop: int, change: Change) -> list[Arrays]:
    return [
        (
            {name: tensor.numpy() for name, tensor in sample._replace(extras={}).tensors().items()},
            {name: tensor.numpy() for name, tensor in sample.extras.items()},
        )
        for sample in _read(dataset, start, stop, change)
    ]


def _samples(start: int, future: Future[list[Arrays]]) -> tuple[int, list[Sample]]:
    return start, [_sample(arrays) for arrays in future.result()]


def _sample(arrays: Arrays) -> Sample:
    tensors, extras = ({name: torch.from_numpy(array) for name, array in named.items()} for named in arrays)
    return Sample(
        tensors["image"], tensors["depth"], tensors["valid"], tensors["scene"], tensors.get("intrinsics"), extras
    )
