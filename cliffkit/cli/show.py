"""What there is and what would happen: `plan`, `validate`, `list`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

import cliffkit
from cliffkit.cli import options
from cliffkit.cli.echo import echo
from cliffkit.cli.output import working
from cliffkit.components.load import Plugins
from cliffkit.components.near import near
from cliffkit.components.registry import KINDS
from cliffkit.errors import UserError


@click.command()
@options.recipe
@options.sets
@options.data
@options.runs
@options.as_json
@click.pass_obj
def plan(
    plugins: Plugins,
    recipe: Path,
    overrides: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    runs: Path,
    as_json: bool,
) -> None:
    """Show the jobs of RECIPE: done, unfinished, damaged, or to do. Reads the data's fingerprint, computes nothing.

    A fit that was broken off goes on from its last checkpoint, whose step is shown. Warns as `validate` does.
    """
    with working(plugins.registry):
        job_plan = cliffkit.plan(recipe, set=overrides, data=dict(roots), runs=runs, plugins=plugins)
    if as_json:
        facts = {"name": job_plan.name, "jobs": list(map(dict, job_plan.jobs)), "warnings": list(job_plan.warnings)}
        echo(json.dumps(facts))
        return
    for warning in job_plan.warnings:
        echo(f"warning: {warning}", err=True)
    for row in job_plan.jobs:
        state = "done" if row["done"] else "to do" if row["damage"] is None else f"damaged, to do anew: {row['damage']}"
        if row["step"] is not None:
            state = f"unfinished at step {row['step']} of {row['steps']}"
        echo(f"{row['stage']:<9} {row['key']}  {state}")


@click.command()
@click.argument("recipes", type=options.PathText(), nargs=-1, required=True)
@options.sets
@options.as_json
@click.pass_obj
def validate(plugins: Plugins, recipes: tuple[Path, ...], overrides: tuple[str, ...], as_json: bool) -> None:
    """Check RECIPEs, or studies, without data: keys, types, bounds, and images that this machine's memory cannot hold.
    Every fault is shown with its line; exit code 2 where there is one.

    Warns of weights that are not on this machine and would have to be fetched; asks no network. Warns too of a warm-up,
    milestones or validations that lie beyond the last step of training.

    Some faults show only when a part is built, such as an unknown timm model or a network that is too large. `run` and
    `ablate` report those faults before training.
    """
    warnings: dict[str, list[str]] = {str(path): [] for path in recipes}
    with working(plugins.registry):
        faults = {
            str(path): cliffkit.validate(path, set=overrides, plugins=plugins, warn=warnings[str(path)].append)
            for path in recipes
        }
    if as_json:
        rows = [{"recipe": path, "faults": messages, "warnings": warnings[path]} for path, messages in faults.items()]
        echo(json.dumps({"recipes": rows}))
    else:
        for name, messages in faults.items():
            for fault in messages:
                echo(fault if len(faults) == 1 or fault.startswith(name) else f"{name}: {fault}", err=True)
            for warning in warnings[name]:
                echo(f"warning: {warning}", err=True)
            if not messages:
                echo(f"{name}: good")
    if any(faults.values()):
        raise SystemExit(2)


class Kind(click.Choice[str]):
    """A kind of components; of a word that is none, the message names the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take a kind. Raises UserError."""
        if value not in KINDS:
            raise UserError(f"no kind is called '{value}'; {near(value, KINDS, 'there are')}")
        return super().convert(value, param, ctx)


@click.command("list")
@click.argument("kind", type=Kind(KINDS), required=False)
@click.option(
    "--options", "show_options", is_flag=True, help="Show what each component takes: types, bounds, defaults, help."
)
@options.as_json
@click.pass_obj
def list_components(plugins: Plugins, kind: str | None, show_options: bool, as_json: bool) -> None:
    """List the components that recipes can name with `use`, of one KIND or of all."""
    chosen = [component for component in plugins.registry if kind in (None, component.kind)]
    rows = [dataclasses.asdict(component) for component in chosen]
    if show_options:
        from cliffkit.recipe.options import describe_options, explain_options

        for row, component in zip(rows, chosen, strict=True):
            try:
                with working(chosen):
                    row["options"], row["help"] = describe_options(component), explain_options(component)
            except Exception as error:  # one part's fault hides no other part
                row["options"], row["help"], row["fault"] = {}, {}, str(error)
    if as_json:
        echo(json.dumps({"components": rows}))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        echo(f"{row['kind']:<10} {row['name']:<{width}} {row['summary']}  [{row['plugin']}]")
        below = " " * (12 + width)
        for name, text in row.get("options", {}).items():
            echo(f"{below}{name}: {text}")
            if name in row["help"]:
                echo(f"{below}    {row['help'][name]}")
        if "fault" in row:
            echo(f"{below}cannot be used: {row['fault']}", err=True)
    for name, reason in plugins.registry.failures.items():
        echo(f"plugin '{name}' failed to load: {reason}", err=True)
