"""Which cells of a study with adaptive seeds are needed so far, by the scores in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cliffkit.errors import UserError
from cliffkit.scoring.metrics import METRICS
from cliffkit.store.artifacts import PerImage
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell
from cliffkit.study.results import Floats, compared_values
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
        self._protocol = next(protocol for protocol in study.base.protocols if protocol.name == study.protocol)
        self._images: tuple[str, ...] = ()
        self._scores: dict[int, Floats | None] = {}  # by the id of a cell; None where its images are others
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
        """Look again which cells have ended; `state` gives the state of a cell, `done`, `failed` or another.

        Which cells are needed changes when a round has ended, or when a cell that had ended has not any more. The
        scores are compared again only then: with a thousand variants that takes seconds.
        """
        ended = [self._has_ended(cell, state(cell)) for cell, _, _ in self._places]
        before, self._ended = self._ended, ended
        if before is not None and not any(was and not now for was, now in zip(before, ended, strict=True)):
            round_ended = all(now for (cell, _, _), now in zip(self._places, ended, strict=True) if self.needs(cell))
            if ended == before or not round_ended:
                return
        self.course = self._play(ended)

    def _has_ended(self, cell: Cell, state: str) -> bool:
        if state != "done":
            self._scores.pop(id(cell), None)
            return state == "failed"
        if id(cell) not in self._scores:
            try:
                table = PerImage.read(self._store.folder(cell.jobs[-1]))
                self._images = self._images or table.images
                scores = table.scores.get(self._study.protocol)
                self._scores[id(cell)] = scores if table.images == self._images else None
            except UserError:  # damaged: `find_damaged` names it, and it is done again
                return False
        return True

    def _play(self, ended: Sequence[bool]) -> Course:
        study = self._study
        shape = (len(study.variants), len(study.seeds))
        values = np.full((*shape, len(self._images)), np.nan)
        flags = np.zeros(shape, bool)
        for (cell, i, k), flag in zip(self._places, ended, strict=True):
            flags[i, k] = flag
            scores = self._scores.get(id(cell))
            if scores is not None:
                values[i, k] = scores[:, METRICS.index(study.metric)]
        values = compared_values(values, self._protocol, study.metric)
        return play_study(study, values, flags)
