"""A study that is checked and planned, with how far it is: what every verb of studies begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cliffkit.components.load import Plugins
from cliffkit.data.splits import Roots
from cliffkit.store.store import Store
from cliffkit.study.board import Board
from cliffkit.study.cells import plan_cells
from cliffkit.study.chooser import Chooser
from cliffkit.study.study import Study
from cliffkit.verbs.inputs import AnyPath, Data, Settings, StudyLike, folders, installed_plugins, path_of, texts
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
    cells, store = plan_cells(checked, roots), Store(path_of(runs, "runs"))
    board = Board(cells, store, None if checked.adaptive is None else Chooser(checked, cells, store))
    return OpenedStudy(study, texts(settings), plugins, roots, checked, board)
