"""`cliffkit run`: one recipe, trained and scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cliffkit.cli import options
from cliffkit.components.load import Plugins

if TYPE_CHECKING:
    from cliffkit.jobs.run_folder import Run
    from cliffkit.recipe.recipe import Recipe


@click.command()
@options.recipe
@options.sets
@options.data
@options.runs
@options.device
@options.as_json
@click.pass_obj
def run(
    plugins: Plugins,
    recipe: Path,
    overrides: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    runs: Path,
    device: str,
    as_json: bool,
) -> None:
    """Train and score the network of RECIPE.

    Four stages: pack (data to training size), embedding (the embedding generator, on training depth), depth (the
    network; best weights by the validation split), evaluate (the test split, every protocol, beside a constant
    prediction). What the store in the runs folder holds already is not done again; a run that was stopped goes on from
    its last checkpoint.

    \b
        cliffkit run recipes/cliff_hegR.yaml
        cliffkit run recipes/cliff_hegR.yaml --set model.fusion.use=add --set name=add_hegR
        cliffkit run recipes/nyu/cliff_resnet50_hegR.yaml --data nyu=FOLDER
    """
    from cliffkit.recipe.check import load_recipe

    loaded = load_recipe(recipe, plugins.registry, overrides)
    finished = perform(plugins, loaded, dict(roots), runs, device)
    report(finished, loaded, as_json)


def perform(plugins: Plugins, recipe: Recipe, roots: dict[str, Path], runs: Path, device: str) -> Run:
    """Plan a recipe, do what is not done, lay out its run folder."""
    from cliffkit.cli.progress import Terminal
    from cliffkit.events import Notice
    from cliffkit.jobs.announce import announcer
    from cliffkit.jobs.execute import check_buildable, run_jobs
    from cliffkit.jobs.plan import plan
    from cliffkit.jobs.run_folder import publish
    from cliffkit.store.store import Store
    from cliffkit.training.device import open_device

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
    if not main:
        raise SystemExit(0)
    return publish(recipe, jobs, store, reused)


def report(finished: Run, recipe: Recipe, as_json: bool) -> None:
    """Print a run's scores, for a person or for a script."""
    metrics = finished.metrics
    if as_json:
        click.echo(json.dumps(to_json(finished)))
        return
    from cliffkit.cli.tables import print_scores

    if "evaluate" in finished.reused:
        click.echo("Nothing to do: every stage of this recipe is in the store.", err=True)
    print_scores(metrics)
    chosen = metrics["selection"]
    click.echo(
        f"weights: best {chosen['score']} on {chosen['split']} ({chosen['best_score']:.4f}) at step {chosen['step']}"
    )
    click.echo(f"panel:   {finished.folder / 'panel.png'}")
    click.echo(f"run:     {finished.folder}")


def to_json(finished: Run) -> dict[str, Any]:
    """The object that `--json` prints."""
    metrics = finished.metrics
    return {
        "run": str(finished.folder),
        "name": metrics["name"],
        "key": metrics["key"],
        "metrics": {name: scored["metrics"] for name, scored in metrics["protocols"].items()},
        "baseline": {name: scored["baseline"] for name, scored in metrics["protocols"].items()},
        "seconds": metrics["seconds"],
        "reused": list(finished.reused),
    }
