"""The search of a study: a small grid of values that is tried inside every variant, on the validation split.

Every variant gets as many trials. A variant that lacks a path, as `embedding.weights` without an embedding, has fewer
values to try, and tries each under more seeds instead.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cliffkit.errors import Fault, RecipeError
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.faults import Faults
from cliffkit.recipe.recipe import Recipe
from cliffkit.recipe.schema import MAX_SEED
from cliffkit.recipe.yamlstrict import Document
from cliffkit.study.expand import MAX_CELLS, Axes, Expansion
from cliffkit.study.patches import has_place, leaves, patched
from cliffkit.study.seeds import offset_apart
from cliffkit.study.study import Levels, Study, Trial, Tuning, Variant
from cliffkit.text import cut, excerpt

TUNE = "tune"

TUNING_OFFSET = 20_000
"""Added to a recipe's seed in its trials, unless cells of the study have these seeds."""

TUNABLE = ("model", "embedding", "loss", "train")
"""Sections of a recipe whose values may be tried; other sections say on what recipes are compared."""

FIXED = {
    "train.depth.select": "decides by which score values are chosen, so all trials need the same",
    "train.embedding.seed": "is luck, no setting; `replicate` lets it follow the study's seeds",
}
"""Paths that no search may write, and why."""


@dataclass(frozen=True)
class Tried:
    """How a trial came out."""

    trial: Trial
    state: str
    """`done`, `failed` or `waiting`."""
    score: float | None = None
    """Validation score, the mean over the trial's seeds; None unless done."""
    reason: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Choice:
    """The values that the search chose for a variant, or why there are none yet."""

    tried: tuple[Tried, ...]
    """In the order of the grid."""
    seeds: int
    """Seeds of each trial."""
    metric: str
    """Validation score by which the values are chosen."""
    chosen: Trial | None
    """The first of the best trials that are done; None while trials wait, or where all failed."""

    @property
    def is_failed(self) -> bool:
        """Whether every trial failed."""
        return self.chosen is None and all(tried.state == "failed" for tried in self.tried)

    @property
    def reason(self) -> str:
        """Why nothing is chosen; empty where something is."""
        if self.chosen is not None:
            return ""
        failed = dict.fromkeys(tried.reason for tried in self.tried if tried.state == "failed")
        return f"every trial of `tune` failed: {'; '.join(failed)}" if self.is_failed else "its trials are not all done"

    @property
    def trials(self) -> int:
        """Number of networks that are trained to choose."""
        return len(self.tried) * self.seeds

    def describe(self) -> str:
        """Say in words what was chosen of what."""
        if self.chosen is None:
            return self.reason
        if not self.seeds:
            return "nothing to tune"
        score = next(tried.score for tried in self.tried if tried.trial is self.chosen)
        failed = sum(tried.state == "failed" for tried in self.tried)
        failures = f", {failed} failed" if failed else ""
        return f"{written(self.chosen.values)} is best of {len(self.tried)}, {self.metric} {score:.4g} on val{failures}"

    @property
    def recipe(self) -> Recipe:
        """The recipe with the chosen values; while none are chosen, with the first of the grid."""
        return (self.chosen or self.tried[0].trial).recipe


def undecided(study: Study) -> dict[Levels, Choice]:
    """Give the choice of every variant as long as no trial is done, by the variant's levels."""
    assert study.tuning is not None
    tuning, choices = study.tuning, {}
    for variant in study.variants:
        trials = tuning.of(study.reference if variant.is_placebo else variant)
        seeds = len(tuning.seeds_of(trials))
        waiting = tuple(Tried(trial, "waiting") for trial in trials)
        metric = variant.recipe.train.depth.settings.select
        choices[variant.levels] = Choice(waiting, seeds, metric, None if seeds else trials[0])
    return choices


def written(values: Mapping[str, Any]) -> str:
    """Write values with their paths on one line."""
    return ", ".join(f"{path}={text_of(value)}" for path, value in values.items()) or "nothing to try"


def text_of(value: Any) -> str:
    """Write a value of a recipe on one line."""
    return value if isinstance(value, str) else json.dumps(value)


