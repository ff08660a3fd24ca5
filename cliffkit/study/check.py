"""One YAML file, one study: a base recipe, the axes along which it varies, seeds, and what is compared.

A variant is one point of a study, a cell one variant under one seed. Everything is checked before anything runs, and
every fault of every variant is reported at once.
"""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from cliffkit.components.registry import Registry
from cliffkit.errors import Fault, RecipeError
from cliffkit.jobs.once import Once
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import Known, check_protocol, check_recipe, is_name
from cliffkit.recipe.override import override
from cliffkit.recipe.recipe import Part, Recipe
from cliffkit.recipe.schema import MAX_SEED
from cliffkit.recipe.yamlstrict import Document, Path_, dotted
from cliffkit.scoring.metrics import METRICS
from cliffkit.study.patches import Patch, leaves, patched, removals
from cliffkit.study.study import COMPONENT, FULL, Levels, Study, Variant

DESIGNS = ("grid", "one_at_a_time", "leave_one_out")

TOP = ("name", "base", "design", "seeds", "axes", "exclude", "compare")


def load_study(path: Path, registry: Registry, overrides: Sequence[str] = ()) -> Study:
    """Read and check a study; `--set` overrides change its base recipe. Raises RecipeError with every fault."""
    return _Check(yamlstrict.load(path), path, registry, overrides).study()


