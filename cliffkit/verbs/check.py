"""Before any work: is a recipe or study right, and what would a recipe do?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cliffkit.components.load import Plugins
from cliffkit.errors import RecipeError, UserError
from cliffkit.interfaces import Backbone, Network
from cliffkit.jobs.plan import plan as plan_jobs
from cliffkit.method.memory import check_images
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import is_study
from cliffkit.recipe.fit import STAGES as FITTED
from cliffkit.recipe.lengths import too_late
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import Recipe
from cliffkit.recipe.shipped import locate
from cliffkit.store.job import Job
from cliffkit.store.store import damage_of, job_folder, working_folder
from cliffkit.study.tuning import written
from cliffkit.training.checkpoint import saved_step
from cliffkit.training.speed import check_speed
from cliffkit.verbs.inputs import (
    AnyPath,
    Data,
    RecipeLike,
    Settings,
    folders,
    installed_plugins,
    open_recipe,
    open_study,
    path_of,
    unread,
)
from cliffkit.verbs.rows import Rows


@dataclass(frozen=True)
class Plan:
    """What a recipe would do."""

    name: str
    """The recipe's."""
    jobs: Rows
    """In the order of their needs: columns stage, key, done, damage, step, steps.

    `damage` says how a job differs from what was written, None where it does not; a damaged job is done anew, so it is
    not done. Arrays are compared by size alone.
    `step` is the step of the last checkpoint of a fit that was broken off, else None. `steps` is the number of steps of
    a fit, None of a stage that trains nothing.
    """
    warnings: tuple[str, ...]
    """What may go wrong, such as weights that would have to be fetched, a warm-up longer than training, or a data set's
    folder that is not read."""


def plan(
    recipe: RecipeLike,
    *,
    set: Settings = (),
    data: Data | None = None,
    runs: AnyPath = "runs",
    plugins: Plugins | None = None,
) -> Plan:
    """Say of which jobs a recipe consists, and how far they are. Reads the data's fingerprint, computes nothing.

    Arguments and errors as for `run`.

    Example: `cliffkit.plan("cliff_hegR").jobs`.
    """
    registry = (plugins or installed_plugins()).registry
    checked = open_recipe(recipe, registry, set)
    roots = folders(data, registry)
    jobs = plan_jobs(checked, roots)
    store = path_of(runs, "runs")
    rows = Rows((_row(job, store) for job in jobs), ("stage", "key", "done", "damage", "step", "steps"))
    return Plan(checked.name, rows, (*unread(roots, [checked.data.component.name]), *_warnings([checked])))


def _row(job: Job, store: Path) -> dict[str, Any]:
    """Say how far a job is."""
    folder = job_folder(store, job)
    damage = damage_of(folder) if folder.is_dir() else None
    done = folder.is_dir() and damage is None
    trained = job.stage in FITTED
    step = saved_step(working_folder(store, job)) if trained and not done else None
    steps = job.inputs["train"]["steps"] if trained else None
    return {"stage": job.stage, "key": job.key, "done": done, "damage": damage, "step": step, "steps": steps}


def validate(
    recipe: RecipeLike,
    *,
    set: Settings = (),
    plugins: Plugins | None = None,
    warn: Callable[[str], object] | None = None,
) -> list[str]:
    """Check a recipe or study without data and without building a part; returns every fault with its place.

    Images and batches that this machine's memory cannot hold are faults too, as they are for `run` in one process.
    `recipe` is a path, the name of a shipped recipe or study, or what either says as a mapping. `warn` is called with
    whatever may go wrong, such as weights that would have to be fetched or a warm-up longer than training, and with
    remarks on a study.

    Example: `assert not cliffkit.validate("mine.yaml")`.
    """
    registry = (plugins or installed_plugins()).registry
    notes: tuple[str, ...] = ()
    try:
        data = recipe if isinstance(recipe, Mapping) else yamlstrict.load(locate(path_of(recipe, "recipe"))).data
        if is_study(data):
            study = open_study(recipe, registry, set)
            notes, recipes = study.notes, {variant.name: variant.recipe for variant in study.variants}
            for trial in study.tuning.trials if study.tuning is not None else ():
                recipes[f"{trial.variant.name}, trial {written(trial.values)}"] = trial.recipe
        else:
            recipes = {"": open_recipe(recipe, registry, set)}
    except RecipeError as error:
        return [str(fault) for fault in error.faults]
    too_large = _too_large(recipes)
    if too_large:
        return too_large
    if warn is not None:
        for text in (*notes, *_warnings(recipes.values())):
            warn(text)
    return []


def _warnings(recipes: Collection[Recipe]) -> tuple[str, ...]:
    """Say what may go wrong with recipes that are right, on this machine or anywhere, each thing once."""
    parts = {id(part): part for recipe in recipes for part in recipe.model.values()}  # variants share them
    texts = [*map(_absent_weights, parts.values()), *map(_no_gpu, recipes), *too_late(recipes)]
    return tuple(dict.fromkeys(text for text in texts if text))


def _no_gpu(recipe: Recipe) -> str | None:
    """Say where this machine cannot train in the form that a recipe asks for; another one may."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        check_speed(recipe.train.depth.settings.speed, device, 1)
    except UserError as error:
        return str(error)
    return None


def _too_large(recipes: Mapping[str, Recipe]) -> list[str]:
    """Give a fault for each value of recipes, by the names of their variants, that this machine's memory forbids."""
    faults: dict[tuple[str, str], str] = {}
    sizes = {(id(recipe.data), id(recipe.train)): (name, recipe) for name, recipe in reversed(list(recipes.items()))}
    for name, recipe in reversed(list(sizes.values())):  # variants share parts; the first of equal ones speaks for all
        try:
            check_images(recipe, [torch.device("cpu")])
        except RecipeError as error:
            suffix = f" (in variant '{name}')" if name else ""
            for fault in error.faults:
                faults.setdefault((fault.place, fault.path), f"{fault}{suffix}")
    return list(faults.values())


def _absent_weights(part: Part) -> str | None:
    """Say with its place which weights a part would have to fetch; None where it starts without, or has them."""
    factory = part.component.load()
    if not (isinstance(factory, type) and issubclass(factory, Backbone | Network)):
        return None
    try:
        text = factory.absent_weights(part.options)
    except Exception as error:  # whatever a stranger's method raises
        text = f"{part.component}: absent_weights: {type(error).__name__}: {error}; mend the plugin"
    return text and f"{part.place}: {text}"
