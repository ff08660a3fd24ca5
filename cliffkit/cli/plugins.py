"""`cliffkit plugins`: where components come from, and a package for one of your own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from cliffkit.cli import options
from cliffkit.cli.echo import echo
from cliffkit.components.load import Plugins
from cliffkit.components.new_plugin import MADE


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def plugins(context: click.Context, as_json: bool) -> None:
    """List the plugins: loaded, disabled, or failed and why. `cliffkit plugins new` writes one of your own."""
    if context.invoked_subcommand is not None:
        return
    rows = [dataclasses.asdict(status) for status in context.obj.statuses]
    if as_json:
        echo(json.dumps({"plugins": rows}))
        return
    for row in rows:
        reason = f"  {row['reason']}" if row["reason"] else ""
        echo(f"{row['name']:<12} {row['status']:<9} {row['distribution']} {row['version']}  {row['reference']}{reason}")


@plugins.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(list(MADE)), required=True, help="Of which kind the part is.")
@click.option(
    "-o", "--out", "out", type=options.PathText(), default=Path(), metavar="DIR",
    help="Where the package's folder is made; by default in the working folder.",
)  # fmt: skip
@options.as_json
@click.pass_obj
def new(plugins: Plugins, name: str, kind: str, out: Path, as_json: bool) -> None:
    """Write a package for a part called NAME: entry point, a part that works, its test, a README.

    \b
        cliffkit plugins new gated --kind fusion
        pip install -e 'cliffkit-gated[test]'
        python -m pytest cliffkit-gated

    NAME has letters, digits, and - or _ between them, a letter first. The extra `test` installs pytest.
    """
    from cliffkit.components.new_plugin import new_plugin
    from cliffkit.store.files import writing

    with writing(out / f"cliffkit-{name}"):
        folder = new_plugin(name, kind, out, plugins.registry)
    if as_json:
        echo(json.dumps({"folder": str(folder)}))
        return
    echo(f"written: {folder}")
    echo(f"next: pip install -e '{folder}[test]' && python -m pytest {folder}")
    echo("The extra `test` installs pytest; the package's README.md says more.")
