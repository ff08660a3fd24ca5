"""`cliffkit recipes`: the recipes and studies that come with cliffkit."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cliffkit.cli import options
from cliffkit.cli.echo import echo


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def recipes(context: click.Context, as_json: bool) -> None:
    """List the recipes and studies that come with cliffkit. Every command takes their names in the place of a path.

    \b
        cliffkit run cliff_hegR
        cliffkit ablate cliffnet
        cliffkit recipes copy cliff_hegR mine.yaml     to change one
    """
    if context.invoked_subcommand is not None:
        return
    from cliffkit.recipe import shipped

    paths = shipped.shipped()
    kinds = {name: "study" if shipped.is_study(path) else "recipe" for name, path in paths.items()}
    rows = [
        {"name": name, "kind": kinds[name], "about": shipped.about(path), "path": str(path)}
        for name, path in sorted(paths.items(), key=lambda item: kinds[item[0]])
    ]
    if as_json:
        echo(json.dumps({"recipes": rows}))
        return
    for row in rows:
        echo(f"{row['kind']:<7} {row['name']:<24} {row['about']}")


@recipes.command()
@click.argument("name")
@click.argument("to", type=options.PathText(), required=False)
@options.as_json
def copy(name: str, to: Path | None, as_json: bool) -> None:
    """Write the shipped recipe or study NAME out, comments and all, to change it.

    TO is a file (.yaml) or a folder, by default the working folder. Beside a study its base recipe is written. No file
    that says something else is written over.
    """
    from cliffkit.recipe.shipped import copy as copy_shipped
    from cliffkit.store.files import writing

    with writing(to or Path()):
        written = copy_shipped(name, to)
    if as_json:
        echo(json.dumps({"written": [str(path) for path in written]}))
        return
    for path in written:
        echo(f"written: {path}")
