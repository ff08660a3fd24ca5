"""One recipe, trained and scored; its weights scored again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cliffkit.components.load import Plugins
from cliffkit.display.lines import Terminal
from cliffkit.errors import UserError
from cliffkit.events import Notice
from cliffkit.jobs.announce import announcer
from cliffkit.jobs.execute import check_buildable, run_jobs
from cliffkit.jobs.plan import plan
from cliffkit.jobs.run_folder import Run, publish
from cliffkit.prediction.predictor import load_run
from cliffkit.recipe.check import load_recipe
from cliffkit.recipe.recipe import Recipe
from cliffkit.store.store import Store, job_folder
from cliffkit.training.device import open_device


def run(
    recipe: Path, plugins: Plugins, *, overrides: Iterable[str], roots: Mapping[str, Path], runs: Path, device: str
) -> Run | None:
    """Train and score the network of a recipe; what the store holds already is not done again.

    Returns None in every process but the first of several (torchrun).
    """
    return _perform(load_recipe(recipe, plugins.registry, overrides), plugins, roots, runs, device)


def evaluate(
    folder: Path, protocols: Sequence[str], plugins: Plugins, *, roots: Mapping[str, Path], device: str
) -> Run | None:
    """Score the weights of a run's folder under other protocols, without training.

    Returns None in every process but the first of several (torchrun).
    """
    recipe = load_run(folder, plugins.registry, [f"evaluate={json.dumps(list(protocols))}"])
    depth = plan(recipe, roots)[-1].needs["depth"]
    above = folder.resolve().parents
    runs = next((parent for parent in above if (parent / "store.json").exists()), folder.resolve().parent)
    if not job_folder(runs, depth).is_dir():
        raise UserError(
            f"{folder}: its store has no job {depth.stage}-{depth.key}: the run was moved away from its runs folder, "
            "or data or plugins changed since; score it where it was made, or run its recipe.yaml again"
        )
    return _perform(recipe, plugins, roots, runs, device)


def _perform(recipe: Recipe, plugins: Plugins, roots: Mapping[str, Path], runs: Path, device: str) -> Run | None:
    """Plan a recipe, do what is not done, lay out its run folder."""
    opened = open_device(device, recipe.train.precision)
    main = opened.accelerator.is_main_process
    jobs = plan(recipe, roots)
    store = Store(runs)

    todo = [job for job in jobs if not store.done(job)]
    if any(job.stage == "depth" for job in todo):
        check_buildable(recipe, roots)

    with Terminal(active=main) as terminal:
        emit = announcer(plugins, terminal.show) if main else terminal.show
        if todo:
            emit(Notice(f"{opened.torch} in {str(opened.dtype).removeprefix('torch.')}: {opened.reason}"))
        reused = run_jobs(jobs, store, opened, roots, emit)
    return publish(recipe, jobs, store, reused) if main else None
