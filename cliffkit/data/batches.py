"""Which images make the batch of a step, and how they come to the device in time."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cliffkit.data.pack import Pack
from cliffkit.interfaces import Sample


def batch_indices(images: int, batch: int, seed: int, step: int) -> NDArray[np.int64]:
    """Choose the images of a step's batch: permutations of the split, one after another, are cut into batches."""
    positions = np.arange(step * batch, (step + 1) * batch)
    indices = np.empty(batch, np.int64)
    for epoch in np.unique(positions // images):
        inside = positions // images == epoch
        indices[inside] = _order(images, seed, int(epoch))[positions[inside] % images]
    return indices


@functools.lru_cache(maxsize=2)  # a batch may end one epoch and begin the next
def _order(images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Permute the images of a split for an epoch. Costs time with the split, so it is done once, not at each step."""
    return np.random.default_rng([seed, epoch]).permutation(images)


class Batches:
    """The batches of this process on its device, each brought by a thread while the one before is trained on.

    A GPU gets them from pinned memory, on a stream of their own, so that copies and training go on at once.
    """

    def __init__(self, pack: Pack, batch: int, seed: int, rank: int, world: int, device: torch.device) -> None:
        self.pack, self.batch, self.seed, self.rank, self.world, self.device = pack, batch, seed, rank, world, device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def load(self, step: int) -> Sample:
        """Gather this process's share of the batch of a step."""
        return self.pack.batch(self._indices(step)[self.rank :: self.world])

    def whole(self, step: int) -> Sample:
        """Gather the batch of a step, the shares of all processes in it."""
        return self.pack.batch(self._indices(step))

    def draws(self, step: int, count: int) -> Tensor:
        """Draw uniform numbers, (count, share of the batch). An image draws the same for any number of processes."""
        generator = torch.Generator().manual_seed(mix(self.seed, step))
        return torch.rand(count, self.batch, generator=generator)[:, self.rank :: self.world]

    def run(self, start: int, stop: int) -> Iterator[tuple[Sample, float]]:
        """Give each batch, on the device, with the seconds spent waiting for it."""
        with ThreadPoolExecutor(1, "batches", self._begin_thread) as thread:
            upcoming = thread.submit(self._bring, start)
            for step in range(start, stop):
                asked = time.monotonic()
                sample = self._received(upcoming.result())
                waited_s = time.monotonic() - asked
                if step + 1 < stop:
                    upcoming = thread.submit(self._bring, step + 1)
                yield sample, waited_s

    def _begin_thread(self) -> None:
        """Make the device the thread's current one: the first GPU would be, and would get memory of its own for it."""
        if self._stream is not None:
            torch.cuda.set_device(self._stream.device)

    def _bring(self, step: int) -> Sample:
        """Gather a batch and begin to copy it to the device."""
        sample = self.load(step)
        if self._stream is None:
            return sample.to(self.device)
        with torch.cuda.stream(self._stream):
            return sample.map(torch.Tensor.pin_memory).to(self.device)

    def _received(self, sample: Sample) -> Sample:
        """Let what the device does from now on wait for the copy; the host does not wait."""
        if self._stream is None:
            return sample
        training = torch.cuda.current_stream(self.device)
        training.wait_stream(self._stream)

        def used(tensor: Tensor) -> Tensor:
            tensor.record_stream(training)  # else the next copy could take its memory before training is done with it
            return tensor

        return sample.map(used)

    def _indices(self, step: int) -> NDArray[np.int64]:
        return batch_indices(len(self.pack), self.batch, self.seed, step)


def mix(*numbers: int) -> int:
    """Mix several numbers into one seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
