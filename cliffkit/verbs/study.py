"""A study: run, forecast, reported."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress as Bars

from cliffkit.components.load import Plugins
from cliffkit.data.splits import Roots
from cliffkit.display.board import BoardView
from cliffkit.display.screen import can_redraw, screen
from cliffkit.events import Emit, Event, Notice
from cliffkit.jobs.announce import announcer
from cliffkit.jobs.run_folder import is_published, name_jobs, publish, run_folder
from cliffkit.report.gallery import make_gallery
from cliffkit.report.write import write_report
from cliffkit.store.files import make_folder, write_text
from cliffkit.store.store import Store
from cliffkit.study.analysis import analyse
from cliffkit.study.board import Board
from cliffkit.study.cells import plan_cells
from cliffkit.study.forecast import choose_workers
from cliffkit.study.forecast import forecast as expect
from cliffkit.study.results import load_results
from cliffkit.study.run import set_damaged_aside
from cliffkit.study.study import Study
from cliffkit.training.device import open_device
from cliffkit.verbs.findings import Findings, Outlook
from cliffkit.verbs.inputs import (
    AnyPath,
    Data,
    Progress,
    Settings,
    StudyLike,
    folders,
    installed_plugins,
    open_study,
    path_of,
    texts,
)
from cliffkit.verbs.study_work import check_variants, do_cells, ended_cells, open_executor

BUILT_IN = "cliffnet"
"""The shipped study that is run where none is named."""


def ablate(
    study: StudyLike = BUILT_IN,
    *,
    set: Settings = (),
    data: Data | None = None,
    runs: AnyPath = "runs",
    device: str = "auto",
    workers: int | None = None,
    executor: str | Mapping[str, Any] = "local",
    retry_failed: bool = False,
    checkpoint_every: int | None = None,
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Findings:
    """Run a study, or go on with it; write its report, and say which differences are more than noise.

    Args:
        study: path of a study, name of a shipped one, or what a study says as a mapping. A mapping's base may be a
            path, a name or a mapping too.
        set: changes to the base recipe, values by their paths, as after --set on the command line.
        data: folders of data sets by the data sets' names.
        runs: folder of runs and of the finished jobs that they share.
        device: auto takes every GPU there is; else cpu, cuda, cuda:1, mps.
        workers: jobs at once; by default one per GPU, on a CPU the number that is fastest, measured once.
        executor: where jobs run, a name or a mapping with `use` and options; see `cliffkit list executor`.
        retry_failed: try jobs again that failed before; else they are left alone.
        checkpoint_every: save a checkpoint after every so many steps too; one is saved every 20 seconds anyway.
        progress: whether to show it, or a function that is called with a Notice for what the user should know, and
            with CellFinished for every cell that ends.
        plugins: those to use; by default the installed ones.

    Cells that fail are named by `findings.failed`, and harm no other. Interrupted, the same call goes on where it was.
    Raises RecipeError (a UserError) with every fault of the study, UserError for whatever else the user can mend.

    Example:
        findings = cliffkit.ablate("cliffnet", set={"train.depth.steps": 50})
        findings.verdicts["none + add"]
    """
    work = _open(study, set, data, runs, plugins, retry_failed)
    with BoardView(work.study.name, active=progress is True) as view:
        tell = _teller(view, progress)
        for note in work.study.notes:
            tell(Notice(note))
        name_jobs(_folder(work.board.store, work.study), (entry.job for entry in work.board.jobs.values()))
        set_damaged_aside(work.board, announcer(work.plugins, tell))
        failed = work.board.count("failed")
        if failed:
            tell(Notice(f"{failed} cells failed before and are left alone; mend the cause, then add --retry-failed"))
        if work.board.to_do():
            ended = ended_cells(work.board)
            for job, reason, details in check_variants(work.board, work.roots, tell):
                work.board.store.fail(job, reason, details)
            with closing(open_executor(work.plugins.registry, executor, workers, device)) as built:
                do_cells(work.board, built, work.roots, view, tell, work.plugins, checkpoint_every, ended)
        elif not failed:
            tell(Notice("Nothing to do: every cell of this study is in the store."))

    _publish(work.board, work.study)
    return _report(work, device, progress)


def forecast(
    study: StudyLike = BUILT_IN,
    *,
    set: Settings = (),
    data: Data | None = None,
    runs: AnyPath = "runs",
    device: str = "auto",
    workers: int | None = None,
    executor: str | Mapping[str, Any] = "local",
    retry_failed: bool = False,
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Outlook:
    """Say what is left to do of a study, and what it will take: time, disk, memory. Runs none of it.

    Arguments and errors as for `ablate`. What was not measured before is measured, a few steps of each kind of work.

    Example: `cliffkit.forecast("cliffnet").expected.seconds`.
    """
    work = _open(study, set, data, runs, plugins, retry_failed)
    board, roots = work.board, work.roots
    with (
        BoardView(work.study.name, active=progress is True) as view,
        closing(open_executor(work.plugins.registry, executor, workers, device)) as built,
    ):
        tell = _teller(view, progress)
        for note in work.study.notes:
            tell(Notice(note))

        def say(text: str) -> None:
            tell(Notice(text))

        if board.to_do():
            check_variants(board, roots, tell)
        choose_workers(board, built, roots, say)
        return Outlook(work.study, board, expect(board.to_do(), built, board.store, roots, say))


def report(
    study: StudyLike = BUILT_IN,
    *,
    set: Settings = (),
    data: Data | None = None,
    runs: AnyPath = "runs",
    device: str = "auto",
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Findings:
    """Write the report of what is done of a study. Trains nothing. Arguments and errors as for `ablate`."""
    return _report(_open(study, set, data, runs, plugins), device, progress)


def load_study(
    study: StudyLike = BUILT_IN,
    *,
    set: Settings = (),
    data: Data | None = None,
    runs: AnyPath = "runs",
    device: str = "auto",
    plugins: Plugins | None = None,
) -> Findings:
    """Load what is done of a study. Trains nothing, writes nothing. Arguments and errors as for `ablate`.

    Example: `cliffkit.load_study("cliffnet").table()`.
    """
    work = _open(study, set, data, runs, plugins)
    results = load_results(work.study, work.board.cells, work.board.store)
    return Findings(results, analyse(results), _folder(work.board.store, work.study), {}, device)


@dataclass(frozen=True)
class _Opened:
    """A study that is checked, with how far it is."""

    given: StudyLike
    settings: Sequence[str]
    """Changes to the base recipe, as after --set."""
    plugins: Plugins
    roots: Roots
    """Folders of data sets, absolute, since workers may run in other folders."""
    study: Study
    board: Board


def _open(
    study: StudyLike,
    settings: Settings,
    data: Data | None,
    runs: AnyPath,
    plugins: Plugins | None,
    retry_failed: bool = False,
) -> _Opened:
    """Check a study and look how far it is; a file of the working folder goes before the shipped study."""
    plugins = plugins or installed_plugins()
    registry = plugins.registry
    roots = {name: folder.resolve() for name, folder in folders(data, registry).items()}

    local = Path("recipes/studies/cliffnet.yaml")
    is_built_in = not isinstance(study, Mapping) and str(study) == BUILT_IN
    checked = open_study(local if is_built_in and local.is_file() else study, registry, texts(settings))
    board = Board(plan_cells(checked, roots), Store(path_of(runs, "runs")))
    if retry_failed:
        board.retry()
    return _Opened(study, texts(settings), plugins, roots, checked, board)


def _teller(view: BoardView, progress: Progress) -> Emit:
    def tell(event: Event) -> None:
        view.hear(event)
        if callable(progress):
            progress(event)

    return tell


def _folder(store: Store, study: Study) -> Path:
    return store.root / "studies" / study.name


def _publish(board: Board, study: Study) -> None:
    """Lay out a run folder for every cell that is done and has none, so that `predict` and `evaluate` can use it."""
    folder = _folder(board.store, study) / "cells"
    for cell in board.cells:
        if board.cell_state(cell) == "done" and not is_published(run_folder(cell.recipe, cell.jobs, folder)):
            publish(cell.recipe, cell.jobs, board.store, parent=folder)


def _report(work: _Opened, device: str, progress: Progress) -> Findings:
    """Read results, compare, write the report."""
    study, store = work.study, work.board.store
    console = screen()
    with Bars(console=console, transient=True, disable=progress is not True or not can_redraw(console)) as bars:
        task = bars.add_task("reading results", total=None)

        def say(text: str) -> None:
            bars.update(task, description=text, completed=0, total=None)

        def advance(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        results = load_results(study, work.board.cells, store)
        say("comparing")
        analysis = analyse(results)
        say("gallery")
        gallery = make_gallery(results, work.roots, open_device(device, "fp32").torch, advance)
        folder = _folder(store, study)
        make_folder(folder)
        command = _command(_file(work.given, study, folder), work.settings, work.roots)
        written = write_report(results, analysis, folder, gallery=gallery, command=command, progress=say)
    return Findings(results, analysis, folder, written, device)


def _file(given: StudyLike, study: Study, folder: Path) -> str:
    """Name the study for a command. A study that is no file is written into its folder."""
    if not isinstance(given, Mapping):
        return str(given)
    write_text(folder / "study.yaml", study.text)
    return str(folder / "study.yaml")


def _command(study: str, settings: Iterable[str], roots: Iterable[str]) -> str:
    """Give the command that does this study again, elsewhere too: the reader fills in where data lie."""
    words = ["cliffkit", "ablate", study]
    words += [word for text in settings for word in ("--set", text)]
    return " ".join([shlex.join(words), *(f"--data {name}=FOLDER" for name in roots)])
