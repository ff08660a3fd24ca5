"""A study: run, forecast, reported."""

from __future__ import annotations

import inspect
import json
import shlex
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from cliffkit.components.load import Plugins
from cliffkit.components.registry import Registry
from cliffkit.data.splits import Roots
from cliffkit.display.board import BoardView
from cliffkit.errors import UserError
from cliffkit.events import CellFinished
from cliffkit.interfaces import Executor
from cliffkit.jobs.announce import announcer
from cliffkit.jobs.execute import check_buildable
from cliffkit.jobs.run_folder import publish, run_folder
from cliffkit.report.gallery import make_gallery
from cliffkit.report.write import write_report
from cliffkit.store.store import Store
from cliffkit.study.analysis import Analysis, analyse
from cliffkit.study.board import Board
from cliffkit.study.cells import Cell, plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.forecast import Forecast, choose_slots
from cliffkit.study.forecast import forecast as expect
from cliffkit.study.results import Results, load_results
from cliffkit.study.run import run_cells
from cliffkit.study.study import Study
from cliffkit.training.device import open_device

BUILT_IN = Path("recipes/studies/cliffnet.yaml")


@dataclass(frozen=True)
class Findings:
    """What is known of a study: its results, what they are worth, and the report."""

    results: Results
    analysis: Analysis
    folder: Path
    """Of the report, and of the cells' runs."""
    files: Mapping[str, Path]
    """Each file of the report by its name."""

    @property
    def failed(self) -> int:
        """How many cells failed."""
        return sum(each.state == "failed" for each in self.results.cells)


@dataclass(frozen=True)
class Outlook:
    """What is left to do of a study, and what it will take."""

    study: Study
    board: Board
    expected: Forecast


@dataclass(frozen=True)
class Workers:
    """Where the jobs of a study run."""

    executor: str
    count: int | None
    """Jobs at once; None: the executor, or a measurement, chooses."""
    device: str
    address: str | None
    """Of a cluster, for executors that take one."""


def ablate(
    study: Path | None,
    plugins: Plugins,
    *,
    overrides: Sequence[str],
    roots: Roots,
    runs: Path,
    workers: Workers,
    retry_failed: bool,
) -> Findings:
    """Run a study, or go on with it, and report it. None: the built-in study."""
    loaded, board = _open(study, plugins.registry, overrides, roots, runs)
    if retry_failed:
        board.retry()

    with BoardView(loaded.name) as view:
        for note in loaded.notes:
            view.say(note)
        if board.to_do():
            _check_buildable(board, roots)
            with closing(_executor(plugins.registry, workers)) as executor:
                _run(plugins, board, executor, roots, view)
        else:
            view.say("Nothing to do: every cell of this study is in the store.")

    _publish(board, loaded)
    return _report(loaded, board.cells, board.store, roots, workers.device, overrides)


def forecast(
    study: Path | None, plugins: Plugins, *, overrides: Sequence[str], roots: Roots, runs: Path, workers: Workers,
    retry_failed: bool,
) -> Outlook:  # fmt: skip
    """Say what is left to do of a study and what it will take, by measuring. Runs none of it."""
    loaded, board = _open(study, plugins.registry, overrides, roots, runs)
    if retry_failed:
        board.retry()
    todo = board.to_do()
    depth = [job for job in todo if job.stage == "depth"]

    with BoardView(loaded.name) as view, closing(_executor(plugins.registry, workers)) as executor:
        for note in loaded.notes:
            view.say(note)
        if depth:
            choose_slots(depth[0], executor, board.store, roots, len(depth), view.say)
        view.say("measuring what was not measured before")
        return Outlook(loaded, board, expect(todo, executor, board.store, roots))


def report(
    study: Path | None, plugins: Plugins, *, overrides: Sequence[str], roots: Roots, runs: Path, device: str
) -> Findings:
    """Write the report of what is done of a study. Trains nothing. None: the built-in study."""
    loaded, board = _open(study, plugins.registry, overrides, roots, runs)
    return _report(loaded, board.cells, board.store, roots, device, overrides)


def built_in_study() -> Path:
    """The shipped study: in the working folder, the checkout or the installation. Raises UserError where it is not."""
    installed = Path(sysconfig.get_path("data")) / "share" / "cliffkit"
    for root in (Path(), Path(__file__).parents[2], installed):
        if (root / BUILT_IN).exists():
            return root / BUILT_IN
    raise UserError(f"the built-in study {BUILT_IN} is not installed; name a study file")


