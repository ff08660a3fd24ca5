"""Is it one recipe? Variants may differ from the base recipe in what their axis says, replicates in their seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from cliffkit.bundles.checks import Check, attempt, brief, differences, few
from cliffkit.bundles.facts import BASE, CELLS, REPORT, STUDY, BundledCell, BundledVariant, BundleFacts
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.errors import UserError
from cliffkit.store.artifacts import RECIPE, StudyDesigns
from cliffkit.study.expand import around, is_excluded
from cliffkit.study.patches import leaves, removals
from cliffkit.study.study import Levels, spelt, spelt_seeds

Written = Mapping[str, Any]
"""What a recipe says, every default in."""

APART = ("name", "published")
"""Keys of a recipe on which no result depends."""


def check_one_recipe(bundle: OpenedBundle) -> Check:
    """Compare the recipes of all variants with the base recipe, and the study with what bundle.json says of it."""
    faults: list[str] = []

    def work() -> None:
        faults.extend(_other_design(bundle))
        faults.extend(_other_reports(bundle))
        faults.extend(_other_variants(bundle))

    attempt(faults, bundle.folder, work)
    count = len(bundle.facts.study.variants)
    compared = f"the recipes of {count} variants with the base recipe: each may differ in what its axes say"
    return Check("one recipe", compared, tuple(faults))


def check_replicates(bundle: OpenedBundle) -> Check:
    """Compare the recipes of each variant's cells: they may differ in their seeds, which the study names."""
    faults: list[str] = []

    def work() -> None:
        first: dict[str, tuple[BundledCell, Written]] = {}
        for cell in bundle.facts.cells:
            recipe = bundle.written(cell)
            place = f"{CELLS}/{cell.folder}/{RECIPE}"
            leader, theirs = first.setdefault(cell.variant, (cell, recipe))
            for path, mine, other in _differing(recipe, theirs, "seed"):
                faults.append(f"{place}: {path} is {brief(mine)}, and {brief(other)} in the recipe of {leader.name}")
            if recipe["seed"] - cell.own_seed != theirs["seed"] - leader.own_seed:
                faults.append(
                    f"{place}: seed is {recipe['seed']}, not as far from that of {leader.name} as {cell.own_seed} "
                    f"is from {leader.own_seed}"
                )

    attempt(faults, bundle.folder, work)
    faults += _doubles(bundle)
    compared = f"the recipes of {len(bundle.facts.cells)} cells by variant: they may differ in their seeds alone"
    return Check("replicates", compared, tuple(faults))


def _doubles(bundle: OpenedBundle) -> Iterator[str]:
    """Name cells that bundle.json lacks, has twice, or has under a seed that the study does not give."""
    study = bundle.facts.study
    wanted = {(variant.name, seed): variant for variant in study.variants for seed in study.seeds}
    seen: set[tuple[str, int]] = set()
    for cell in bundle.facts.cells:
        place = (cell.variant, cell.seed)
        variant = wanted.get(place)
        if place in seen or variant is None:
            yield f"{BundleFacts.FILE}: cell '{cell.name}' {'stands twice' if place in seen else 'is not of the study'}"
        elif cell.own_seed != variant.own_seeds.get(cell.seed, cell.seed):
            yield f"{BundleFacts.FILE}: cell '{cell.name}' has not the seed that the study gives it"
        seen.add(place)
    for name, seed in wanted.keys() - seen:
        yield f"{BundleFacts.FILE}: cell '{name}, seed {seed}' of the study is missing"
    networks: dict[str, str] = {}
    for cell in bundle.facts.cells:
        key = cell.keys.get("depth", "")
        other = networks.setdefault(key, cell.name)
        if cell.state == "done" and other != cell.name and other.startswith(f"{cell.variant}, seed"):
            yield f"{BundleFacts.FILE}: {cell.name} and {other} are one network: a network twice is no replicate"