class _Check:
    """One pass over a study file that gathers faults instead of stopping at the first."""

    def __init__(self, document: Document, path: Path, registry: Registry, overrides: Sequence[str]) -> None:
        self.document, self.path, self.registry, self.overrides = document, path, registry, tuple(overrides)
        self.faults: list[Fault] = list(document.faults)
        self.told = {(fault.place, fault.path) for fault in document.faults}
        self.notes: list[str] = []
        self.known: Known = {}
        self.once = Once()

    def study(self) -> Study:
        data = self.document.data
        if not isinstance(data, dict):
            raise RecipeError(
                [*self.faults, Fault(self.document.file, "", "a study is a mapping; see docs/studies.md")]
            )
        for key in data:
            if key not in TOP:
                self.fault((key,), f"unknown key; {_near(key, TOP, 'a study has')}")
        name = str(data.get("name", ""))
        if not is_name(name):
            self.fault(
                ("name",), f"{name!r} is no name; use letters, digits, '.', '_' and '-', a letter or digit first"
            )
        design = data.get("design", "grid")
        if design not in DESIGNS:
            self.fault(("design",), f"no design is called {design!r}; {_near(design, DESIGNS, 'there are')}")
        seeds = self.seeds(data.get("seeds", [0, 1, 2]))
        document = self.base(data.get("base"))
        if document is None:
            raise RecipeError(self.faults)
        base = check_recipe(document, self.registry, self.known)  # its faults alone: all that follows would repeat them
        axes = self.axes(data.get("axes", {} if design == "leave_one_out" else None), design, document, base)
        metric, protocol, centre = self.compare(data.get("compare", {}), axes, base)
        points = self.points(axes, data.get("exclude", []), centre if design == "one_at_a_time" else None)
        if points and centre not in points and not self.faults:
            message = f"'{' + '.join(centre)}' is no variant of the study: it is excluded; name another one"
            self.fault(("compare", "reference"), message)
        variants = [] if self.faults else list(self.variants(points, axes, document))
        if self.faults:
            raise RecipeError(list(dict.fromkeys(self.faults)))
        self.comparable(variants)
        full = tuple(next((level for level, patch in levels.items() if not patch), "") for levels in axes.values())
        return Study(
            name,
            design,
            self.path,
            base,
            seeds,
            {axis: tuple(levels) for axis, levels in axes.items()},
            tuple(variants),
            metric,
            protocol,
            next(variant for variant in variants if variant.levels == centre),
            full,
            tuple(dict.fromkeys(self.notes)),
            self.path.read_text(encoding="utf-8"),
            self.overrides,
        )

    def fault(self, path: Path_, message: str) -> None:
        self.add(Fault(self.document.place(path), dotted(path), message))

    def add(self, fault: Fault) -> None:
        self.faults.append(fault)
        self.told.add((fault.place, fault.path))

    def seeds(self, data: Any) -> tuple[int, ...]:
        if not isinstance(data, list) or not data:
            self.fault(("seeds",), "write a list of seeds, as [0, 1, 2]")
            return ()
        for i, seed in enumerate(data):
            if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
                self.fault(("seeds", i), f"{seed!r} is no seed; write whole numbers from 0 to {MAX_SEED}")
            elif seed in data[:i]:
                self.fault(("seeds", i), f"seed {seed} stands twice; a seed run again is no replicate; keep one")
        return tuple(data)

    def base(self, data: Any) -> Document | None:
        if not isinstance(data, str):
            self.fault(
                ("base",), "name the recipe that is varied, as base: ../cliff_hegR.yaml (from the study's folder)"
            )
            return None
        path = Path(os.path.normpath(self.path.parent / data))
        if not path.exists():
            self.fault(("base",), f"there is no recipe {path}; give its path from the study's folder")
            return None
        return override(yamlstrict.load(path), self.overrides, self.registry)

    def axes(self, data: Any, design: str, document: Document, base: Recipe) -> dict[str, dict[str, Patch]]:
        axes: dict[str, dict[str, Patch]] = {}
        if not isinstance(data, dict) or (not data and design != "leave_one_out"):
            self.fault(("axes",), "write axes: {NAME: {LEVEL: {PATH: VALUE}}}; {} is the base's own value")
            return axes
        for axis, levels in data.items():
            if not isinstance(levels, dict) or not levels:
                self.fault(
                    ("axes", axis), "the axis is empty; give it levels, as {cliff: {}, add: {model.fusion: {use: add}}}"
                )
                continue
            axes[axis] = {}
            for level, patch in levels.items():
                here = ("axes", axis, level)
                if not isinstance(patch, dict):
                    self.fault(here, f"{patch!r} is no patch; write {{PATH: VALUE}}, or {{}} for the base's own value")
                    patch = {}
                axes[axis][level] = patch
                self.level(here, patch, document, base)
        if design == "leave_one_out":
            own = {level: patch for levels in axes.values() for level, patch in levels.items() if patch}
            axes = {COMPONENT: {FULL: {}, **self.removable(dict(removals(base)), document), **own}}
        self.overlaps(axes)
        return axes

    def level(self, here: Path_, patch: Patch, document: Document, base: Recipe) -> None:
        """Faults of one patch alone: it must apply, and do something."""
        if not patch:
            return
        changed, missing = patched(document, patch, self.places(here, patch), self.registry)
        for path in missing:
            self.fault((*here, path), "no such place in the base recipe; the part before the last dot must exist")
        recipe = None if missing else self.checked(changed, "")
        if recipe is not None and self.content(recipe) == self.content(base):
            self.fault(here, "the patch changes nothing: the base has these values already; write {} if that is meant")

    def checked(self, document: Document, variant: str) -> Recipe | None:
        try:
            return check_recipe(document, self.registry, self.known)
        except RecipeError as error:
            suffix = f" (in variant '{variant}')" if variant else ""
            for fault in [fault for fault in error.faults if (fault.place, fault.path) not in self.told]:
                self.add(replace(fault, message=fault.message + suffix))
            return None

    def places(self, here: Path_, patch: Patch) -> dict[str, str]:
        return {path: self.document.place((*here, path)) for path in patch}

    def removable(self, wanted: Mapping[str, Patch], document: Document) -> dict[str, Patch]:
        """The removals that leave a recipe; of the others the reader is told."""
        kept: dict[str, Patch] = {}
        for level, patch in wanted.items():
            changed, _ = patched(document, patch, dict.fromkeys(patch, self.document.file), self.registry)
            try:
                check_recipe(changed, self.registry, self.known)
                kept[level] = patch
            except RecipeError as error:
                self.notes.append(f"'{level}' cannot be left out: {error.faults[0].message}")
        if not kept:
            self.fault((), "nothing can be left out of the base recipe")
        return kept

    def overlaps(self, axes: Mapping[str, Mapping[str, Patch]]) -> None:
        """Two axes that write one place: one of them would ablate nothing."""
        written: dict[str, str] = {}
        for axis, levels in axes.items():
            for level, patch in levels.items():
                for path, value in patch.items():
                    for leaf in (".".join(steps) for steps in leaves(path.split("."), value)):
                        first = written.setdefault(leaf, axis)
                        if first != axis:
                            message = f"axis '{first}' sets {leaf} too, so one of the two would do nothing; keep one"
                            self.fault(("axes", axis, level, path), message)

    def points(self, axes: Mapping[str, Mapping[str, Patch]], rules: Any, centre: Levels | None) -> list[Levels]:
        """What `exclude` leaves of the grid, or of the points that differ from a `centre` along one axis at most."""
        if centre is None:
            points = list(itertools.product(*axes.values())) if axes else []
        else:
            points = list(_around(centre, list(map(list, axes.values()))))
        if not isinstance(rules, list):
            self.fault(("exclude",), "write a list of patterns, as [{embedding: none, fusion: 'c*'}]")
            return points
        for i, rule in enumerate(rules):
            if not isinstance(rule, dict) or not rule:
                self.fault(("exclude", i), "write a pattern for some axes, as {embedding: none, fusion: 'c*'}")
                continue
            unknown = [axis for axis in rule if axis not in axes]
            for axis in unknown:
                self.fault(("exclude", i, axis), f"no axis is called '{axis}'; {_near(axis, axes, 'there are')}")
            if unknown:
                continue
            wanted = {axis: each if isinstance(each, list) else [each] for axis, each in rule.items()}
            kept = [point for point in points if not _matches(dict(zip(axes, point, strict=True)), wanted)]
            if len(kept) == len(points):
                self.fault(("exclude", i), "matches no variant; mend or remove it")
            points = kept
        if not points and axes:
            self.fault(("exclude",), "nothing is left of the study")
        return points

    def variants(
        self,
        points: Iterable[Levels],
        axes: Mapping[str, Mapping[str, Patch]],
        document: Document,
    ) -> Iterator[Variant]:
        contents: dict[tuple[Any, ...], str] = {}
        for levels in points:
            name = " + ".join(levels)
            changed, missing = document, []
            for axis, level in zip(axes, levels, strict=True):
                patch = axes[axis][level]
                places = self.places(("axes", axis, level), patch)
                changed, lost = patched(changed, patch, places, self.registry)
                missing += lost
            if missing:
                self.fault(("axes",), f"the patches of variant '{name}' cannot be combined; exclude it")
                continue
            recipe = self.checked(changed, name)
            if recipe is None:
                continue
            twin = contents.setdefault(self.content(recipe), name)
            if twin != name:
                self.notes.append(
                    f"'{twin}' and '{name}' are one recipe under two names: they share every result, "
                    "so their difference is exactly zero"
                )
            if recipe.published and any(axes[axis][level] for axis, level in zip(axes, levels, strict=True)):
                recipe = replace(recipe, published=())  # those of the base are for the base alone
            yield Variant(name, levels, recipe)

    def content(self, recipe: Recipe) -> tuple[Any, ...]:
        """What a recipe amounts to, its name and what others report of it aside."""
        parts = (self.once("part", (part,), partial(_written, part)) for part in recipe.parts())
        train = self.once("train", (recipe.train,), lambda: str(recipe.train.model_dump(mode="json")))
        return recipe.seed, *parts, train

    def compare(self, data: Any, axes: Mapping[str, Mapping[str, Patch]], base: Recipe) -> tuple[str, str, Levels]:
        if not isinstance(data, dict):
            self.fault(("compare",), "write {metric: abs_rel, protocol: full, reference: {AXIS: LEVEL}}")
            data = {}
        for key in data:
            if key not in ("metric", "protocol", "reference"):
                self.fault(
                    ("compare", key), f"unknown key; {_near(key, ('metric', 'protocol', 'reference'), 'it has')}"
                )
        metric = data.get("metric", "abs_rel")
        if metric not in METRICS:
            self.fault(("compare", "metric"), f"no metric is called {metric!r}; {_near(metric, METRICS, 'there are')}")
        scored = [protocol.name for protocol in base.protocols]
        protocol = data.get("protocol", scored[0])
        if protocol not in scored:
            protocol = self.scored(str(protocol), scored)
        return metric, protocol, self.reference(data.get("reference", {}), axes)

    def scored(self, short: str, scored: Sequence[str]) -> str:
        """The scored protocol that is meant by a short name whose modifiers may stand in another order."""
        try:
            name = check_protocol(short, self.registry).name
        except RecipeError as error:
            self.fault(("compare", "protocol"), error.faults[0].message)
            return scored[0]
        if name not in scored:
            message = f"the base recipe does not score '{name}'; {_near(name, scored, 'it scores')}"
            self.fault(("compare", "protocol"), message)
        return name

    def reference(self, data: Any, axes: Mapping[str, Mapping[str, Patch]]) -> Levels:
        here = ("compare", "reference")
        if not isinstance(data, dict):
            self.fault(here, "write one level per axis, as {embedding: none, fusion: cliff}")
            data = {}
        for axis in data:
            if axis not in axes:
                self.fault((*here, axis), f"no axis is called '{axis}'; {_near(axis, axes, 'there are')}")
        levels: list[str] = []
        for axis, known in axes.items():
            own = [level for level, patch in known.items() if not patch]
            level = data.get(axis, own[0] if own else None)
            if level is None:
                self.fault(
                    here, f"axis '{axis}' has no level {{}} to start from; name one, as {{{axis}: {next(iter(known))}}}"
                )
            elif str(level) not in known:
                self.fault((*here, axis), f"axis '{axis}' has no level '{level}'; {_near(level, known, 'it has')}")
            levels.append(str(level) if str(level) in known else next(iter(known)))
        return tuple(levels)

    def comparable(self, variants: Sequence[Variant]) -> None:
        """Variants scored or selected by different rules cannot stand in one table."""
        first = variants[0]
        for other in variants[1:]:
            ours, theirs = first.recipe, other.recipe
            if ours.protocols != theirs.protocols:
                names = [[protocol.name for protocol in recipe.protocols] for recipe in (ours, theirs)]
                told = [[protocol.describe() for protocol in recipe.protocols] for recipe in (ours, theirs)]
                self.apart("protocols", first, other, told if names[0] == names[1] else names)
            rules = [recipe.train.depth.select for recipe in (ours, theirs)]
            if rules[0] != rules[1]:
                self.apart("rules of selection", first, other, rules)

    def apart(self, what: str, first: Variant, other: Variant, values: Sequence[Any]) -> None:
        a, b = values
        message = f"'{first.name}' and '{other.name}' have different {what}, {a} and {b}: no table may hold both"
        raise RecipeError([Fault(self.document.place(("axes",)), "axes", message)])


def _written(part: Part) -> str:
    return str(part.to_dict())


def _around(centre: Levels, axes: Sequence[Sequence[str]]) -> Iterator[Levels]:
    """A grid's points that differ from the centre along one axis at most, in the grid's order."""
    if not axes:
        yield ()
        return
    for level in axes[0]:
        if level == centre[0]:
            yield from ((level, *rest) for rest in _around(centre[1:], axes[1:]))
        else:
            yield (level, *centre[1:])


def _matches(levels: Mapping[str, str], rule: Mapping[str, Sequence[Any]]) -> bool:
    return all(any(fnmatchcase(levels[axis], str(pattern)) for pattern in patterns) for axis, patterns in rule.items())


def _near(key: Any, known: Iterable[str], intro: str) -> str:
    known = list(known)
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"{intro}: {', '.join(known)}"
