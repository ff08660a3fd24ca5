"""The axes of a study and the variants that they span, each checked as a whole recipe."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from cliffkit.components.near import near
from cliffkit.components.registry import Registry
from cliffkit.errors import RecipeError
from cliffkit.jobs.once import Once
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.checker import Known
from cliffkit.recipe.faults import MAX_NAME, Faults
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import Recipe
from cliffkit.recipe.yamlstrict import Document, Path_
from cliffkit.study.columns import TAKEN
from cliffkit.study.patches import Patch, leaves, made_ready, patched, removals
from cliffkit.study.study import COMPONENT, FULL, Levels, Variant
from cliffkit.text import cut, excerpt

Axes = Mapping[str, Mapping[str, Patch]]
"""The patch of each level of each axis, in the study's order."""

MAX_CELLS = 100_000
"""Variants times seeds."""

SEED = "seed"
"""The path of a recipe that no level may write: the study's seeds are added to it."""


class Expansion:
    """A study's axes and variants. Gathers faults in `faults`, and remarks for the reader in `notes`."""

    def __init__(
        self, document: Document, faults: Faults, base: tuple[Document, Recipe], registry: Registry, cache: Known
    ) -> None:
        self.document, self.faults, self.registry, self.cache = document, faults, registry, cache
        self.base_document, self.base = base
        self.notes: list[str] = []
        self.once = Once()

    def axes(self, data: Any, design: str) -> Axes:
        """Check the axes, each level's patch alone. A study that leaves parts out gets its one axis from the base."""
        axes: dict[str, dict[str, Patch]] = {}
        if not isinstance(data, dict) or (not data and design != "leave_one_out"):
            self.faults.add(("axes",), "write axes: {NAME: {LEVEL: {PATH: VALUE}}}; {} is the base's own value")
            return axes
        for axis, levels in data.items():
            if not isinstance(levels, dict) or not levels:
                is_empty = levels in (None, {}, [])
                cause = "the axis is empty" if is_empty else f"{excerpt(levels)} is no mapping of levels"
                message = (
                    f"{cause}; write each level's name with what it changes, as "
                    "{cliff: {}, add: {model.fusion: {use: add}}}; {} is the base's own value"
                )
                self.faults.add(("axes", axis), message)
                continue
            if axis in TAKEN and design != "leave_one_out":
                message = f"a column of the study's results has this name; call the axis otherwise, as '{axis}_axis'"
                self.faults.add(("axes", axis), message)
            for name, path in ((axis, ("axes", axis)), *((level, ("axes", axis, level)) for level in levels)):
                if not 0 < len(name) <= MAX_NAME:
                    message = f"has {len(name)} characters; a name has 1 to {MAX_NAME}"
                    self.faults.add(path, message)
            axes[axis] = {level: self._level(axis, level, patch) for level, patch in levels.items()}

        if design == "leave_one_out":
            changes = {level: patch for levels in axes.values() for level, patch in levels.items() if patch}
            axes = {COMPONENT: {FULL: {}, **self._removable(dict(removals(self.base))), **changes}}
        self._overlaps(axes)
        return axes

    def fits(self, axes: Axes, design: str, seeds: int) -> bool:
        """Say whether a study has cells that can be counted and compared: they are counted before they are made."""
        sizes = [len(levels) for levels in axes.values()]
        variants = 1 + sum(size - 1 for size in sizes) if design == "one_at_a_time" else math.prod(sizes)
        if variants * seeds <= MAX_CELLS:
            return True
        counts = " x ".join(map(str, sizes)) if design != "one_at_a_time" else str(variants)
        self.faults.add(
            ("axes",),
            f"{counts} variants x {seeds} seeds = {variants * seeds} cells before `exclude`, and a study has "
            f"{MAX_CELLS} at most; leave levels out, make studies of their own, or write design: one_at_a_time",
        )
        return False

    def points(self, axes: Axes, rules: Any, centre: Levels | None) -> list[Levels]:
        """Apply `exclude` to the grid, or to the points that differ from a `centre` along one axis at most."""
        if centre is None:
            points = list(itertools.product(*axes.values())) if axes else []
        else:
            points = list(around(centre, list(map(list, axes.values()))))
        if not isinstance(rules, list):
            self.faults.add(("exclude",), "write a list of patterns, as [{embedding: none, fusion: 'c*'}]")
            return points

        for i, rule in enumerate(rules):
            if not isinstance(rule, dict) or not rule:
                message = "write a pattern for some axes, as {embedding: none, fusion: 'c*'}"
                self.faults.add(("exclude", i), message)
                continue
            unknown = [axis for axis in rule if axis not in axes]
            for axis in unknown:
                message = f"no axis is called '{cut(axis, 40)}'; {near(axis, axes, 'there are')}"
                self.faults.add(("exclude", i, axis), message)
            if unknown:
                continue
            remaining = [point for point in points if not is_excluded(dict(zip(axes, point, strict=True)), rule)]
            if len(remaining) == len(points):
                self.faults.add(("exclude", i), "matches no variant; mend or remove it")
            points = remaining

        if not points and axes:
            self.faults.add(("exclude",), "nothing is left of the study")
        return points

    def variants(self, points: Iterable[Levels], axes: Axes) -> Iterator[Variant]:
        """Give the recipe of each point; a point whose patches or recipe are wrong is a fault."""
        contents: dict[tuple[Any, ...], str] = {}
        for levels in points:
            name = " + ".join(levels)
            patches = [axes[axis][level] for axis, level in zip(axes, levels, strict=True)]
            changed, is_whole = made_ready(self.base_document, patches), True
            for axis, level, patch in zip(axes, levels, patches, strict=True):
                places = self._places(("axes", axis, level), patch)
                changed, lost = patched(changed, patch, places, self.registry)
                is_whole = is_whole and not lost
            if not is_whole:
                self.faults.add(("axes",), f"the patches of variant '{name}' cannot be combined; exclude it")
                continue
            recipe = self._checked(changed, f" (in variant '{name}')")
            if recipe is None:
                continue

            twin = contents.setdefault(self._content(recipe), name)
            if twin != name:
                self.notes.append(
                    f"'{twin}' and '{name}' are one recipe under two names: they share every result, "
                    "so their difference is exactly zero"
                )
            if recipe.published and any(patches):
                recipe = replace(recipe, published=())  # published scores belong to the base alone
            yield Variant(name, levels, recipe)

    def _level(self, axis: str, level: str, patch: Any) -> Patch:
        """Check one patch alone: it must apply, and do something."""
        place = ("axes", axis, level)
        if not isinstance(patch, dict):
            message = f"{excerpt(patch)} is no patch; write {{PATH: VALUE}}, or {{}} for the base's own value"
            self.faults.add(place, message)
            return {}
        if SEED in patch:
            message = (
                "a level may not set the seed: the study itself trains every variant under each of its `seeds`, and "
                "compares variants under equal ones; take it out. To train under more seeds, list them under `seeds`; "
                "to see how much seeds alone change, write `placebo: true`, which adds the reference once more under "
                "other seeds"
            )
            self.faults.add((*place, SEED), message)
            return {path: value for path, value in patch.items() if path != SEED}
        if patch:
            ready = made_ready(self.base_document, [patch])
            changed, missing = patched(ready, patch, self._places(place, patch), self.registry)
            for path, message in missing.items():
                self.faults.add((*place, path), message)
            named = f" (in axis '{cut(axis, 40)}', level '{cut(level, 40)}')"
            suffix = named if self.document.lines else ""  # without lines the place itself names both
            recipe = None if missing else self._checked(changed, suffix, all_places=True)
            if recipe is not None and self._content(recipe) == self._content(self.base):
                message = "the patch changes nothing: the base has these values already; write {} if that is meant"
                self.faults.add(place, message)
        return patch

    def _checked(self, document: Document, suffix: str, *, all_places: bool = False) -> Recipe | None:
        try:
            return check_recipe(document, self.registry, self.cache)
        except RecipeError as error:
            self.faults.include(error.faults, suffix, all_places=all_places)
            return None

    def _places(self, place: Path_, patch: Patch) -> dict[str, str]:
        return {path: self.document.origin((*place, path)) for path in patch}

    def _removable(self, candidates: Mapping[str, Patch]) -> dict[str, Patch]:
        """Keep the removals after which the recipe is still valid; note the others for the reader."""
        patches: dict[str, Patch] = {}
        for level, patch in candidates.items():
            places = dict.fromkeys(patch, self.base_document.file)
            changed, _ = patched(self.base_document, patch, places, self.registry)
            try:
                check_recipe(changed, self.registry, self.cache)
                patches[level] = patch
            except RecipeError as error:
                self.notes.append(f"'{level}' cannot be left out: {error.faults[0].message}")
        if not patches:
            self.faults.add((), "nothing can be left out of the base recipe")
        return patches

    def _overlaps(self, axes: Axes) -> None:
        """Add a fault where two axes write the same place: one of the axes would change nothing."""
        writers: dict[str, str] = {}
        for axis, levels in axes.items():
            for level, patch in levels.items():
                for path, value in patch.items():
                    for leaf in (".".join(steps) for steps in leaves(path.split("."), value)):
                        writer = writers.setdefault(leaf, axis)
                        if writer != axis:
                            sets = f"axis '{cut(writer, 40)}' sets {cut(leaf)} too"
                            message = f"{sets}, so one of the two would do nothing; keep one"
                            self.faults.add(("axes", axis, level, path), message)

    def _content(self, recipe: Recipe) -> tuple[Any, ...]:
        """Give the content of a recipe, without its name and published scores."""
        parts = (self.once("part", (part,), partial(_written, part)) for part in recipe.parts())
        train = self.once("train", (recipe.train,), lambda: str(recipe.train.to_dict()))
        return recipe.seed, *parts, train


def _written(part: Part) -> str:
    return str(part.to_dict())


def around(centre: Levels, axes: Sequence[Sequence[str]]) -> Iterator[Levels]:
    """Give a grid's points that differ from the centre along one axis at most, in the grid's order."""
    if not axes:
        yield ()
        return
    for level in axes[0]:
        if level == centre[0]:
            yield from ((level, *rest) for rest in around(centre[1:], axes[1:]))
        else:
            yield (level, *centre[1:])


def is_excluded(levels: Mapping[str, str], rule: Mapping[str, Any]) -> bool:
    """Tell whether a pattern of `exclude` names a point, given by its level of each axis."""
    patterns = {axis: value if isinstance(value, list) else [value] for axis, value in rule.items()}
    return all(any(fnmatchcase(levels[axis], str(pattern)) for pattern in each) for axis, each in patterns.items())