def _other_design(bundle: OpenedBundle) -> Iterator[str]:
    """Compare bundle.json with the study's file."""
    written, study = bundle.yaml(STUDY), bundle.facts.study
    if not isinstance(written, dict):
        raise UserError(f"{STUDY}: is no study")
    compare = written.get("compare", {})
    seeds = list(study.seeds) if bundle.study.adaptive is None else spelt(bundle.study.adaptive)
    levels = dict(zip(study.axes, study.reference, strict=True))
    pairs: list[tuple[str, Any, Any]] = [
        ("name", written.get("name"), study.name),
        ("design", written.get("design", "grid"), study.design),
        ("seeds", written.get("seeds", [0, 1, 2]), seeds),
        ("compare.metric", compare.get("metric", "abs_rel"), study.metric),
        ("compare.smallest", compare.get("smallest"), study.smallest),
    ]
    pairs += [
        (f"compare.reference.{axis}", str(level), levels.get(axis))
        for axis, level in compare.get("reference", {}).items()
    ]
    if study.design != "leave_one_out":
        axes = {axis: list(patches) for axis, patches in written.get("axes", {}).items()}
        pairs.append(("axes", axes, {axis: list(names) for axis, names in study.axes.items()}))
    for place, theirs, ours in pairs:
        if theirs != ours:
            yield f"{BundleFacts.FILE}: {place} is {brief(ours)}, and {brief(theirs)} in {STUDY}"
    points = {variant.levels for variant in study.variants if not variant.own_seeds}
    wanted = _points(bundle, written)
    for point in sorted(wanted - points):
        yield f"{BundleFacts.FILE}: variant '{' + '.join(point)}' of {STUDY} is missing"
    for point in sorted(points - wanted):
        yield f"{BundleFacts.FILE}: variant '{' + '.join(point)}' is not of {STUDY}"
    if any(variant.own_seeds for variant in study.variants) != bool(written.get("placebo", False)):
        yield f"{BundleFacts.FILE}: has {'no ' * bool(written.get('placebo'))}placebo, other than {STUDY} says"


def _other_reports(bundle: OpenedBundle) -> Iterator[str]:
    """Name what the list of the designs under which the study was reported does not fit."""
    kept, study = StudyDesigns.read(bundle.report), bundle.study
    keys = [cell.keys.get("depth") for cell in bundle.facts.cells if cell.variant == study.reference.name]
    place = f"{REPORT}/{StudyDesigns.FILE}"
    if kept.reference not in keys:
        yield f"{place}: {brief(kept.reference)} is no network of the reference, {study.reference.name}"
    if spelt_seeds(study) not in kept.designs:
        yield f"{place}: says that the study was reported under {' and '.join(kept.designs)}, not {spelt_seeds(study)}"


def _points(bundle: OpenedBundle, written: Mapping[str, Any]) -> set[Levels]:
    """Give the levels of every variant that the study's file asks for."""
    study, axes = bundle.facts.study, dict(bundle.facts.study.axes)
    if study.design == "leave_one_out":
        notes = [f"'{label}' cannot be left out" for label, _ in removals(bundle.study.base)]
        possible = [label for label, note in zip(dict(removals(bundle.study.base)), notes, strict=True)
                    if not any(text.startswith(note) for text in study.notes)]  # fmt: skip
        axes = {axis: tuple(dict.fromkeys([*levels, *possible])) for axis, levels in axes.items()}
    if study.design == "one_at_a_time":
        points = list(around(study.reference, list(map(list, axes.values()))))
    else:
        points = list(itertools.product(*axes.values()))
    rules = written.get("exclude", [])
    return {
        levels
        for levels in points
        if not any(is_excluded(dict(zip(axes, levels, strict=True)), rule) for rule in rules)
    }


def _other_variants(bundle: OpenedBundle) -> Iterator[str]:
    """Name what differs between the recipe of a variant and the base recipe, and is not of its axes."""
    base, study = bundle.yaml(BASE), bundle.facts.study
    patches = _patches(bundle)
    compared: set[str] = set()
    for cell in bundle.facts.cells:
        if cell.variant in compared:
            continue  # its other cells are compared with this one
        compared.add(cell.variant)
        variant = next(variant for variant in study.variants if variant.name == cell.variant)
        yield from few([*_other_recipe(bundle, cell, variant, base, patches)])


