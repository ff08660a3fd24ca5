"""A study's folder: the report on its cells, a run of every cell, the command that does the study again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress as Bars

from cliffkit.data.splits import data_root
from cliffkit.display.screen import can_redraw, screen
from cliffkit.errors import UserError
from cliffkit.jobs.run_folder import is_published, publish, run_folder
from cliffkit.report.gallery import make_gallery
from cliffkit.report.write import write_report
from cliffkit.store.files import make_folder, write_text
from cliffkit.study.analysis import analyse
from cliffkit.study.reading import load_results
from cliffkit.study.results import Results
from cliffkit.training.device import open_device
from cliffkit.verbs.designs import earlier_designs, keep_design
from cliffkit.verbs.findings import Findings
from cliffkit.verbs.inputs import Progress
from cliffkit.verbs.opened import OpenedStudy

PAGE = "report.html"


def publish_cells(work: OpenedStudy) -> None:
    """Lay out a run folder for every cell that is done and has none, so that `predict` and `evaluate` can use it."""
    board, folder = work.board, work.folder / "cells"
    for cell in board.needed:
        if board.cell_state(cell) == "done" and not is_published(run_folder(cell.recipe, cell.jobs, folder)):
            publish(cell.recipe, cell.jobs, board.store, parent=folder)


def report_results(work: OpenedStudy, device: str, progress: Progress, *, keep: bool = False) -> Findings:
    """Read results, compare, write the report.

    With `keep`, a report that is there is not replaced by an empty one. Raises UserError instead.
    """
    console = screen()
    with Bars(console=console, transient=True, disable=progress is not True or not can_redraw(console)) as bars:
        task = bars.add_task("reading results", total=None)

        def say(text: str) -> None:
            bars.update(task, description=text, completed=0, total=None)

        def advance(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        earlier = earlier_designs(work)
        study = replace(work.study, notes=(*work.study.notes, *earlier), earlier=earlier)
        results = load_results(study, work.board.cells, work.board.store)
        if keep:
            _check_worth(results, work.folder)
        say("comparing")
        analysis = analyse(results)
        say("gallery")
        gallery = make_gallery(results, work.roots, open_device(device, "fp32").torch, advance)
        make_folder(work.folder)
        written = write_report(
            results, analysis, work.folder, gallery=gallery, command=command_again(work), progress=say
        )
        keep_design(work, results)
    return Findings(results, analysis, work.folder, written, device)


def _check_worth(results: Results, folder: Path) -> None:
    """Raise UserError where a report without any outcome would replace one that is there."""
    page = folder / PAGE
    has_outcome = results.done or any(cell.state == "failed" and not cell.damaged for cell in results.cells)
    if has_outcome or not page.exists():
        return
    raise UserError(
        f"{page}: left as it is, since no cell of the study is done and sound under these settings; give every --set "
        f"that `cliffkit ablate` was given ({folder / 'report.md'} has its command under Reproduce), or run "
        "`cliffkit ablate` with those given now"
    )


def command_again(work: OpenedStudy) -> str:
    """Give the command that does this study again, elsewhere too: the reader fills in where data lie.

    A folder is asked for wherever one was named, by --data or by the variable of the data set.
    """
    used = dict.fromkeys(cell.recipe.data.component.name for cell in work.board.cells)
    names = dict.fromkeys([*work.roots, *(name for name in used if data_root(name, work.roots) is not None)])
    words = ["cliffkit", "ablate", _name_file(work)]
    words += [word for text in work.settings for word in ("--set", text)]
    return " ".join([shlex.join(words), *(f"--data {name}=FOLDER" for name in names)])


def _name_file(work: OpenedStudy) -> str:
    """Name the study for a command. A study that is no file is written into its folder."""
    if not isinstance(work.given, Mapping):
        return str(work.given)
    write_text(work.folder / "study.yaml", work.study.text)
    return str(work.folder / "study.yaml")
