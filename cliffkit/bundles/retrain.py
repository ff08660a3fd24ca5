"""Do the scores come from these networks? Some cells are trained again, and their scores compared image by image."""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cliffkit.bundles.checks import Check, brief, differences, few, plainly
from cliffkit.bundles.facts import CELLS, BundledCell
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.components.registry import Registry
from cliffkit.data.splits import Roots
from cliffkit.errors import RecipeError, UserError
from cliffkit.events import Emit, Notice
from cliffkit.jobs.execute import Means, run_jobs
from cliffkit.jobs.plan import plan
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.metrics import METRICS
from cliffkit.store.artifacts import RECIPE, Environment, JobRecord, PerImage
from cliffkit.store.checksums import SUMS
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.training.device import open_device

MOST_SPREADS = 4
"""Standard deviations between seeds by which a cell that was trained on another machine may differ. Two trainings that
share nothing differ by more once in 200."""


@dataclass(frozen=True)
class Again:
    """The means to train cells again."""

    registry: Registry
    roots: Roots
    device: str
    emit: Emit


def chosen_cells(bundle: OpenedBundle, count: int) -> list[BundledCell]:
    """Choose cells that are done: one of each variant before a second of any, in an order that the bundle's own
    checksums decide. So the choice is known to all who have the bundle, and to nobody before it is made."""
    digest = hashlib.sha256((bundle.folder / SUMS).read_bytes()).hexdigest()

    def draw(text: str) -> str:
        return hashlib.sha256(f"{digest} {text}".encode()).hexdigest()

    by_variant: dict[str, list[BundledCell]] = defaultdict(list)
    for cell in sorted(bundle.facts.cells, key=lambda cell: draw(cell.name)):
        if cell.state == "done":
            by_variant[cell.variant].append(cell)
    turns = [(turn, draw(variant), cell) for variant, cells in by_variant.items() for turn, cell in enumerate(cells)]
    return [cell for _, _, cell in sorted(turns, key=lambda entry: entry[:2])[:count]]


def check_again(bundle: OpenedBundle, count: int, again: Again) -> Check:
    """Train cells again and compare their scores."""
    faults: list[str] = []
    remarks: list[str] = []
    cells = chosen_cells(bundle, count)
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(Path(temporary))
        for number, cell in enumerate(cells, start=1):
            again.emit(Notice(f"trains {number} of {len(cells)} cells again: {cell.name}"))
            try:
                words, is_good = _compared(bundle, cell, store, again)
            except RecipeError as error:
                reasons = "; ".join(few([fault.message for fault in error.faults]))
                faults.append(f"{cell.name}: was not trained again, its recipe needs what is not here: {reasons}")
            except UserError as error:
                faults.append(f"{cell.name}: was not trained again: {plainly(error, bundle.folder)}")
            else:
                (remarks if is_good else faults).append(f"{cell.name}: {words}")
    names = "; ".join(cell.name for cell in cells)
    total = sum(cell.state == "done" for cell in bundle.facts.cells)
    return Check("trained again", f"{len(cells)} of {total} cells: {names}", tuple(faults), tuple(remarks))


def _compared(bundle: OpenedBundle, cell: BundledCell, store: Store, again: Again) -> tuple[str, bool]:
    """Train a cell again; gives what its scores are beside those of the bundle, and whether that is good."""
    recipe = check_recipe(yamlstrict.load(bundle.folder / CELLS / cell.folder / RECIPE), again.registry)
    jobs = plan(recipe, again.roots)
    others = few([*_other_inputs(bundle, cell, jobs)])
    if others:
        raise UserError("; ".join(others))
    environment = Environment.read(bundle.job("depth", cell.keys["depth"]))
    _train(recipe, jobs, store, environment, again)
    mine, theirs = PerImage.read(store.folder(jobs[-1])), PerImage.read(bundle.job("evaluate", cell.keys["evaluate"]))
    if mine.images != theirs.images or mine.scores.keys() != theirs.scores.keys():
        return "has other images or protocols than the bundle", False
    if all(np.array_equal(mine.scores[name], table, equal_nan=True) for name, table in theirs.scores.items()):
        return f"{sum(table.size for table in theirs.scores.values()):,} scores of images are equal to the bit", True

    here = Environment.read(store.folder(jobs[-1].needs["depth"]))
    return _judged(bundle, cell, (mine, theirs), _other_machine(environment, here))


