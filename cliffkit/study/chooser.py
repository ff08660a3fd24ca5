"""Which cells of a study with adaptive seeds are needed so far, by the scores in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cliffkit.errors import UserError
from cliffkit.scoring.metrics import METRICS
from cliffkit.store.artifacts import PerImage
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell
from cliffkit.study.results import metric_values
from cliffkit.study.rounds import Course, play_study
from cliffkit.study.study import Study


class Chooser:
    """Says which cells are needed so far. It reads the scores of a cell once."""

    def __init__(self, study: Study, cells: Sequence[Cell], store: Store) -> None:
        self._study, self._store = study, store
        variants = {variant.levels: i for i, variant in enumerate(study.variants)}
        seeds = {seed: k for k, seed in enumerate(study.seeds)}
        self._places = [(cell, variants[cell.variant.levels], seeds[cell.seed]) for cell in cells]
        self._by_cell = {id(cell): (i, k) for cell, i, k in self._places}
        self._scores: dict[int, PerImage] = {}
        self._ended: list[bool] | None = None
        self.course = self._play([False] * len(cells))
        """How far the study was when it was last looked at."""

    def needs(self, cell: Cell) -> bool:
        """Say whether a cell is needed so far."""
        i, k = self._by_cell[id(cell)]
        return k < self.course.given[i]

    def may_need(self, cell: Cell) -> bool:
        """Say whether a cell is needed or may be needed later."""
        i, k = self._by_cell[id(cell)]
        return k < self.course.most[i]

    def look(self, state: Callable[[Cell], str]) -> None:
        """Look again which cells have ended; `state` gives the state of a cell, `done`, `failed` or another."""
        ended = [self._has_ended(cell, state(cell)) for cell, _, _ in self._places]
        if ended != self._ended:
            self.course, self._ended = self._play(ended), ended

    def _has_ended(self, cell: Cell, state: str) -> bool:
        if state != "done":
            self._scores.pop(id(cell), None)
            return state == "failed"
        if id(cell) not in self._scores:
            try:
                self._scores[id(cell)] = PerImage.read(self._store.folder(cell.jobs[-1]))
            except UserError:  # damaged: `find_damaged` names it, and it is done again
                return False
        return True

    def _play(self, ended: Sequence[bool]) -> Course:
        study = self._study
        images = next((table.images for table in self._scores.values()), ())
        shape = (len(study.variants), len(study.seeds))
        values, flags = np.full((*shape, len(images), len(METRICS)), np.nan), np.zeros(shape, bool)
        for (cell, i, k), flag in zip(self._places, ended, strict=True):
            table = self._scores.get(id(cell))
            flags[i, k] = flag
            if table is not None and table.images == images and study.protocol in table.scores:
                values[i, k] = table.scores[study.protocol]
        protocol = next(protocol for protocol in study.base.protocols if protocol.name == study.protocol)
        return play_study(study, metric_values(values, protocol, study.metric), flags)
