"""A study: run, forecast, reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from cliffkit.components.load import Plugins
from cliffkit.display.board import BoardView
from cliffkit.events import Emit, Event, Notice
from cliffkit.interfaces import Executor
from cliffkit.jobs.announce import announcer
from cliffkit.jobs.run_folder import name_jobs
from cliffkit.recipe.lengths import too_late
from cliffkit.study.analysis import analyse
from cliffkit.study.board import HOW_TO_RETRY
from cliffkit.study.forecast import choose_workers
from cliffkit.study.forecast import forecast as expect
from cliffkit.study.power import foresee
from cliffkit.study.reading import load_results
from cliffkit.study.run import find_damaged, set_damaged_aside
from cliffkit.verbs.designs import earlier_designs
from cliffkit.verbs.findings import Findings
from cliffkit.verbs.inputs import AnyPath, Data, Progress, Settings, StudyLike
from cliffkit.verbs.opened import BUILT_IN, OpenedStudy, open_study
from cliffkit.verbs.outlook import Outlook
from cliffkit.verbs.study_report import publish_cells, report_results
from cliffkit.verbs.study_work import (
    check_speeds,
    check_variants,
    do_board,
    do_trials,
    open_executor,
    say_power,
    track_cells,
)
from cliffkit.verbs.track import Track, open_trackers


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
    track: Track = (),
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
        checkpoint_every: save a checkpoint after every so many steps too; one is saved about every 20 seconds anyway.
        track: trackers that are told of every cell, as for `run`; no result depends on them.
        progress: whether to show it, or a function that is called with a Notice for what the user should know, and
            with CellFinished for every cell that ends.
        plugins: those to use; by default the installed ones.

    Cells that fail are named by `findings.failed`, and harm no other. Interrupted, the same call goes on where it was.
    Raises RecipeError (a UserError) with every fault of the study, UserError for whatever else the user can mend.

    Example:

        findings = cliffkit.ablate("cliffnet", set={"train.depth.steps": 50})
        findings.verdicts["none + add"]
    """
    work = open_study(study, set, data, runs, plugins)
    work = replace(work, trackers=open_trackers(work.plugins.registry, track))
    for board in work.boards if retry_failed else ():
        board.retry()
    build = partial(open_executor, work.plugins.registry, executor, workers, device)
    with BoardView(work.study.name, active=progress is True) as view:
        tell = _teller(view, progress, [*_notes(work), *earlier_designs(work)])
        name_jobs(work.folder, work.jobs)
        said_power = work.trials is not None and bool(work.trials.to_do())
        work = do_trials(work, build, view, tell, checkpoint_every)
        set_damaged_aside(work.board, announcer(work.plugins, tell))
        _do_cells(work, build, view, tell, checkpoint_every, said_power)
        track_cells(work, tell)
    publish_cells(work)
    return report_results(work, device, progress)


def _do_cells(
    work: OpenedStudy,
    build: Callable[[], Executor],
    view: BoardView,
    tell: Emit,
    checkpoint_every: int | None,
    said_power: bool,
) -> None:
    """Do the cells that are left, and say what is not done; what the study can see is said where it was not before."""
    failed = work.board.count("failed")
    if failed:
        tell(Notice(f"{failed} cells failed before and are left alone; mend the cause: {HOW_TO_RETRY}"))
    if work.board.to_do():
        if not said_power:
            say_power(work, tell)
        do_board(work.board, work, build, view, tell, checkpoint_every)
    elif not failed:
        tell(Notice("Nothing to do: every cell of this study is in the store."))


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
    """Say what is left to do of a study, what it will take (time, disk, memory), and what it can see. Runs none of it.

    Arguments and errors as for `ablate`. What was not measured before is measured, a few steps of each kind of work.

    Example: `cliffkit.forecast("cliffnet").expected.seconds`; `cliffkit.forecast("cliffnet").power.own`.
    """
    work = open_study(study, set, data, runs, plugins)
    board, roots = work.board, work.roots
    if retry_failed:
        for each in work.boards:
            each.retry(forget=False)
    with (
        BoardView(work.study.name, active=progress is True) as view,
        closing(open_executor(work.plugins.registry, executor, workers, device)) as built,
    ):
        tell = _teller(view, progress, _notes(work))

        def say(text: str) -> None:
            tell(Notice(text))

        for each in work.boards:
            for entry, damage in find_damaged(each):
                each.put(entry, "waiting")
                say(f"{entry.job.stage} {entry.job.key[:8]} is damaged: {damage}; `cliffkit ablate` does it again")
            if each.to_do():
                check_variants(each, roots, tell)
                check_speeds(each, built)
        choose_workers(max(work.boards, key=lambda each: len(each.to_do())), built, roots, say)
        expected, most = (
            expect(list({job.key: job for job in jobs}.values()), built, board.store, roots, say)
            for jobs in (
                [job for each in work.boards for job in each.to_do()],
                [job for each in work.boards for job in each.most_to_do()],
            )
        )
        power = foresee(work.study, board.cells, board.store, roots)
        return Outlook(work.study, board, expected, most, power, work.trials)


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
    """Write the report of what is done of a study. Trains nothing. Arguments and errors as for `ablate`.

    Raises UserError too where no cell is done under these arguments, and a report is there: it is left as it is.
    """
    return report_results(open_study(study, set, data, runs, plugins), device, progress, keep=True)


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
    work = open_study(study, set, data, runs, plugins)
    results = load_results(work.study, work.board.cells, work.board.store)
    return Findings(results, analyse(results), work.folder, {}, device)


def _notes(work: OpenedStudy) -> tuple[str, ...]:
    """Say what is to be known of a study before its work."""
    late = too_late([variant.recipe for variant in work.study.variants])
    return (*work.study.notes, *(f"warning: {text}" for text in late))


def _teller(view: BoardView, progress: Progress, notes: Iterable[str]) -> Emit:
    """Make a function that tells an event to the view and to the caller; a study's notes are told first."""

    def tell(event: Event) -> None:
        view.hear(event)
        if callable(progress):
            progress(event)

    for note in notes:
        tell(Notice(note))
    return tell