def _train(recipe: Recipe, jobs: Sequence[Job], store: Store, environment: Environment, again: Again) -> None:
    """Do the jobs of a cell, with as many threads as the network was trained with: their number decides last digits."""
    device, threads = open_device(again.device, recipe.train.precision), torch.get_num_threads()
    try:
        torch.set_num_threads(environment.threads)
        run_jobs(jobs, Means(store, device, again.roots, again.emit))
    finally:
        torch.set_num_threads(threads)


def _judged(
    bundle: OpenedBundle, cell: BundledCell, tables: tuple[PerImage, PerImage], others: Sequence[str]
) -> tuple[str, bool]:
    """Judge scores that are not equal: beside the spread between seeds, unless the machine should give equal ones."""
    study = bundle.facts.study
    metric = METRICS.index(study.metric)
    means = [float(np.nanmean(table.scores[study.protocol][:, metric])) for table in tables]
    gap = means[0] - means[1]
    words = f"{study.metric} under {study.protocol} is {means[0]:.6g} here and {means[1]:.6g} in the bundle"
    if not others:
        return f"{words}, though the same kind of machine with the same versions should give equal bits", False
    spread, where = seed_spread(bundle, cell), f"trained with another {', '.join(others)}"
    if spread is None:
        return f"{words}, {where}; the spread between seeds is not known, so the difference is not judged", True
    beside = f"the difference of {abs(gap):.2g} is {abs(gap) / spread:.2g} times the spread between seeds, {spread:.2g}"
    good = abs(gap) <= MOST_SPREADS * spread
    return f"{words}, {where}; {beside}{'' if good else f', and {MOST_SPREADS} are let pass'}", good


def seed_spread(bundle: OpenedBundle, apart: BundledCell) -> float | None:
    """Give the standard deviation of a cell's mean between seeds, over all variants; None where it is not known.

    The cell that is judged is left out, so that it does not widen what it is judged by.
    """
    study, results = bundle.facts.study, bundle.results
    values = results.table(study.protocol, study.metric).copy()
    names = [variant.name for variant in study.variants]
    values[names.index(apart.variant), study.seeds.index(apart.seed)] = np.nan
    means = [[float(np.nanmean(row)) for row in rows if not np.isnan(row).all()] for rows in values]
    several = [np.var(seeds, ddof=1) * (len(seeds) - 1) for seeds in means if len(seeds) > 1]
    degrees = sum(len(seeds) - 1 for seeds in means if len(seeds) > 1)
    spread = float(np.sqrt(sum(several) / degrees)) if degrees else 0.0
    return spread or None


def _other_inputs(bundle: OpenedBundle, cell: BundledCell, jobs: Sequence[Job]) -> Iterator[str]:
    """Say why jobs that are planned here are not those of the bundle: other data, other code, another version."""
    for job in jobs:
        if job.key == cell.keys.get(job.stage):
            continue
        record = JobRecord.read(bundle.job(job.stage, cell.keys[job.stage]))
        mine, theirs = ({**inputs, "needs": None} for inputs in (job.inputs, record.inputs))
        for path, here, there in differences(mine, theirs):
            yield f"{job.stage}: {path} is {brief(here)} here and {brief(there)} in the bundle"


def _other_machine(there: Environment, here: Environment) -> list[str]:
    """Name what may make the bits of two trainings differ."""
    pairs: Mapping[str, tuple[object, object]] = {
        "device": (there.device, here.device),
        "number of processes": (there.processes, here.processes),
        "number of threads": (there.threads, here.threads),
        "precision": (there.precision, here.precision),
        **{name: (there.versions.get(name), here.versions.get(name)) for name in {*there.versions, *here.versions}},
    }
    others = sorted(name for name, (a, b) in pairs.items() if a != b)
    others += [f"beginning ({attempt})" for attempt in there.earlier_attempts]
    return [*others, *(["order of sums on its device"] if here.nondeterministic or here.device_type != "cpu" else [])]
