"""What a study will cost on this machine: time, memory, disk; and how many workers serve it best.

Everything is measured: on jobs that the store holds from this machine, else by a probe, a few steps of the real loop on
random data in a real worker. Probes are kept in the store, so that a study that goes on chooses as it chose before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from cliffkit.data.splits import Roots, open_split
from cliffkit.interfaces import Executor
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.pace import Pace, Paces, units
from cliffkit.study.probe import ProbeTask, probe

NEARLY = 0.95
"""Workers are preferred to threads where they come this close: they also share what no thread speeds up."""

MEMORY_SHARE = 0.8
"""Of the free memory, for all workers together."""


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


def choose_workers(board: Board, executor: Executor, roots: Roots, say: Callable[[str], None]) -> str:
    """Let an executor run as many jobs of a study at once as are fastest; returns what was measured, if anything.

    The study's first depth job that has not failed is what is measured, done or not: a study that goes on thus finds
    the paces by which it chose before. `say` is told of what is measured now.
    """
    left = sum(job.stage == "depth" for job in board.to_do())
    if not left:
        return ""
    first = next(each.job for each in board.jobs.values() if each.job.stage == "depth" and each.state != "failed")
    return choose_slots(first, executor, board.store, roots, left, say)


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
        executor.resize(slots)
        if paces.get(job, executor.place) is None:
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
    """Give the pace of jobs by key when `slots` workers are busy; measured where it is not known."""
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


def forecast(
    jobs: Sequence[Job], executor: Executor, store: Store, roots: Roots, say: Callable[[str], None]
) -> Forecast:
    """Say what jobs that are not done will take, each of them measured or probed; `say` is told of probes."""
    known = Paces(store)
    if any(known.get(job, executor.place) is None for job in jobs):
        say("measuring what was not measured before")
    paces = paces_at(executor.slots, jobs, executor, known, roots)
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
