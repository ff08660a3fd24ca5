"""A study that is checked and planned, with how far it is: what every verb of studies begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cliffkit.components.load import Plugins
from cliffkit.data.splits import Roots
from cliffkit.events import RunFacts
from cliffkit.jobs.run_folder import run_folder
from cliffkit.recipe.lengths import too_late
from cliffkit.recipe.part import Part
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.cells import Cell, plan_cells
from cliffkit.study.chooser import Chooser
from cliffkit.study.study import Study
from cliffkit.study.trials import choose, plan_trials
from cliffkit.verbs.inputs import AnyPath, Data, Settings, StudyLike, folders, installed_plugins, path_of, texts, unread
from cliffkit.verbs.inputs import open_study as read_study

BUILT_IN = "cliffnet"
"""The shipped study that is taken where none is named."""


@dataclass(frozen=True)
class OpenedStudy:
    """A study that is checked, with how far it is."""

    given: StudyLike
    """The study as the caller named it."""
    settings: Sequence[str]
    """Changes to the base recipe, as after --set."""
    plugins: Plugins
    roots: Roots
    """Folders of data sets, absolute, since workers may run in other folders."""
    study: Study
    board: Board
    trials: Board | None = None
    """How far the trials of the study's search are; None where it has none."""
    trackers: tuple[Part, ...] = ()
    """The trackers that are told of its cells."""

    @property
    def boards(self) -> list[Board]:
        """The boards, that of the trials first: cells are planned anew when the trials are done."""
        return [self.board] if self.trials is None else [self.trials, self.board]

    @property
    def jobs(self) -> list[Job]:
        """Every job of trials and cells."""
        return [entry.job for board in self.boards for entry in board.jobs.values()]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is told before anything else: notes of the study, and what of its settings or data comes to nothing."""
        recipes = [variant.recipe for variant in self.study.variants]
        late = (f"warning: {text}" for text in too_late(recipes))
        return (*self.study.notes, *late, *unread(self.roots, [recipe.data.component.name for recipe in recipes]))

    def tuned(self) -> OpenedStudy:
        """Give the study with its cells planned by what its trials, as far as they are done, have chosen."""
        return replace(self, board=_board(self.study, self.roots, self.board.store, self.trials))

    def facts(self, cell: Cell) -> RunFacts:
        """Name the run that a cell is."""
        folder = run_folder(cell.recipe, cell.jobs, self.folder.resolve() / "cells")
        seed, runs = cell.own_seed, self.board.store.root.resolve()
        return RunFacts(cell.recipe.name, cell.key, cell.variant.name, seed, self.study.name, folder, runs)

    @property
    def folder(self) -> Path:
        """The study's folder, for its report and the runs of its cells; it need not exist."""
        return self.board.store.root / "studies" / self.study.name


def open_study(
    study: StudyLike, settings: Settings, data: Data | None, runs: AnyPath, plugins: Plugins | None
) -> OpenedStudy:
    """Check a study and look how far it is; a file of the working folder goes before the shipped study."""
    plugins = plugins or installed_plugins()
    registry = plugins.registry
    roots = {name: folder.resolve() for name, folder in folders(data, registry).items()}

    local = Path("recipes/studies/cliffnet.yaml")
    is_built_in = not isinstance(study, Mapping) and str(study) == BUILT_IN
    checked = read_study(local if is_built_in and local.is_file() else study, registry, texts(settings))
    store = Store(path_of(runs, "runs"))
    store.tidy()
    trials = None if checked.tuning is None else Board(plan_trials(checked, roots), store, noun="trials")
    return OpenedStudy(study, texts(settings), plugins, roots, checked, _board(checked, roots, store, trials), trials)


def _board(study: Study, roots: Roots, store: Store, trials: Board | None) -> Board:
    """Plan a study's cells; those of variants whose trials all failed have failed too."""
    cells = plan_cells(study, roots, None if trials is None else choose(study, trials.cells, store))
    board = Board(cells, store, None if study.adaptive is None else Chooser(study, cells, store))
    for cell in cells:
        if cell.choice is not None and cell.choice.is_failed:
            board.put(board.jobs[cell.jobs[-1].key], "failed", cell.choice.reason)
    return board