def _other_recipe(
    bundle: OpenedBundle,
    cell: BundledCell,
    variant: BundledVariant,
    base: Written,
    patches: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    study = bundle.facts.study
    levels = study.reference if variant.own_seeds else variant.levels  # the placebo is the reference under other seeds
    if len(levels) != len(study.axes):
        yield f"{BundleFacts.FILE}: variant '{variant.name}' has not a level for each axis"
        return
    place, recipe = f"{CELLS}/{cell.folder}/{RECIPE}", bundle.written(cell)
    changes: dict[str, Any] = {}
    for axis, level in zip(study.axes, levels, strict=True):
        changes |= patches.get(axis, {}).get(level, {})
    tuned = set() if bundle.facts.tuning is None else set(bundle.facts.tuning.grid)
    allowed = {_root(steps) for path, value in changes.items() for steps in leaves(path.split("."), value)}
    allowed |= {_root(path.split(".")) for path in tuned}
    for path, mine, other in _differing(recipe, base, "seed"):
        if not any(f"{path}.".startswith(f"{root}.") for root in allowed):
            yield f"{place}: {path} is {brief(mine)}, and {brief(other)} in {BASE}: no axis of '{variant.name}' says so"
    for path, value in changes.items():
        if path not in tuned:
            yield from _unlike(recipe, path, value, f"{place}: ", f"axis of '{variant.name}'")
    for path, value in _chosen(bundle, cell.variant).items():
        yield from _unlike(recipe, path, value, f"{place}: ", "trial that the search chose")
    if recipe["seed"] - cell.own_seed != _seed(changes, base):
        start = _seed(changes, base)
        yield f"{place}: seed is {recipe['seed']}, not {start} of the recipe and {cell.own_seed} of the cell"


def _chosen(bundle: OpenedBundle, variant: str) -> Mapping[str, Any]:
    """Give the values that the search chose for a variant; nothing where there are none."""
    choice = None if bundle.facts.tuning is None else bundle.facts.tuning.choices.get(variant)
    return {} if choice is None or choice.chosen is None else choice.tried[choice.chosen].values


def _seed(changes: Mapping[str, Any], base: Written) -> Any:
    return changes.get("seed", base["seed"])


def _root(steps: list[str]) -> str:
    """Give the place that a change may alter: with another component, all options of the part."""
    return ".".join(steps[:-1] if steps[-1] == "use" and len(steps) > 1 else steps)


def _differing(ours: Written, theirs: Written, *others: str) -> Iterator[tuple[str, Any, Any]]:
    mine, right = ({key: recipe[key] for key in recipe if key not in (*APART, *others)} for recipe in (ours, theirs))
    return differences(mine, right)


def _unlike(recipe: Any, path: str, value: Any, place: str, whose: str) -> Iterator[str]:
    """Say where a recipe has not what a change says. Lists are compared in length and in what the change names."""
    present = recipe
    for step in path.split("."):
        try:
            present = present[int(step)] if isinstance(present, list) else present[step]
        except (KeyError, IndexError, ValueError, TypeError):
            present = None
    yield from (
        f"{place}{path}{inner} is {brief(mine)}, and the {whose} says {brief(theirs)}"
        for inner, mine, theirs in _other(present, value)
    )


def _other(present: Any, value: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(value, dict) and isinstance(present, dict):
        for key, inner in value.items():
            yield from _other(present.get(key), inner, f"{path}.{key}")
    elif isinstance(value, list) and isinstance(present, list) and len(value) == len(present):
        for i, (mine, inner) in enumerate(zip(present, value, strict=True)):
            yield from _other(mine, inner, f"{path}.{i}")
    elif isinstance(present, dict) and isinstance(value, str):
        yield from _other(present.get("use"), value, path)
    elif present != value and str(present) != str(value):
        yield path, present, value


def _patches(bundle: OpenedBundle) -> Mapping[str, Mapping[str, Any]]:
    """Give the change of each level of each axis, as the study's file and design say."""
    written, study = bundle.yaml(STUDY), bundle.facts.study
    axes: dict[str, dict[str, Any]] = {axis: dict(levels or {}) for axis, levels in (written.get("axes") or {}).items()}
    if study.design == "leave_one_out":
        flat = {level: patch for levels in axes.values() for level, patch in levels.items()}
        base = bundle.study.base
        return {axis: {**dict(removals(base)), **flat} for axis in study.axes}
    return axes