def check_tune(
    data: Any, expansion: Expansion, variants: Sequence[Variant], axes: Axes, seeds: Sequence[int]
) -> Tuning | None:
    """Check what a study says of its search; None, with faults, where it is wrong."""
    faults = expansion.faults
    if not isinstance(data, dict) or not data:
        faults.add((TUNE,), "write {PATH: [VALUE, VALUE]}, as {train.depth.lr: [1e-3, 2e-3]}")
        return None
    wrong = [path for path, values in data.items() if not _check_values(faults, path, values, axes)]
    if wrong:
        return None
    number = math.prod(map(len, data.values()))
    own = [variant for variant in variants if not variant.is_placebo]
    if number * len(own) > MAX_CELLS:
        message = f"{number} trials x {len(own)} variants, and a study has {MAX_CELLS} at most; try fewer values"
        faults.add((TUNE,), message)
        return None

    recipes = {variant.levels: variant.recipe.to_dict() for variant in own}
    for path in data:
        if own and not any(has_place(recipe, path.split(".")) for recipe in recipes.values()):
            message = "no variant's recipe has such a place; `cliffkit list KIND --options` names options"
            faults.add((TUNE, path), message)
    trials = [trial for variant in own for trial in _trials(data, expansion, variant, recipes[variant.levels])]
    taken = {variant.recipe.seed + seed for variant in variants for seed in seeds}
    offset = offset_apart(TUNING_OFFSET, {variant.recipe.seed + k for variant in own for k in range(number)}, taken)
    if offset + number + max((variant.recipe.seed for variant in own), default=0) > MAX_SEED:
        faults.add((TUNE,), f"the seeds of trials are more than {MAX_SEED}; lower those of the recipe and the study")
    grid = {path: tuple(values) for path, values in data.items()}
    return Tuning(grid, tuple(trials), tuple(range(offset, offset + number)))


def _check_values(faults: Faults, path: str, values: Any, axes: Axes) -> bool:
    """Say whether a path and its values can be tried. If not, add faults."""
    place = (TUNE, path)
    if path.split(".")[0] not in TUNABLE:
        faults.add(place, f"a search tries values of {', '.join(TUNABLE)}: these say what is compared, not on what")
        return False
    if not isinstance(values, list) or len(values) < 2:
        faults.add(place, f"{excerpt(values)} is nothing to choose from; write two values or more, as [1e-3, 2e-3]")
        return False
    good = True
    if path in axes:
        faults.add(place, f"an axis is called {cut(path, 40)} too, so two columns would have one name; rename the axis")
        good = False
    for i, value in enumerate(values):
        if value in values[:i]:
            faults.add((*place, i), f"{excerpt(value)} stands twice; keep one")
            good = False
    ours = {".".join(steps) for value in values for steps in leaves(path.split("."), value)}
    for leaf in ours & FIXED.keys():
        faults.add(place, f"{cut(leaf)} {FIXED[leaf]}")
        good = False
    for axis, levels in axes.items():
        items = [item for patch in levels.values() for item in patch.items()]
        both = ours & {".".join(steps) for name, value in items for steps in leaves(name.split("."), value)}
        if both:
            message = f"axis '{cut(axis, 40)}' sets {cut(min(both))} too, so the axis would do nothing; keep one"
            faults.add(place, message)
            good = False
    return good


def _trials(
    grid: Mapping[str, Sequence[Any]], expansion: Expansion, variant: Variant, recipe: Mapping[str, Any]
) -> Iterator[Trial]:
    """Give the trials of a variant: every combination of the values of the paths that its recipe has."""
    paths = [path for path in grid if has_place(recipe, path.split("."))]
    if not paths:
        yield Trial(variant, {}, variant.recipe)
        return
    document = Document(expansion.base_document.file, recipe, {})
    found: list[Fault] = []
    for numbers in itertools.product(*(range(len(grid[path])) for path in paths)):
        values = {path: grid[path][i] for path, i in zip(paths, numbers, strict=True)}
        places = {path: expansion.document.origin((TUNE, path, i)) for path, i in zip(paths, numbers, strict=True)}
        changed, _ = patched(document, values, places, expansion.registry)
        try:
            yield Trial(variant, values, check_recipe(changed, expansion.registry, expansion.cache))
        except RecipeError as error:
            found += error.faults
    expansion.faults.include(found, f" (in variant '{variant.name}')")
