"""What running a study takes: an executor, parts that can be built, cells told of as they end."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import torch

from cliffkit.components.registry import Registry
from cliffkit.data.splits import Roots
from cliffkit.display.board import BoardView
from cliffkit.errors import PartError, RecipeError, UserError
from cliffkit.events import CellFinished, Emit, Notice
from cliffkit.interfaces import Executor, State
from cliffkit.jobs.announce import announcer
from cliffkit.jobs.course import Course
from cliffkit.jobs.run_folder import name_jobs
from cliffkit.jobs.track import tell_ended
from cliffkit.method.buildable import check_buildable
from cliffkit.recipe.check import check_part
from cliffkit.report.power import outlook
from cliffkit.report.wording import listed
from cliffkit.store.job import Job
from cliffkit.study.board import Board
from cliffkit.study.forecast import choose_workers
from cliffkit.study.power import foresee
from cliffkit.study.run import run_cells, set_damaged_aside
from cliffkit.training.speed import check_speed
from cliffkit.verbs.opened import OpenedStudy


def open_executor(registry: Registry, executor: str | Mapping[str, Any], workers: int | None, device: str) -> Executor:
    """Build an executor: its name, or a mapping with `use` and options. Raises UserError for what is wrong with it."""
    built = check_part("executor", executor, registry, "--executor").build(workers, device)
    assert isinstance(built, Executor)
    return built


def check_variants(board: Board, roots: Roots, tell: Emit) -> list[tuple[Job, str, str]]:
    """Build what each variant that is to be trained is made of, once.

    Raises UserError with every fault that the user can mend. A part that fails by its own fault fails the cells that
    use it, and `tell` hears of it once; the others go on. Returns the jobs that failed so, with reason and details,
    for the store.
    """
    failed: list[tuple[Job, str, str]] = []
    failures: dict[str, tuple[str, str] | None] = {}
    said: set[str] = set()  # trials of a variant fail in the same words
    faults: dict[tuple[str, str], str] = {}
    refusals: dict[str, list[str]] = {}  # the variants that a fault without a place is of, by its words
    for cell in board.needed:
        entry = next(board.jobs[job.key] for job in cell.jobs if job.stage == "depth")
        if entry.state in ("done", "failed"):
            continue

        train = cell.recipe.train
        batches = [fit.settings.batch for fit in (train.embedding, train.depth) if fit is not None]
        parts = json.dumps(
            [
                batches,
                train.depth.settings.speed,
                *((part.component.kind, part.to_dict()) for part in cell.recipe.parts()),
            ]
        )
        if parts not in failures:
            failures[parts] = None
            try:
                check_buildable(cell.recipe, roots)
            except PartError as error:
                failures[parts] = str(error), traceback.format_exc()
                text = f"variant '{cell.variant.name}' fails, the others go on: {error}"
                if text not in said:
                    said.add(text)
                    tell(Notice(text))
            except RecipeError as error:  # faults of places in files, which variants share
                for fault in error.faults:
                    faults.setdefault((fault.place, fault.path), f"{fault} (in variant '{cell.variant.name}')")
            except UserError as error:
                refusals.setdefault(str(error), []).append(f"'{cell.variant.name}'")

        failure = failures[parts]
        if failure is not None:
            failed.append((entry.job, *failure))
            board.put(entry, "failed", failure[0])
    if faults or refusals:
        refused = (f"variant{'s' * (len(names) > 1)} {listed(names, 3)}: {text}" for text, names in refusals.items())
        raise UserError("\n".join([*faults.values(), *refused]))
    return failed


def check_speeds(board: Board, executor: Executor) -> None:
    """Raise UserError where the places of an executor do not allow the form of a step that a cell asks for."""
    if executor.place.device != "auto":
        for speed in sorted({cell.recipe.train.depth.settings.speed for cell in board.needed}):
            check_speed(speed, torch.device(executor.place.device), 1)


def ended_cells(board: Board) -> set[int]:
    """Give the ids of the cells that are done or failed."""
    return {id(cell) for cell in board.needed if board.cell_state(cell) in ("done", "failed")}


def do_board(
    board: Board,
    work: OpenedStudy,
    build: Callable[[], Executor],
    view: BoardView,
    tell: Emit,
    checkpoint_every: int | None,
) -> None:
    """Do what is left of a board on an executor that is built for it; parts that cannot be built fail their cells."""
    ended = ended_cells(board)
    for job, reason, details in check_variants(board, work.roots, tell):
        board.store.fail(job, reason, details)
    with closing(build()) as built:
        do_cells(board, work, built, view, tell, checkpoint_every, ended)


def do_trials(
    work: OpenedStudy, build: Callable[[], Executor], view: BoardView, tell: Emit, checkpoint_every: int | None
) -> OpenedStudy:
    """Do the trials of a study's search, and plan its cells with the values that they choose.

    Says before the first trial what the study can see. Does nothing where a study has no search.

    Cells whose values cannot be chosen, since a trial was stopped, are left to the next `ablate`.
    """
    board = work.trials
    if board is None:
        return work
    set_damaged_aside(board, announcer(work.plugins, tell))
    if board.to_do():
        say_power(work, tell)
        do_board(board, work, build, view, tell, checkpoint_every)
    work = work.tuned()
    name_jobs(work.folder, work.jobs)
    for cell in work.board.cells:
        if cell.choice is not None and cell.choice.chosen is None:
            work.board.put(work.board.jobs[cell.jobs[-1].key], "failed", cell.choice.reason)
    for cell in work.board.cells:
        if cell.seed == work.study.seeds[0] and cell.choice is not None and not cell.variant.is_placebo:
            tell(Notice(f"{cell.variant.name}: {cell.choice.describe()}"))
    return work


def say_power(work: OpenedStudy, tell: Emit) -> None:
    """Say what a study can see with its seeds."""
    tell(Notice(outlook(foresee(work.study, work.board.cells, work.board.store, work.roots))))


def do_cells(
    board: Board,
    work: OpenedStudy,
    executor: Executor,
    view: BoardView,
    tell: Emit,
    checkpoint_every: int | None,
    ended: set[int],
) -> None:
    """Do the jobs that are left, and tell of every cell that ends. Cells in `ended`, by id, were told of before."""
    check_speeds(board, executor)
    if any(job.stage == "depth" for job in board.to_do()):
        measured = choose_workers(board, executor, work.roots, lambda text: tell(Notice(text)))
        how = f"{executor.slots} at once, {executor.place.threads} threads each, on {executor.place.device}"
        tell(Notice(how + (f" ({measured})" if measured else "")))

    emit = announcer(work.plugins, tell)
    is_trial = board is work.trials  # trials have no runs that people look at

    def show(board: Board) -> None:
        view.show(board)
        for cell in board.needed:
            state = board.cell_state(cell)
            if state in ("done", "failed") and id(cell) not in ended:
                ended.add(id(cell))
                run = None if is_trial else work.facts(cell)
                emit(CellFinished(cell.variant.name, cell.own_seed, state, board.cell_reason(cell), run=run))

    watching = ((), None) if is_trial else (work.trackers, work.facts)
    run_cells(board, executor, work.roots, show, emit, checkpoint_every, *watching)


def track_cells(work: OpenedStudy, tell: Emit) -> None:
    """Tell trackers of every cell that has ended what they were not told: of those done before, and how each ended."""
    board = work.board
    states: Mapping[str, State] = {"done": "done", "failed": "failed"}
    ended = [
        (
            Course(work.facts(cell), cell.recipe.to_dict(), board.store, cell.jobs),
            states[state],
            board.cell_reason(cell),
        )
        for cell in board.needed
        if (state := board.cell_state(cell)) in states
    ]
    tell_ended(ended if work.trackers else [], work.trackers, announcer(work.plugins, tell))
