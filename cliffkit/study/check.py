"""One YAML file, one study: a base recipe, the axes along which it varies, seeds, and what is compared.

A variant is one point of a study, a cell one variant under one seed. Everything is checked before anything runs, and
every fault of every variant is reported at once.
"""

from __future__ import annotations

import math
import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliffkit.components.near import meant, near
from cliffkit.components.registry import Registry
from cliffkit.errors import Fault, RecipeError
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_recipe, is_study, no_mapping, refuse_recipe
from cliffkit.recipe.checker import Known
from cliffkit.recipe.evaluate import check_protocol
from cliffkit.recipe.faults import Faults
from cliffkit.recipe.override import override
from cliffkit.recipe.recipe import Recipe
from cliffkit.recipe.shipped import is_study as is_shipped_study
from cliffkit.recipe.shipped import shipped
from cliffkit.recipe.yamlstrict import Document
from cliffkit.scoring.metrics import DEFINITIONS, METRICS
from cliffkit.study.expand import Axes, Expansion
from cliffkit.study.placebo import PLACEBO, check_placebo, placebo_of
from cliffkit.study.seeds import check_seed_sums, check_seeds, seed_notes
from cliffkit.study.study import Levels, Study, Variant
from cliffkit.study.tuning import TUNE, check_tune
from cliffkit.text import cut, excerpt

DESIGNS = ("grid", "one_at_a_time", "leave_one_out")

TOP = ("name", "base", "design", "seeds", "axes", "exclude", "compare", PLACEBO, TUNE)

COMPARE = ("metric", "protocol", "reference", "smallest")


def load_study(path: Path, registry: Registry, overrides: Sequence[str] = ()) -> Study:
    """Read and check a study; `--set` overrides change its base recipe. Raises RecipeError with every fault."""
    return check_study(yamlstrict.load(path), path.parent, registry, overrides)


def check_study(document: Document, folder: Path, registry: Registry, overrides: Sequence[str] = ()) -> Study:
    """Turn a document into a study; the path of its base recipe begins in `folder`. Raises RecipeError."""
    data, faults = document.data, Faults(document)
    if not isinstance(data, dict):
        raise faults.stop(no_mapping(document, "a study is a mapping; see docs/guides/studies.md"))
    refuse_recipe(document)

    name, design = _head(faults, data)
    seeds, adaptive = check_seeds(faults, data.get("seeds", [0, 1, 2]))

    written_base = _base(document, faults, folder)
    if written_base is None:
        raise faults.error()
    base_document = override(written_base, overrides, registry)
    cache: Known = {}
    base = check_recipe(base_document, registry, cache)  # raises at once: later checks would repeat its faults

    expansion = Expansion(document, faults, (base_document, base), registry, cache)
    axes = expansion.axes(data.get("axes", {} if design == "leave_one_out" else None), design)
    has_placebo = check_placebo(faults, data.get(PLACEBO, False), axes)
    metric, protocol, centre, smallest = _compare(faults, data.get("compare", {}), axes, base, registry)
    if not expansion.fits(axes, design, len(seeds)):
        raise faults.error()
    points = expansion.points(axes, data.get("exclude", []), centre if design == "one_at_a_time" else None)
    _check_reference(faults, centre, points)
    faults.check()
    variants = list(expansion.variants(points, axes))
    reference = next((variant for variant in variants if variant.levels == centre), None)
    if has_placebo and reference is not None:
        variants.append(placebo_of(reference, variants, seeds))
    check_seed_sums(faults, variants, seeds, adaptive)
    tuning = check_tune(data[TUNE], expansion, variants, axes, seeds) if TUNE in data else None
    faults.check()
    assert reference is not None
    _comparable(document, variants)

    return Study(
        name=name,
        design=design,
        file=document.file,
        base=base,
        seeds=seeds,
        axes={axis: tuple(levels) for axis, levels in axes.items()},
        variants=tuple(variants),
        metric=metric,
        protocol=protocol,
        reference=reference,
        full=tuple(next((level for level, patch in levels.items() if not patch), "") for levels in axes.values()),
        notes=tuple(dict.fromkeys([*expansion.notes, *seed_notes(adaptive)])),
        text=document.text or yamlstrict.dump({**data, "base": written_base.data}),
        overrides=tuple(overrides),
        adaptive=adaptive,
        smallest=smallest,
        tuning=tuning,
    )


def _head(faults: Faults, data: Mapping[str, Any]) -> tuple[str, str]:
    """Check the keys of a study, and give its name and design."""
    for key in data:
        if key not in TOP:
            faults.add((key,), f"unknown key; {near(key, TOP, 'a study has')}")
    name = str(data.get("name", ""))
    faults.name(("name",), name)
    design = data.get("design", "grid")
    if design not in DESIGNS:
        faults.add(("design",), f"no design is called {excerpt(design)}; {near(design, DESIGNS, 'there are')}")
    return name, design


def _base(document: Document, faults: Faults, folder: Path) -> Document | None:
    """Give the base recipe: a file (path from the study's folder), a shipped recipe, or a mapping in the study."""
    data = document.data.get("base")
    if isinstance(data, dict) and not is_study(data):
        return document.within("base")
    if not isinstance(data, str):
        message = "name the recipe that is varied, as base: ../cliff_hegR.yaml (from the study's folder)"
        faults.add(("base",), message)
        return None
    path = Path(os.path.normpath(folder / data))
    if not os.path.isfile(path):  # false also for text that can be no path
        path = shipped().get(data, path)
    if not data or not os.path.isfile(path):
        hint = meant(data, [name for name, file in shipped().items() if not is_shipped_study(file)])
        remedy = "give its path from the study's folder, or the name of a recipe that comes with cliffkit"
        faults.add(("base",), f"there is no recipe {cut(str(path))}; {hint or remedy}")
        return None
    base = yamlstrict.load(path)
    if is_study(base.data):
        faults.add(("base",), f"{cut(str(path))} is a study; name the recipe that it varies")
        return None
    return base


