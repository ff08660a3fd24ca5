"""The results of a study's cells as values: each cell's, and the scores of all of them in arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cliffkit.protocols import Protocol
from cliffkit.scoring.metrics import METRICS
from cliffkit.statistics import pooled
from cliffkit.store.artifacts import EmbeddingFitFacts, Scores
from cliffkit.study.cells import Cell, Replicate
from cliffkit.study.rounds import NOT_NEEDED, Course, play_study
from cliffkit.study.study import Comparison, Levels, Point
from cliffkit.study.tuning import Choice

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CellResult:
    """The result of a cell."""

    cell: Replicate
    state: str
    """`done`, `failed`, `waiting`, or `not needed` so far by a study of adaptive seeds, in the store or not."""
    reason: str = ""
    """Why it failed; of a cell that is done, which protocols could not score it, and why."""
    scores: Scores | None = None
    """Scores on the test split; None unless done."""
    seconds: Mapping[str, float] | None = None
    """Time by stage, of the jobs that are done; a shared job counts for every cell that uses it."""
    environment: Mapping[str, str] | None = None
    """What its jobs were done with, by name: devices, settings, versions; several values where jobs differ."""
    curve: Sequence[tuple[int, float]] = ()
    """Validation score by step, in the metric by which the weights were selected."""
    micro_batch: int | None = None
    """Micro-batch to which lack of memory forced the fit; None where the recipe's micro-batch fitted."""
    generator: EmbeddingFitFacts | None = None
    """How the fit of its embedding generator ended; None where none was trained."""
    damaged: bool = False
    """Whether it failed since its files are not as they were written; the reason has the remedy."""


@dataclass(frozen=True)
class Results:
    """Everything that a report is made of."""

    study: Comparison
    cells: tuple[CellResult, ...]
    """Variant by variant, seeds in the study's order."""
    protocols: tuple[Protocol, ...]
    images: tuple[str, ...]
    """Names of the test images."""
    scores: Mapping[str, Floats]
    """By protocol: (variants, seeds, images, metrics), NaN where a cell is not done or an image has no scored pixel."""
    store: Path | None
    """Where the jobs of a study lie; None where predictions were given."""
    regions: Floats | None = None
    """Scores of regions in the study's metric and protocol: (variants, seeds, images, REGIONS), NaN where absent."""
    scenes: tuple[str, ...] = ()
    """Scene type of each test image; empty where it is unknown."""
    course: Course | None = None
    """How far a study of adaptive seeds is; None where every variant gets all seeds."""

    def table(self, protocol: str, metric: str) -> Floats:
        """Give a metric for each image, (variants, seeds, images): the mean over the images is the score."""
        values = self.scores[protocol][..., METRICS.index(metric)]
        return compared_values(values, next(p for p in self.protocols if p.name == protocol), metric)

    def of(self, variant: Point) -> list[CellResult]:
        """List a variant's cells, seed by seed."""
        return self._by_levels.get(variant.levels, [])

    @cached_property
    def _by_levels(self) -> dict[Levels, list[CellResult]]:
        by_levels: dict[Levels, list[CellResult]] = {}
        for result in self.cells:
            by_levels.setdefault(result.cell.variant.levels, []).append(result)
        return by_levels

    @cached_property
    def choices(self) -> dict[str, Choice]:
        """What the search chose, by the name of the variant; empty for a study without one."""
        variants = [variant for variant in self.study.variants if not variant.is_placebo]
        first = {variant.name: self.of(variant) for variant in variants}
        planned = {name: cells[0].cell for name, cells in first.items() if cells}
        choices = {name: cell.choice for name, cell in planned.items() if isinstance(cell, Cell)}
        return {name: choice for name, choice in choices.items() if choice is not None}

    @cached_property
    def done(self) -> int:
        """Number of cells that are done."""
        return sum(result.state == "done" for result in self.cells)


def compared_values(values: Floats, protocol: Protocol, metric: str) -> Floats:
    """Give tables (variants, seeds, images) whose mean over the images is the score: of a pooled rmse not its own.

    A root over all images is taken over those that every measured seed of every variant has: images that another
    variant lacks would still count in it, though they are left out afterwards.
    """
    if metric != "rmse" or not protocol.rmse_pooled:
        return values
    is_measured = ~np.isnan(values).all(axis=-1, keepdims=True)
    lacks_some = (np.isnan(values) & is_measured).any(axis=(0, 1))
    return np.stack([pooled(rows) for rows in np.where(lacks_some, np.nan, values)])


def as_played(results: Results) -> Results:
    """Leave out what no round of a study of adaptive seeds has asked for: to look at it would spend alpha silently."""
    study = results.study
    ended = [cell.state == "done" or (cell.state == "failed" and not cell.damaged) for cell in results.cells]
    shape = len(study.variants), len(study.seeds)
    course = play_study(study, results.table(study.protocol, study.metric), np.reshape(ended, shape))

    seeds = np.arange(shape[1])
    counted = seeds < np.array(course.counted)[:, None]
    needed = (seeds < np.array(course.given)[:, None]).ravel()
    scores = {name: np.where(counted[..., None, None], values, np.nan) for name, values in results.scores.items()}
    cells = [
        cell if is_needed else CellResult(cell.cell, NOT_NEEDED)
        for cell, is_needed in zip(results.cells, needed, strict=True)
    ]
    return replace(results, cells=tuple(cells), scores=scores, course=course)
