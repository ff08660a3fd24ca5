"""A study small enough to run in a test, and an executor that works in the test's own process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import torch

from cliffkit.components.registry import Registry
from cliffkit.interfaces import Executor, Place, Result, Task
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.cells import Cell, plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.run import run_cells
from cliffkit.study.study import Study

BASE = """\
name: small
data: {use: rooms, size: [32, 32], train: 8, val: 4, test: 5, height: 32, width: 48}
model: {backbone: {use: handbuilt}, pyramid: {use: symmetric, channels: 4}, fusion: {use: cliff}}
embedding: {use: heg_s, weights: [2, 3], warmup_steps: 2}
loss: [{use: l1}]
train:
  precision: fp32
  embedding: {steps: 4, batch: 4}
  depth: {steps: 4, batch: 4, validate_every: 2}
"""
STUDY = """\
name: small
base: base.yaml
seeds: [0, 1]
axes:
  embedding: {none: {embedding: {use: none}}, heg_s: {}}
  fusion: {cliff: {}, add: {model.fusion: {use: add}}}
compare: {reference: {embedding: none}}
"""


def write_study(folder: Path, study: str = STUDY, base: str = BASE) -> Path:
    """The study's file, its base beside it."""
    (folder / "base.yaml").write_text(base, encoding="utf-8")
    (folder / "study.yaml").write_text(study, encoding="utf-8")
    return folder / "study.yaml"


def small_study(folder: Path, registry: Registry, study: str = STUDY, base: str = BASE) -> tuple[Study, list[Cell]]:
    """The study and its cells."""
    loaded = load_study(write_study(folder, study, base), registry)
    return loaded, plan_cells(loaded, {})


class Inline(Executor):
    """Does each piece of work at once, in this process; keeps what it was given."""

    def __init__(self, slots: int = 1) -> None:
        self.slots, self.choices, self.place = slots, [slots], Place("cpu", torch.get_num_threads())
        self.given: list[str] = []

    def resize(self, slots: int) -> None:
        self.slots = slots

    def submit(self, work: Callable[[Task, Place], Result], task: Task) -> Future[Result]:
        job = task.job  # type: ignore[attr-defined]
        self.given.append(f"{job.stage}-{job.key}")
        future: Future[Result] = Future()
        future.set_result(work(task, self.place))
        return future

    def close(self) -> None:
        pass


def run_small(cells: list[Cell], runs: Path, executor: Executor | None = None) -> Board:
    """Run cells as `ablate` does, in this process unless told otherwise."""
    board = Board(cells, Store(runs))
    run_cells(board, executor or Inline(), {}, lambda board: None)
    return board


@dataclass(frozen=True)
class FinishedStudy:
    """A study that was run once for many tests. Read it; a test that writes copies it."""

    study: Study
    cells: list[Cell]
    runs: Path
    given: list[str]
    """The jobs that were begun, in their order."""

    def copy(self, to: Path, *without: str) -> Path:
        """A store like this one, but for jobs whose folder begins so."""
        ignored = shutil.ignore_patterns(*(f"{name}*" for name in without))
        return shutil.copytree(self.runs, to, ignore=ignored)
