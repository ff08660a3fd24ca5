"""One recipe, trained and scored; a finished run, and its weights scored again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cliffkit.components.engine import ENGINE_SOURCE, engine_source
from cliffkit.components.load import Plugins
from cliffkit.data.splits import Roots
from cliffkit.display.lines import Terminal
from cliffkit.events import Emit, Event, Notice, RunFacts
from cliffkit.jobs import run_folder
from cliffkit.jobs.announce import announcer
from cliffkit.jobs.course import Course
from cliffkit.jobs.execute import Means, run_jobs
from cliffkit.jobs.parts import TO_SCORE, check_parts
from cliffkit.jobs.plan import plan
from cliffkit.jobs.rescore import rescore
from cliffkit.jobs.track import followed
from cliffkit.method.buildable import check_buildable
from cliffkit.prediction.predictor import load_run as load_recipe_of_run
from cliffkit.recipe.lengths import too_late
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import Recipe
from cliffkit.store.artifacts import RECIPE, WEIGHTS, RunMetrics
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.training.device import Device, open_device
from cliffkit.verbs.finished import Run
from cliffkit.verbs.inputs import (
    AnyPath,
    Data,
    Progress,
    RecipeLike,
    Settings,
    folders,
    installed_plugins,
    open_recipe,
    path_of,
    unread,
)
from cliffkit.verbs.track import Track, open_trackers


def run(
    recipe: RecipeLike,
    *,
    set: Settings = (),
    data: Data | None = None,
    runs: AnyPath = "runs",
    device: str = "auto",
    checkpoint_every: int | None = None,
    track: Track = (),
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Run:
    """Train and score the network of a recipe; work that the store in `runs` holds is not done again.

    Args:
        recipe: path of a recipe, name of a shipped one, or what a recipe says as a mapping.
        set: changes to the recipe, values by their paths, as after --set on the command line.
        data: folders of data sets by the data sets' names.
        runs: folder of runs and of the finished jobs that they share.
        device: auto takes a GPU where there is one; else cpu, cuda, cuda:1, mps.
        checkpoint_every: save a checkpoint after every so many steps too; one is saved about every 20 seconds anyway.
        track: trackers that are told of the run: a name, a mapping with `use` and options, or a list of these; see
            `cliffkit list tracker`. No result depends on them.
        progress: whether to show it, or a function that is called with every event of `cliffkit.events`.
        plugins: those to use; by default the installed ones.

    Raises RecipeError (a UserError) with every fault of the recipe, UserError for whatever else the user can mend.
    Under torchrun every process returns the same run.

    Example:

        run = cliffkit.run("cliff_hegR", set={"model.fusion.use": "add", "name": "add_hegR"})
        run.metrics["full"]["abs_rel"]
    """
    plugins = plugins or installed_plugins()
    checked = open_recipe(recipe, plugins.registry, set)
    trackers, roots = open_trackers(plugins.registry, track), folders(data, plugins.registry)
    return _perform(checked, plugins, roots, path_of(runs, "runs"), device, progress, checkpoint_every, trackers)


def load_run(folder: AnyPath, *, device: str = "auto", plugins: Plugins | None = None) -> Run:
    """Load a run's folder, the one that `cliffkit run` named.

    `device` is where its network computes: auto, cpu, cuda, cuda:1, mps. Raises UserError where the folder is no run or
    its recipe is not the one that was written, RecipeError where its recipe names parts that are not installed.

    Example:

        depth_m = cliffkit.load_run("runs/cliff_hegR-641b8a54").predictor()("photo.jpg")
    """
    plugins = plugins or installed_plugins()
    place = path_of(folder, "folder")
    if (place / RECIPE).exists() and (place / WEIGHTS).exists():  # else it is no run
        run_folder.check_files(place, [RECIPE])
    return Run(Path(folder), load_recipe_of_run(place, plugins.registry), device)


def evaluate(
    run: Run | AnyPath,
    protocols: Sequence[str | Mapping[str, Any]],
    *,
    data: Data | None = None,
    device: str = "auto",
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Run:
    """Score the weights of a run under other protocols, without training; returns the run with their scores.

    `run` is a run or its folder; a protocol is a name or a mapping, as a recipe has them. A run that was moved away
    from its store is scored too, its scores in its own folder. Raises UserError for an unknown protocol, and where the
    parts that are installed are not those with which the weights were trained.

    Example:

        cliffkit.evaluate(run, ["eigen", "full+median"]).metrics["eigen"]["rmse"]
        cliffkit.evaluate(run, [{"use": "eigen", "cap_m": 8, "name": "eigen8"}])
    """
    plugins = plugins or installed_plugins()
    folder = run.folder if isinstance(run, Run) else path_of(run, "run")
    roots = folders(data, plugins.registry)
    recipe = load_recipe_of_run(folder, plugins.registry, protocols)
    check_parts(folder, recipe, TO_SCORE)
    run_folder.check_files(folder)

    key = RunMetrics.read(folder).jobs["depth"]
    parents = (*folder.parents, *folder.resolve().parents)  # as they are named, so that answers name them so too
    runs = next((parent for parent in parents if (parent / "jobs" / f"depth-{key}").is_dir()), None)
    if runs is not None and plan(recipe, roots)[-1].needs["depth"].key == key:
        return _perform(recipe, plugins, roots, runs, device, progress)
    opened = open_device(device, recipe.train.precision)
    with _telling(plugins, progress, opened) as emit:
        for note in unread(roots, [recipe.data.component.name]):
            emit(Notice(note))
        return Run(rescore(folder, recipe, opened, roots, emit), recipe, device)


def _perform(
    recipe: Recipe,
    plugins: Plugins,
    roots: Roots,
    runs: Path,
    device: str,
    progress: Progress,
    checkpoint_every: int | None = None,
    trackers: Sequence[Part] = (),
) -> Run:
    """Plan a recipe, do what is not done, lay out its run folder."""
    opened = open_device(device, recipe.train.precision)
    main = opened.accelerator.is_main_process
    jobs = plan(recipe, roots)
    store = Store(runs)
    if main:
        store.tidy()

    todo = [job for job in jobs if not store.done(job) or store.damage(job) is not None]
    if any(job.stage == "depth" for job in todo):
        check_buildable(recipe, roots, opened.torch, opened.accelerator.num_processes)

    folder = run_folder.run_folder(recipe, jobs, store.root)
    if main:
        run_folder.name_jobs(folder, jobs)
    runs = store.root.resolve()
    facts = RunFacts(recipe.name, jobs[-1].key, recipe.name, recipe.seed, "", runs / folder.name, runs)
    course = Course(facts, recipe.to_dict(), store, jobs) if main and trackers else None
    with _telling(plugins, progress, opened, facts) as tell, followed(course, trackers, tell) as emit:
        done = [job for job in jobs if job not in todo]
        for note in (*unread(roots, [recipe.data.component.name]), *_of_another_engine(store, done)):
            emit(Notice(note))
        for warning in too_late([recipe]) if any(job.stage == "depth" for job in todo) else ():
            emit(Notice(f"warning: {warning}"))
        if todo:
            emit(Notice(f"{opened.torch} in {str(opened.dtype).removeprefix('torch.')}: {opened.reason}"))
        reused = run_jobs(jobs, Means(store, opened, roots, emit, checkpoint_every, pictured=course is not None))

    if main:
        run_folder.publish(recipe, jobs, store)
    opened.accelerator.wait_for_everyone()
    return Run(folder, recipe, device, tuple(reused))


def _of_another_engine(store: Store, done: Sequence[Job]) -> Iterator[str]:
    """Say which done jobs the engine's source was another one for than it is now; no key knows of such a change."""
    others = [
        f"{job.stage} {job.key[:8]}"
        for job in done
        if store.record(job).versions.get(ENGINE_SOURCE, engine_source()) != engine_source()
    ]
    if others:
        yield (
            f"{', '.join(others)}: done by another source of cliffkit's engine; a key names the engine by the versions "
            "of its stages, so where you edited the engine itself, do them anew in another folder: --runs DIR"
        )


@contextmanager
def _telling(plugins: Plugins, progress: Progress, device: Device, run: RunFacts | None = None) -> Iterator[Emit]:
    """Give a function that tells events to the terminal, to the caller's own function, and to plugins."""
    main = device.accelerator.is_main_process
    with Terminal(active=main and progress is True) as terminal:

        def show(event: Event) -> None:
            terminal.show(event)
            if main and callable(progress):
                progress(event)

        yield announcer(plugins, show, run) if main else show
