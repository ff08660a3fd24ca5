"""A study's cells: every variant under every seed, planned as jobs; cells share equal jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cliffkit.data.splits import Roots
from cliffkit.errors import UserError
from cliffkit.jobs.plan import Planner
from cliffkit.recipe.recipe import Recipe
from cliffkit.store.job import Job
from cliffkit.study.study import Levels, Point, Study, Variant
from cliffkit.study.tuning import Choice, undecided

LONGEST_SLUG = 90
"""Characters of a variant in its folder's name: the key behind it tells variants apart."""


@dataclass(frozen=True)
class Replicate:
    """One variant under one seed, whoever made its predictions."""

    variant: Point
    seed: int
    """One of the study's, by which results are ordered; `own_seed` is what people read."""

    @property
    def name(self) -> str:
        """Name of the cell in messages."""
        return f"{self.variant.name}, seed {self.own_seed}"

    @property
    def own_seed(self) -> int:
        """What is added to the seed of the base's or the variant's recipe; the placebo has seeds of its own."""
        return self.variant.own_seeds.get(self.seed, self.seed)

    @property
    def keys(self) -> Mapping[str, str]:
        """Keys of what its scores come from, by stage, that of the scores last."""
        return {}

    @property
    def key(self) -> str:
        """Key of its scores; empty where nothing was scored."""
        return next(reversed(list(self.keys.values())), "")


@dataclass(frozen=True)
class Cell(Replicate):
    """One variant under one seed, planned as jobs."""

    variant: Variant
    recipe: Recipe
    """The variant's recipe, with the cell's seed added to its own."""
    jobs: tuple[Job, ...]
    """In the order of their needs, the last one `evaluate`; of a trial `depth`."""
    choice: Choice | None = None
    """What a search chose for the variant; while it has chosen nothing, the cell is planned and cannot run."""

    @property
    def keys(self) -> Mapping[str, str]:
        """Keys of its jobs, by stage."""
        return {job.stage: job.key for job in self.jobs}


def plan_cells(study: Study, roots: Roots, choices: Mapping[Levels, Choice] | None = None) -> list[Cell]:
    """Plan every cell, seed by seed. Raises UserError where the data cannot be used or differ between variants.

    `choices` are what the search of a study has chosen, by the levels of variants; by default nothing yet.
    """
    planner = Planner(roots)
    if choices is None:
        choices = {} if study.tuning is None else undecided(study)
    cells = []
    for seed in study.seeds:
        for variant in study.variants:
            slug = re.sub(r"[^A-Za-z0-9_-]+", "-", variant.name)[:LONGEST_SLUG]
            name = f"{study.name}.{slug}.s{variant.own_seeds.get(seed, seed)}"
            choice = choices.get(variant.levels)
            tuned = variant.recipe if choice is None else choice.recipe
            recipe = replace(tuned, name=name, seed=variant.recipe.seed + seed)
            cells.append(Cell(variant, seed, recipe, tuple(planner.plan(recipe)), choice))
    _check_data(cells)
    return cells


def jobs_of(cells: Sequence[Cell]) -> dict[str, Job]:
    """Give the jobs of all cells by key, each once, in the order in which cells need them."""
    return {job.key: job for cell in cells for job in cell.jobs}


def _check_data(cells: Sequence[Cell]) -> None:
    """Raise UserError where cells are tested or selected on different images: they must not share a table."""
    first = cells[0]
    for cell in cells[1:]:
        for images, stage, name in (("test", "evaluate", "test"), ("validation", "pack", "val")):
            a, b = ({job.stage: job for job in c.jobs}[stage].inputs[name] for c in (first, cell))
            if a != b:
                raise UserError(
                    f"'{first.variant.name}' and '{cell.variant.name}' have different {images} images (fingerprints "
                    f"{a} and {b}): no table may hold both; make studies of their own"
                )
