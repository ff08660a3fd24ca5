"""One job in a worker process: what an executor is given to run."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from accelerate.utils.memory import clear_device_cache

from cliffkit.components.isolate import explain
from cliffkit.components.load import Plugins, load_plugins
from cliffkit.data.splits import Roots
from cliffkit.errors import PartError, Stopped, UserError
from cliffkit.events import Event, JobSetAside, Notice, RunFacts, TrackerFailed
from cliffkit.interfaces import Place
from cliffkit.jobs.announce import announcer
from cliffkit.jobs.course import Course
from cliffkit.jobs.execute import Means, run_job
from cliffkit.jobs.track import followed
from cliffkit.recipe.part import Part
from cliffkit.store.files import writing
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.training.device import open_device
from cliffkit.workers import stoppable

LOST_GPU = 3
"""Exit code of a process whose GPU answers no more."""


@dataclass(frozen=True)
class JobTask:
    """One job for a worker; the jobs that it needs are done."""

    job: Job
    runs: Path
    """The store's folder."""
    roots: Roots
    checkpoint_every: int | None = None
    """Steps after which a fit saves a checkpoint, beside those by the clock."""
    run: RunFacts | None = None
    """The cell that the job is of; None where several cells share it."""
    jobs: tuple[Job, ...] = ()
    """All jobs of that cell, in the order of their needs."""
    trackers: tuple[Part, ...] = ()
    """The trackers that are told of that cell."""

    def course(self) -> Course | None:
        """Give what trackers are told of; None where nothing is to be told."""
        if self.run is None or not self.trackers:
            return None
        return Course(self.run, self.jobs[-1].recipe.to_dict(), Store(self.runs), self.jobs)


class Outcome(NamedTuple):
    """The outcome of a worker's job."""

    state: Literal["done", "busy", "failed"]
    """`busy`: another process works on it."""
    reason: str = ""
    """Why it failed; the store has the details."""
    memory_bytes: int = 0
    """Largest memory of its process; 0 unless done."""
    events: tuple[JobSetAside | TrackerFailed, ...] = ()
    """Events that the study tells too."""


def do_job(task: JobTask, place: Place) -> Outcome:
    """Do one job of a study in a worker process.

    Plugins receive its events in that process; the study reads its progress from the store. Raises Stopped where a
    signal asks the worker to end. Ends the process where the job leaves it without its GPU; the store says why.
    """
    torch.set_num_threads(place.threads)
    with gpu_memory(place):
        outcome = _attempt(task, place)
        if outcome.state == "failed" and _has_lost_gpu(place):
            os._exit(LOST_GPU)  # an orderly end would free tensors, which fails too
    return outcome


def _attempt(task: JobTask, place: Place) -> Outcome:
    """Do a job; whatever fails is written into the store."""
    job, store = task.job, Store(task.runs)

    def waiting() -> None:
        raise _BusyError

    events: list[JobSetAside | TrackerFailed] = []

    def hear(event: Event) -> None:
        if isinstance(event, JobSetAside | TrackerFailed):
            events.append(event)
        if isinstance(event, Notice | JobSetAside | TrackerFailed):  # the study shows the job's progress by itself
            print(event.text if isinstance(event, Notice) else event, file=sys.stderr)

    with _output_to(store.log(job)), stoppable():
        try:
            course = task.course()
            device = open_device(place.device, job.recipe.train.precision)
            with followed(course, task.trackers, announcer(_plugins(), hear, task.run)) as emit:
                means = Means(store, device, task.roots, emit, task.checkpoint_every, pictured=course is not None)
                run_job(job, means, waiting)
        except _BusyError:
            return Outcome("busy", events=tuple(events))
        except (KeyboardInterrupt, Stopped):
            raise
        except UserError as error:
            reason, details = str(error), traceback.format_exc() if isinstance(error, PartError) else ""
        except BaseException as error:  # a failure of one cell must not stop the others, nor must its sys.exit
            reason = explain(error, [part.component for part in job.recipe.parts()])
            details = traceback.format_exc()
        else:
            return Outcome("done", memory_bytes=peak_memory(place), events=tuple(events))
    store.fail(job, reason, details)
    return Outcome("failed", reason, events=tuple(events))


@contextlib.contextmanager
def gpu_memory(place: Place) -> Iterator[None]:
    """Count the peak of a GPU's memory anew within the block; afterwards give other processes what torch keeps of it.

    Ends the process where an error leaves it without its GPU. Does nothing where the place is no GPU.
    """
    if not _is_gpu(place):
        yield
        return
    if _has_used_gpu():  # else there is no peak of an earlier job
        torch.cuda.reset_peak_memory_stats(place.device)
    try:
        yield
    except Exception as error:
        chained: BaseException | None = error
        while chained is not None:  # the frames of a traceback hold tensors until somebody drops the error
            traceback.clear_frames(chained.__traceback__)
            chained = chained.__cause__ or chained.__context__
        if _has_lost_gpu(place):
            traceback.print_exception(error)  # whoever waits for the result learns no more than the exit code
            sys.stderr.flush()
            os._exit(LOST_GPU)
        clear_device_cache(garbage_collection=True)
        raise
    clear_device_cache(garbage_collection=True)


def _has_lost_gpu(place: Place) -> bool:
    """Tell whether this process can use its GPU no more, as after an assertion in a kernel or an illegal access.

    Until its end such a process fails at every call. It would fail the cells of a study one after another.
    """
    if not _is_gpu(place) or not _has_used_gpu():
        return False
    try:
        torch.cuda.synchronize(place.device)
    except RuntimeError:
        return True
    return False


def _is_gpu(place: Place) -> bool:
    return place.device.startswith("cuda")


def _has_used_gpu() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def peak_memory(place: Place) -> int:
    """Measure the largest memory of this process, bytes; on a GPU, the memory that torch took there."""
    if _is_gpu(place):
        return int(torch.cuda.max_memory_reserved(place.device))
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class _BusyError(Exception):
    """Another process works on the job."""


@functools.cache
def _plugins() -> Plugins:
    return load_plugins()


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Append prints within the block, those of C code too, to a file; an empty file is removed."""
    sys.stdout.flush()
    sys.stderr.flush()
    originals = [os.dup(number) for number in (1, 2)]
    with writing(path):
        file = path.open("ab")
    with file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, original in zip((1, 2), originals, strict=True):
                os.dup2(original, number)
                os.close(original)
    with contextlib.suppress(FileNotFoundError):
        if not path.stat().st_size:
            path.unlink()