def _open(
    study: Path | None, registry: Registry, overrides: Iterable[str], roots: Roots, runs: Path
) -> tuple[Study, Board]:
    loaded = load_study(study or built_in_study(), registry, tuple(overrides))
    return loaded, Board(plan_cells(loaded, roots), Store(runs))


def _executor(registry: Registry, workers: Workers) -> Executor:
    """Build an executor. Raises UserError for one that is not there, or takes no address."""
    name, address = workers.executor, workers.address
    factory = registry.get("executor", name).load()
    chosen = {} if address is None else {"address": address}
    if chosen and "address" not in inspect.signature(factory).parameters:
        raise UserError(f"--address: executor '{name}' takes none; remove it, or use --executor ray")
    built = factory(workers.count, workers.device, **chosen)
    assert isinstance(built, Executor)
    return built


def _check_buildable(board: Board, roots: Roots) -> None:
    """Build what each variant that is to be trained is made of, once. Raises UserError with the fault of every one."""
    seen: set[str] = set()
    faults: dict[str, None] = {}
    for cell in board.cells:
        written = cell.recipe.to_dict()
        parts = json.dumps([written[name] for name in ("data", "model", "embedding", "loss", "evaluate")])
        depth = next(job for job in cell.jobs if job.stage == "depth")
        if parts in seen or board.jobs[depth.key].state == "done":
            continue
        seen.add(parts)
        try:
            check_buildable(cell.recipe, roots)
        except UserError as error:
            faults[f"variant '{cell.variant.name}': {error}"] = None
    if faults:
        raise UserError("\n".join(faults))


def _run(plugins: Plugins, board: Board, executor: Executor, roots: Roots, view: BoardView) -> None:
    """Do what is left, tell the terminal and the plugins."""
    depth = [job for job in board.to_do() if job.stage == "depth"]
    if depth:
        measured = choose_slots(depth[0], executor, board.store, roots, len(depth), view.say)
        view.say(
            f"{executor.slots} at once, {executor.place.threads} threads each, on {executor.place.device}"
            + (f" ({measured})" if measured else "")
        )
    tell = announcer(plugins, view.hear)
    ended = {id(cell) for cell in board.cells if board.cell_state(cell) in ("done", "failed")}

    def show(board: Board) -> None:
        view.show(board)
        for cell in board.cells:
            state = board.cell_state(cell)
            if state in ("done", "failed") and id(cell) not in ended:
                ended.add(id(cell))
                tell(CellFinished(cell.variant.name, cell.seed, state, board.cell_reason(cell)))

    run_cells(board, executor, roots, show)


def _folder(store: Store, study: Study) -> Path:
    return store.root / "studies" / study.name


def _publish(board: Board, study: Study) -> None:
    """Lay out a run folder for every cell that is done and has none, so that `predict` and `evaluate` can use it."""
    folder = _folder(board.store, study) / "cells"
    for cell in board.cells:
        if board.cell_state(cell) == "done" and not run_folder(cell.recipe, cell.jobs, folder).is_dir():
            publish(cell.recipe, cell.jobs, board.store, parent=folder)


def _report(
    study: Study, cells: Sequence[Cell], store: Store, roots: Roots, device: str, overrides: Iterable[str]
) -> Findings:
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("reading results", total=None)

        def say(what: str) -> None:
            bars.update(task, description=what, completed=0, total=None)

        def advance(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        results = load_results(study, cells, store)
        say("comparing")
        analysis = analyse(results)
        say("gallery")
        gallery = make_gallery(results, roots, open_device(device, "fp32").torch, advance)
        folder = _folder(store, study)
        folder.mkdir(parents=True, exist_ok=True)
        command = _command(study, overrides, roots)
        written = write_report(results, analysis, folder, gallery=gallery, command=command, progress=say)
    return Findings(results, analysis, folder, written)


def _command(study: Study, overrides: Iterable[str], roots: Iterable[str]) -> str:
    """What does this study again, elsewhere too: where data lie is for the reader to say."""
    words = ["cliffkit", "ablate", str(study.file)]
    words += [word for text in overrides for word in ("--set", text)]
    return " ".join([shlex.join(words), *(f"--data {name}=FOLDER" for name in roots)])
