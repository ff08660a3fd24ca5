"""`cliffkit run`: one recipe, trained and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import cliffkit
from cliffkit.cli import options
from cliffkit.cli.output import working
from cliffkit.components.load import Plugins


@click.command()
@options.recipe
@options.sets
@options.data
@options.runs
@options.device
@options.checkpoint_every
@options.track
@options.as_json
@click.pass_obj
def run(
    plugins: Plugins,
    recipe: Path,
    overrides: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    runs: Path,
    device: str,
    checkpoint_every: int | None,
    track: tuple[Any, ...],
    as_json: bool,
) -> None:
    """Train and score the network of RECIPE: a file, or a name that `cliffkit recipes` lists.

    Five stages: pack (data to training size), images (test images at full size), embedding (the embedding generator,
    on training depth), depth (the network; best weights by the validation split), evaluate (the test images, every
    protocol, beside a constant prediction). Work that the store in the runs folder holds already is not done again. A
    run that was stopped goes on from its last checkpoint.

    \b
        cliffkit run cliff_hegR
        cliffkit run mine.yaml --set model.fusion.use=add --set name=add_hegR
        cliffkit run nyu/cliff_resnet50_hegR --data nyu=FOLDER
        cliffkit run cliff_hegR --track tensorboard
    """
    from cliffkit.cli.scores import print_run

    with working(plugins.registry):
        finished = cliffkit.run(
            recipe,
            set=overrides,
            data=dict(roots),
            runs=runs,
            device=device,
            checkpoint_every=checkpoint_every,
            track=track,
            plugins=plugins,
        )
    print_run(finished, as_json)
