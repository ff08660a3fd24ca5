"""A study's cost on this machine (time, memory, disk), and the number of workers that is fastest.

Every figure is measured, either on finished jobs of this machine or by a probe. A probe is a few steps of the real loop
on random data in a real worker. The store keeps the figures, so that a resumed study makes the same choice again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil
import torch

from cliffkit.data.pack import PACKED_PIXEL_BYTES
from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import Stopped, UserError, cause
from cliffkit.interfaces import Executor, Place
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.pace import Pace, Paces, slowest, units
from cliffkit.study.probe import ProbeTask, free_bytes, probe

NEARLY = 0.95
"""Share of the best speed from which a number of workers is as good as the best. On a processor the most such workers
are taken, not more threads for each: they also share work that threads cannot speed up. On a GPU the fewest are taken:
each takes memory."""

ALONE = ("pack", "images")
"""Stages that use every core by themselves."""

MEMORY_SHARE = 0.8
"""Of the free memory for all workers together, on a GPU for all of that GPU."""

CONTEXT_BYTES = 600_000_000
"""What CUDA takes of a GPU for each process, beside what torch allocates: about half a gigabyte."""


LOADED = 0.25
"""Share of the cores in use, before a study begins, from which the number of workers is measured anew."""


@dataclass(frozen=True)
class Forecast:
    """The cost of the jobs of a study that are not done, by this machine's pace."""

    seconds: float
    """Time with `workers` workers."""
    workers: int
    disk_bytes: int
    memory_bytes: int
    """Of all workers together."""
    by_stage: Mapping[str, tuple[int, float]]
    """By stage: the number of jobs, and their seconds one after another."""


def choose_workers(board: Board, executor: Executor, roots: Roots, say: Callable[[str], None]) -> str:
    """Set an executor to the number of slots that is fastest for a study; returns the measured speeds in words.

    A depth job that has not failed is measured, done or not: the first whose pace is known already, else the first of
    all. So a resumed study finds the paces by which it chose before, even if the measured job has failed since. Where
    other programs load the processor, those paces say little: the job is measured anew, and its paces are not kept.
    Where the parts of a job fail in the measurement, the first job of another kind of work is measured. `say` receives
    a line before each new measurement. The text is empty where nothing is measured.
    """
    jobs_left = sum(job.stage == "depth" for job in board.to_do())
    if not jobs_left:
        return ""
    executor.resize(min(executor.choices))
    paces = Paces(board.store)
    if len(executor.choices) > 1 and torch.device(executor.place.device).type == "cpu":
        busy = busy_share()
        if busy > LOADED:
            say(f"other programs take {busy:.0%} of the processor")
            paces = Paces(board.store, fresh=True)
    for job in _one_of_each_kind(board, paces, executor.place):
        try:
            return choose_slots(job, executor, paces, roots, jobs_left, say)
        except UserError as error:
            say(str(error))
    executor.resize(min(executor.choices))
    return ""


def busy_share() -> float:
    """Measure the share of all cores that is in use, within half a second; this process sleeps meanwhile."""
    return float(psutil.cpu_percent(interval=0.5)) / 100


def _one_of_each_kind(board: Board, paces: Paces, place: Place) -> list[Job]:
    """List a depth job of each kind of work that has not failed, those whose pace is known first."""
    entries = [entry for entry in board.jobs.values() if entry.job.stage == "depth" and entry.state != "failed"]
    kinds: dict[str, Job] = {}
    for entry in entries:
        kinds.setdefault(paces.kind(entry.job, place), entry.job)
    return sorted(kinds.values(), key=lambda job: paces.get(job, place) is None)


def choose_slots(
    job: Job, executor: Executor, paces: Paces, roots: Roots, most: int, say: Callable[[str], None]
) -> str:
    """Set an executor to the number of slots that is fastest for jobs like this; returns the measured speeds.

    `most` is the largest number of jobs that ever run at once. Raises UserError where the job fails with the fewest
    slots.
    """
    choices = [slots for slots in executor.choices if slots <= most] or [min(executor.choices)]
    if len(choices) == 1:
        executor.resize(choices[0])
        return ""
    executor.resize(choices[0])
    speeds: dict[int, float] = {}
    lines = []
    gpu = _is_on_gpu(executor)
    free = MEMORY_SHARE * (_least_free(executor) if gpu else psutil.virtual_memory().available)
    own = CONTEXT_BYTES if gpu else 0
    for slots in choices:
        executor.resize(slots)
        if paces.get(job, executor.place) is None:
            say(f"measuring how fast {slots} at once train (to choose between {', '.join(map(str, choices))})")
        try:
            pace = paces_at(slots, [job], executor, paces, roots, _refuse)[job.key]
        except UserError as error:
            if not speeds:
                raise
            lines.append(f"{slots} at once failed: {error}")
            break
        if pace.halved and speeds:
            lines.append(f"{slots} at once failed: out of memory")
            break
        speeds[slots] = slots / pace.seconds
        lines.append(f"{slots} at once: {speeds[slots]:.2f} steps/s")
        if pace.halved or _at_next(slots, executor) * (pace.memory_bytes + own) > free:
            lines.append("more would not fit into memory")
            break
    nearly_best = [slots for slots in speeds if speeds[slots] >= NEARLY * max(speeds.values())]
    executor.resize(min(nearly_best) if gpu else max(nearly_best))
    return "; ".join(lines)


