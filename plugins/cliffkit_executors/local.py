"""Worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import torch

from cliffkit.errors import Stopped, UserError
from cliffkit.interfaces import Executor, Place, Result, Task
from cliffkit.workers import available_cores, begin_worker, without_main

GRACE_SECONDS = 10.0
"""Seconds for processes to end by themselves."""

STOPS = (-signal.SIGTERM, -signal.SIGHUP)
"""Exit codes of a process that was asked to end."""


MOST_PER_GPU = 8
"""Largest number of processes that share a GPU where the engine chooses."""


class Local(Executor):
    """As many processes per GPU, or on a processor, as the engine finds fastest; the cores are divided among them."""

    def __init__(self, workers: int | None, device: str) -> None:
        self._cores = available_cores()
        many = device in ("auto", "cuda") and torch.cuda.is_available()
        on_processor = device == "cpu" or (device == "auto" and not torch.accelerator.is_available())
        one = "cpu" if on_processor else str(torch.accelerator.current_accelerator()) if device == "auto" else device
        self._devices = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if many else [one]
        if workers is None and on_processor:
            self.choices = [2**k for k in range(self._cores.bit_length()) if 2**k < self._cores] + [self._cores]
        elif workers is None and many:
            gpus, most = len(self._devices), min(self._cores // len(self._devices), MOST_PER_GPU)
            self.choices = [gpus * 2**k for k in range(max(1, most.bit_length()))]
        else:
            self.choices = [workers or len(self._devices)]
        self._workers: list[_Worker] = []
        self.resize(self.choices[0])

    def resize(self, slots: int) -> None:
        """Divide the cores anew; processes beyond so many end, more are started when there is work for them.

        A process that waits for work holds memory, and on a GPU half a gigabyte of it for CUDA alone.
        """
        for worker in self._workers[slots:]:
            worker.kill()
        del self._workers[slots:]
        self.slots = slots
        self._threads = max(1, self._cores // slots)
        self._sharing = 1 if self._devices == ["cpu"] else -(-slots // len(self._devices))
        self.place = Place(self._devices[0], self._threads, self._sharing)

    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        """Begin a piece of work in a process that is free."""
        free = next((i for i, worker in enumerate(self._workers) if not worker.busy), None)
        if free is None:
            self._workers.append(_Worker())
            free = len(self._workers) - 1
        place = Place(self._devices[free % len(self._devices)], self._threads, self._sharing)
        return self._workers[free].submit(work, task, place)

    def close(self) -> None:
        """Stop every process; those that work are given GRACE_SECONDS to save a checkpoint."""
        try:
            for worker in self._workers:
                worker.stop()
            deadline = time.monotonic() + GRACE_SECONDS
            for worker in self._workers:
                worker.await_end(deadline - time.monotonic())
        finally:  # also where the user does not wait
            for worker in self._workers:
                worker.kill()
            self._workers = []


class _Worker:
    """One process, started with its first work and again after it died."""

    def __init__(self) -> None:
        self.busy = False
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None

    def submit(self, work: Callable[[Task, Place], Result], task: Task, place: Place) -> Future[Result]:
        self.busy = True
        before = set(multiprocessing.active_children())
        try:
            if self._pool is None:
                # a pool of one: the standard library's pools break whole when one of their processes dies
                self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin_worker)
            with without_main():
                inner = self._pool.submit(work, task, place)
        except OSError as error:
            raise UserError(
                f"executor 'local': no process for a worker: {error.strerror or error}; make room in /dev/shm if it is "
                "full, else use fewer --workers"
            ) from error
        started = set(multiprocessing.active_children()) - before
        self._process = started.pop() if started else self._process
        outer: Future[Result] = Future()
        outer.set_running_or_notify_cancel()
        inner.add_done_callback(lambda done: self._pass_on(done, outer))
        return outer

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.terminate()

    def await_end(self, seconds: float) -> None:
        if self._process is not None:
            wait([self._process.sentinel], max(0.0, seconds))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            wait([self._process.sentinel])
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _pass_on(self, inner: Future[Result], outer: Future[Result]) -> None:
        try:
            result = inner.result()
        except BrokenProcessPool:
            assert self._process is not None
            self._process.join()
            self._pool = None
            self.busy = False
            code = self._process.exitcode
            outer.set_exception(Stopped(-code) if code in STOPS else UserError(_death(code)))
        except BaseException as error:
            self.busy = False
            outer.set_exception(error)
        else:
            self.busy = False
            outer.set_result(result)


def _death(code: int | None) -> str:
    """Why a process ended, as far as its exit code tells."""
    if code == -signal.SIGKILL:
        return (
            "its process was killed by the system (SIGKILL), as happens when memory runs out; use fewer --workers, or "
            "lower train.depth.micro_batch"
        )
    if code is not None and code < 0:
        return f"its process crashed with {signal.Signals(-code).name}; the end of its log says more"
    return f"its process ended with exit code {code}; the end of its log says more"
