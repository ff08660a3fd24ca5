"""`cliffkit ablate` and `cliffkit report`: which part helps, by how much, and is it more than noise?"""

from __future__ import annotations

import json
import shlex
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cliffkit.cli import options
from cliffkit.components.load import Plugins

if TYPE_CHECKING:
    from cliffkit.cli.board import BoardView
    from cliffkit.components.registry import Registry
    from cliffkit.data.splits import Roots
    from cliffkit.interfaces import Executor
    from cliffkit.store.store import Store
    from cliffkit.study.analysis import Analysis
    from cliffkit.study.board import Board
    from cliffkit.study.cells import Cell
    from cliffkit.study.results import Results
    from cliffkit.study.study import Study

BUILT_IN = Path("recipes/studies/cliffnet.yaml")

study_argument = click.argument("study", type=click.Path(path_type=Path), required=False)


@click.command()
@study_argument
@options.sets
@options.data
@options.runs
@options.device
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Jobs at once. Default: one per GPU; on a CPU the number that is fastest, measured once.",
)
@click.option("--executor", "executor_name", default="local", show_default=True, metavar="NAME",
              help="Where jobs run: see `cliffkit list executor`.")  # fmt: skip
@click.option("--address", metavar="ADDRESS", help="Of the Ray cluster, for --executor ray: auto, or ray://HOST:10001.")
@click.option("--retry-failed", is_flag=True, help="Try jobs again that failed before; else they are left alone.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show cells, jobs, and the time, disk and memory expected, by this machine's measured pace.",
)
@options.as_json
@click.pass_obj
def ablate(
    plugins: Plugins,
    study: Path | None,
    overrides: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    runs: Path,
    device: str,
    workers: int | None,
    executor_name: str,
    address: str | None,
    retry_failed: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a STUDY: a recipe varied along axes, each variant under several seeds, and say which differences are real.

    Without STUDY: the built-in one, recipes/studies/cliffnet.yaml, 27 networks on built-in data. Every cell (a variant
    under a seed) is trained and scored as `cliffkit run` would; what cells share is computed once. Stop it, or let it
    crash: the same command goes on where it was. Variants and seeds that are added to the file later run alone and
    join the table. --set changes the base recipe. Ends with the verdicts and the path of a report.

    \b
        cliffkit ablate
        cliffkit ablate STUDY.yaml --dry-run
        cliffkit ablate STUDY.yaml --set train.depth.steps=2000 --retry-failed

    Exit code 1: some cells failed, the report is about the others.
    """
    from cliffkit.cli.board import BoardView
    from cliffkit.store.store import Store
    from cliffkit.study.board import Board

    places = {name: path.resolve() for name, path in roots}
    loaded, cells = _load(plugins, study, overrides, places)
    store = Store(runs)
    board = Board(cells, store)
    if retry_failed:
        board.retry()
    todo = board.to_do()
    with BoardView(loaded.name) as view:
        for note in loaded.notes:
            view.say(note)
        if todo and not dry_run:
            _check_buildable(cells, board, places)
        if todo or dry_run:
            executor = _executor(plugins.registry, executor_name, workers, device, address)
            try:
                if dry_run:
                    _dry_run(loaded, board, executor, store, places, view.say, as_json)
                    return
                _run(plugins, board, executor, places, view)
            except KeyboardInterrupt:
                view.say("stopped; the same command goes on where this one was")
                raise SystemExit(130) from None
            finally:
                executor.close()
    if not todo:
        click.echo("Nothing to do: every cell of this study is in the store.", err=True)
    folder = _publish(board, loaded)
    results, analysis, written = _report(loaded, cells, store, places, device, _command(loaded, overrides, roots))
    _tell(results, analysis, folder, written, as_json)
    if board.count("failed"):
        raise SystemExit(1)


@click.command()
@study_argument
@options.sets
@options.data
@options.runs
@options.device
@options.as_json
@click.pass_obj
def report(
    plugins: Plugins,
    study: Path | None,
    overrides: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    runs: Path,
    device: str,
    as_json: bool,
) -> None:
    """Write the report of STUDY anew from what is done of it, and print its verdicts. Trains nothing.

    Without STUDY: the built-in one. Give the options that `cliffkit ablate` was given.
    """
    from cliffkit.store.store import Store

    loaded, cells = _load(plugins, study, overrides, dict(roots))
    store = Store(runs)
    command = _command(loaded, overrides, roots)
    results, analysis, written = _report(loaded, cells, store, dict(roots), device, command)
    _tell(results, analysis, _folder(store, loaded), written, as_json)


def _load(plugins: Plugins, study: Path | None, overrides: tuple[str, ...], roots: Roots) -> tuple[Study, list[Cell]]:
    from cliffkit.study.cells import plan_cells
    from cliffkit.study.check import load_study

    loaded = load_study(study or built_in_study(), plugins.registry, overrides)
    return loaded, plan_cells(loaded, roots)


def built_in_study() -> Path:
    """The shipped study: in the working folder, the checkout or the installation. Raises UserError where it is not."""
    from cliffkit.errors import UserError

    installed = Path(sysconfig.get_path("data")) / "share" / "cliffkit"
    for root in (Path(), Path(__file__).parents[2], installed):
        if (root / BUILT_IN).exists():
            return root / BUILT_IN
    raise UserError(f"the built-in study {BUILT_IN} is not installed; name a study file")


def _executor(registry: Registry, name: str, workers: int | None, device: str, address: str | None) -> Executor:
    """Build an executor. Raises UserError for one that is not there, or takes no address."""
    import inspect

    from cliffkit.errors import UserError
    from cliffkit.interfaces import Executor

    factory = registry.get("executor", name).load()
    chosen = {} if address is None else {"address": address}
    if chosen and "address" not in inspect.signature(factory).parameters:
        raise UserError(f"--address: executor '{name}' takes none; remove it, or use --executor ray")
    built = factory(workers, device, **chosen)
    assert isinstance(built, Executor)
    return built


def _check_buildable(cells: Sequence[Cell], board: Board, roots: Roots) -> None:
    """Build what each variant that is to be trained is made of, once. Raises UserError with the fault of every one."""
    from cliffkit.errors import UserError
    from cliffkit.jobs.execute import check_buildable

    seen: set[str] = set()
    faults: dict[str, None] = {}
    for cell in cells:
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
    from cliffkit.events import CellFinished, Event, Notice
    from cliffkit.jobs.announce import announcer
    from cliffkit.study.forecast import choose_slots
    from cliffkit.study.run import run_cells

    todo = board.to_do()
    depth = [job for job in todo if job.stage == "depth"]
    if depth:
        measured = choose_slots(depth[0], executor, board.store, roots, len(depth), view.say)
        view.say(
            f"{executor.slots} at once, {executor.place.threads} threads each, on {executor.place.device}"
            + (f" ({measured})" if measured else "")
        )
    ended = {id(cell) for cell in board.cells if board.cell_state(cell) in ("done", "failed")}

    def tell(event: Event) -> None:
        if isinstance(event, Notice):
            view.say(event.text)

    emit = announcer(plugins, tell)

    def show(board: Board) -> None:
        view.show(board)
        for cell in board.cells:
            state = board.cell_state(cell)
            if state in ("done", "failed") and id(cell) not in ended:
                ended.add(id(cell))
                emit(CellFinished(cell.variant.name, cell.seed, state, board.cell_reason(cell)))

    run_cells(board, executor, roots, show)


def _dry_run(
    study: Study, board: Board, executor: Executor, store: Store, roots: Roots, say: Any, as_json: bool
) -> None:
    from cliffkit.study.board import duration
    from cliffkit.study.forecast import choose_slots, forecast

    todo = board.to_do()
    depth = [job for job in todo if job.stage == "depth"]
    if depth:
        choose_slots(depth[0], executor, store, roots, len(depth), say)
    say("measuring what was not measured before")
    expected = forecast(todo, executor, store, roots)
    shared = len(board.jobs) - len(board.own)
    facts = {
        "study": study.name,
        "variants": len(study.variants),
        "seeds": list(study.seeds),
        "cells": len(board.cells),
        "cells_done": board.count("done"),
        "cells_failed": board.count("failed"),
        "jobs": len(board.jobs),
        "jobs_shared": shared,
        "jobs_done": len(board.jobs) - len(todo),
        "workers": expected.workers,
        "seconds": expected.seconds,
        "disk_bytes": expected.disk_bytes,
        "memory_bytes": expected.memory_bytes,
        "stages": {stage: {"jobs": n, "seconds": seconds} for stage, (n, seconds) in expected.by_stage.items()},
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"{study.name}: {len(study.variants)} variants x {len(study.seeds)} seeds = {len(board.cells)} cells, "
               f"{facts['cells_done']} done, {facts['cells_failed']} failed before")  # fmt: skip
    for cell in board.cells:
        click.echo(f"  {cell.name:<40} {board.cell_state(cell)}")
    click.echo(f"jobs: {len(board.jobs)}, of which {shared} shared by several cells; {facts['jobs_done']} done")
    for stage, (count, seconds) in expected.by_stage.items():
        click.echo(f"  {stage:<10} {count:>5} to do, {duration(seconds)} one after another")
    disk, memory = f"{expected.disk_bytes / 1e6:.0f} MB of disk", f"{expected.memory_bytes / 1e9:.1f} GB of memory"
    click.echo(f"expected: {duration(expected.seconds)} with {expected.workers} at once, {disk}, {memory}")


def _folder(store: Store, study: Study) -> Path:
    return store.root / "studies" / study.name


def _publish(board: Board, study: Study) -> Path:
    """Lay out a run folder for every cell that is done and has none, so that `predict` and `evaluate` can use it."""
    from cliffkit.jobs.run_folder import publish, run_folder

    folder = _folder(board.store, study)
    for cell in board.cells:
        if board.cell_state(cell) == "done" and not run_folder(cell.recipe, cell.jobs, folder / "cells").is_dir():
            publish(cell.recipe, cell.jobs, board.store, parent=folder / "cells")
    return folder


def _report(
    study: Study, cells: Sequence[Cell], store: Store, roots: Roots, device: str, command: str
) -> tuple[Results, Analysis, dict[str, Path]]:
    from rich.console import Console
    from rich.progress import Progress

    from cliffkit.report.gallery import make_gallery
    from cliffkit.report.write import write_report
    from cliffkit.study.analysis import analyse
    from cliffkit.study.results import load_results
    from cliffkit.training.device import open_device

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
        written = write_report(results, analysis, folder, gallery=gallery, command=command, progress=say)
    return results, analysis, written


def _command(study: Study, overrides: Iterable[str], roots: Iterable[tuple[str, Path]]) -> str:
    """What does this study again, elsewhere too: where data lie is for the reader to say."""
    words = ["cliffkit", "ablate", str(study.file)]
    words += [word for text in overrides for word in ("--set", text)]
    return " ".join([shlex.join(words), *(f"--data {name}=FOLDER" for name, _ in roots)])


def _tell(results: Results, analysis: Analysis, folder: Path, written: dict[str, Path], as_json: bool) -> None:
    """Print verdicts, for a person or for a script."""
    from cliffkit.cli.verdicts import print_study, study_json

    if as_json:
        click.echo(json.dumps(study_json(results, analysis, written)))
        return
    print_study(results, analysis)
    click.echo(f"report: {written['report.html']}")
    click.echo(f"cells:  {folder / 'cells'}")