def _is_on_gpu(executor: Executor) -> bool:
    return torch.device(executor.place.device).type == "cuda"


def _least_free(executor: Executor) -> int:
    """Ask the workers of an executor how many bytes of each GPU are free, and give the least.

    Workers are asked since this process would begin to use the GPU by asking. There is one for each GPU where the
    executor runs the fewest at once.
    """
    futures = [executor.submit(free_bytes, None) for _ in range(executor.slots)]
    for future in futures:
        error = future.exception()
        if isinstance(error, Stopped | UserError):
            raise error
        if error is not None:
            raise UserError(f"the free memory of {executor.place.device} is not known: {cause(error)}")
    return min(future.result() for future in futures)


def _at_next(slots: int, executor: Executor) -> int:
    """Count the workers that share a memory at the next choice: those of one GPU, at least one more on a CPU."""
    if not _is_on_gpu(executor):
        return slots + 1
    return min((more for more in executor.choices if more > slots), default=slots) // min(executor.choices)


def _refuse(reason: str) -> None:
    raise UserError(reason)


def paces_at(
    slots: int, jobs: Sequence[Job], executor: Executor, paces: Paces, roots: Roots, failed: Callable[[str], None]
) -> dict[str, Pace]:
    """Give the pace of jobs by key while `slots` workers are busy; unknown paces are measured.

    `failed` is called with the reason for each job that fails while it is measured; its pace is absent.
    """
    executor.resize(slots)
    place = executor.place
    unknown = {paces.kind(job, place): job for job in jobs if paces.get(job, place) is None}
    queue = list(unknown.items())
    measured: dict[str, Pace] = {}
    while queue:
        batch, queue = queue[:slots], queue[slots:]
        busy = [*batch, *(batch * slots)[: slots - len(batch)]]  # every worker computes, as it will in the study
        futures = [(kind, executor.submit(probe, ProbeTask(job, roots))) for kind, job in busy]
        samples: dict[str, list[Pace]] = {}
        reasons: dict[str, str] = {}
        for kind, future in futures:
            error = future.exception()
            if error is None:
                samples.setdefault(kind, []).append(future.result())
            elif isinstance(error, Stopped):
                raise error
            else:
                reasons[kind] = str(error) if isinstance(error, UserError) else cause(error)
        for kind, reason in reasons.items():
            failed(f"{unknown[kind].stage} of {unknown[kind].recipe.name} cannot be measured: {reason}")
        measured |= {kind: slowest(results) for kind, results in samples.items() if kind not in reasons}
    if measured:
        paces.learn(measured)
    return {job.key: pace for job in jobs if (pace := paces.get(job, place)) is not None}


def forecast(
    jobs: Sequence[Job], executor: Executor, store: Store, roots: Roots, say: Callable[[str], None]
) -> Forecast:
    """Forecast the cost of jobs that are not done; `say` receives a line before unknown paces are measured.

    Jobs that fail while they are measured are reported by `say` and not counted.
    """
    store_paces = Paces(store)
    if any(store_paces.get(job, executor.place) is None for job in jobs):
        say("measuring what was not measured before")
    paces = paces_at(executor.slots, jobs, executor, store_paces, roots, say)
    jobs = [job for job in jobs if job.key in paces]
    by_stage: dict[str, tuple[int, float]] = {}
    disk = 0
    for job in jobs:
        pace = paces[job.key]
        count, seconds = by_stage.get(job.stage, (0, 0.0))
        by_stage[job.stage] = (count + 1, seconds + pace.seconds * units(job))
        disk += pace.kept_bytes + (_pack_bytes(job, roots) if job.stage == "pack" else _FILES_BYTES)
    alone = sum(seconds for stage, (_, seconds) in by_stage.items() if stage in ALONE)
    shared = sum(seconds for stage, (_, seconds) in by_stage.items() if stage not in ALONE)
    longest = max((paces[job.key].seconds * units(job) for job in jobs if job.stage not in ALONE), default=0.0)
    memory = executor.slots * max((pace.memory_bytes for pace in paces.values()), default=0)
    seconds = alone + max(shared / executor.slots, longest)
    return Forecast(seconds, executor.slots, disk, memory, by_stage)


_FILES_BYTES = 1_000_000
"""Approximate size of a job's log, table and picture."""


def _pack_bytes(job: Job, roots: Roots) -> int:
    height, width = job.recipe.data.engine["size"]
    images = sum(len(open_split(job.recipe, split, roots)) for split in ("train", "val"))
    return int(images * height * width * PACKED_PIXEL_BYTES)