def _compare(
    faults: Faults, data: Any, axes: Axes, base: Recipe, registry: Registry
) -> tuple[str, str, Levels, float | None]:
    """Give metric, protocol, levels of the reference and smallest difference by which variants are compared."""
    if not isinstance(data, dict):
        faults.add(("compare",), "write {metric: abs_rel, protocol: full, reference: {AXIS: LEVEL}}")
        data = {}
    for key in data:
        if key not in COMPARE:
            faults.add(("compare", key), f"unknown key; {near(key, COMPARE, 'it has')}")
    metric = data.get("metric", "abs_rel")
    if metric not in METRICS:
        faults.add(
            ("compare", "metric"), f"no metric is called {excerpt(metric)}; {near(metric, METRICS, 'there are')}"
        )
        metric = METRICS[0]  # what follows needs one

    scored = [protocol.name for protocol in base.protocols]
    protocol = data.get("protocol", scored[0])
    if protocol not in scored:
        protocol = _scored(faults, str(protocol), scored, registry)
    return metric, protocol, _reference(faults, data.get("reference", {}), axes), _smallest(faults, data, metric)


def _smallest(faults: Faults, data: Mapping[str, Any], metric: str) -> float | None:
    """Give the smallest difference of interest, in the metric's unit; None where there is none."""
    if "smallest" not in data:
        return None
    value = data["smallest"]
    fault = smallest_fault(value, metric)
    if fault:
        faults.add(("compare", "smallest"), fault)
        return None
    return float(value)


def smallest_fault(value: Any, metric: str) -> str:
    """Say why a value is no smallest difference of interest in a metric; empty where it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        return f"{excerpt(value)} is no difference; write the smallest of interest in the metric's unit, as 0.005"
    if value > DEFINITIONS[metric].largest:
        most = f"{DEFINITIONS[metric].largest:g}"
        return f"{excerpt(value)} is more than {metric} can differ by; write {most} at most, as 0.005"
    return ""


def _scored(faults: Faults, short: str, scored: Sequence[str], registry: Registry) -> str:
    """Give the scored protocol that a short name means, whatever the order of its modifiers."""
    try:
        name = check_protocol(short, registry).name
    except RecipeError as error:
        faults.add(("compare", "protocol"), error.faults[0].message)
        return short
    if name not in scored:
        message = f"the base recipe does not score '{name}'; {near(name, scored, 'it scores')}"
        faults.add(("compare", "protocol"), message)
    return name


def _reference(faults: Faults, data: Any, axes: Axes) -> Levels:
    """Give one level per axis: the level that is named, else the base's own."""
    place = ("compare", "reference")
    if not isinstance(data, dict):
        faults.add(place, "write one level per axis, as {embedding: none, fusion: cliff}")
        data = {}
    for axis in data:
        if axis not in axes:
            faults.add((*place, axis), f"no axis is called '{cut(axis, 40)}'; {near(axis, axes, 'there are')}")
    levels: list[str] = []
    for axis, patches in axes.items():
        unchanged = [level for level, patch in patches.items() if not patch]
        level = data.get(axis, unchanged[0] if unchanged else None)
        if level is None:
            start = next(iter(patches))
            name = cut(axis, 40)
            faults.add(
                place, f"axis '{name}' has no level {{}} to start from; name one, as {{{name}: {cut(start, 40)}}}"
            )
        elif str(level) not in patches:
            message = f"axis '{cut(axis, 40)}' has no level '{cut(str(level), 40)}'; {near(level, patches, 'it has')}"
            faults.add((*place, axis), message)
        levels.append(str(level) if str(level) in patches else next(iter(patches)))
    return tuple(levels)


def _check_reference(faults: Faults, reference: Levels, points: Sequence[Levels]) -> None:
    """Add a fault where the reference is excluded; only where nothing else is wrong, which might be the reason."""
    if points and reference not in points and not faults:
        message = f"'{cut(' + '.join(reference))}' is no variant of the study: it is excluded; name another one"
        faults.add(("compare", "reference"), message)


def _comparable(document: Document, variants: Sequence[Variant]) -> None:
    """Raise RecipeError where variants are scored or selected by different rules: they cannot stand in one table."""
    first = variants[0]
    for second in variants[1:]:
        ours, theirs = first.recipe, second.recipe
        if ours.protocols != theirs.protocols:
            names = [[protocol.name for protocol in recipe.protocols] for recipe in (ours, theirs)]
            words = [[protocol.describe() for protocol in recipe.protocols] for recipe in (ours, theirs)]
            raise _apart(document, "protocols", first, second, words if names[0] == names[1] else names)
        rules = [recipe.train.depth.settings.select for recipe in (ours, theirs)]
        if rules[0] != rules[1]:
            raise _apart(document, "rules of selection", first, second, rules)


def _apart(document: Document, label: str, first: Variant, second: Variant, values: Sequence[Any]) -> RecipeError:
    a, b = values
    message = f"'{first.name}' and '{second.name}' have different {label}, {a} and {b}: no table may hold both"
    return RecipeError([Fault(document.place(("axes",)), "axes", message)])
