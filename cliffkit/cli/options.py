"""Options that several commands share."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cliffkit.text import cut

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class PathText(click.Path):
    """A path; empty text would mean the working folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take any text but none."""
        if value == "":
            self.fail("the path is empty; write one, as . for the working folder", param, ctx)
        return super().convert(value, param, ctx)


class NamedPath(click.ParamType[tuple[str, Path]]):
    """NAME=PATH."""

    name = "NAME=PATH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        """Split at the first equals sign."""
        name, equals, path = str(value).partition("=")
        if not (name and equals and path):
            self.fail(f"'{value}' is not NAME=PATH, as in --data nyu=/data/nyu", param, ctx)
        if not os.path.isdir(os.path.expanduser(path)):  # false also for text that can be no path
            self.fail(f"{cut(path)} is no folder", param, ctx)
        return name, Path(os.path.expanduser(path))


class PartText(click.ParamType[Any]):
    """A part as a recipe writes it, in YAML: its name, or a mapping with `use`."""

    name = "PART"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the YAML."""
        from cliffkit.errors import RecipeError
        from cliffkit.recipe import yamlstrict

        try:
            parsed = yamlstrict.parse_value(str(value), str(value))
        except RecipeError as error:
            self.fail(str(error), param, ctx)
        return parsed


def _assigned(ctx: click.Context, option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Raise UserError for a change without its value: the words after it would be taken for something else."""
    from cliffkit.errors import UserError

    for text in value:
        if "=" not in text:
            example = f"{text}=..." if text else "model.fusion.use=add"
            raise UserError(f"--set {text}: write PATH=VALUE, with = and no blank between them, as --set {example}")
    return value


sets: Decorator = click.option(
    "--set", "overrides", metavar="PATH=VALUE", multiple=True, callback=_assigned,
    help="Change the recipe: --set model.fusion.use=add, --set train.depth.steps=50. The value is YAML. Repeatable.",
)  # fmt: skip
data: Decorator = click.option(
    "--data", "roots", type=NamedPath(), multiple=True,
    help="Where a data set lies: --data nyu=FOLDER. Also: environment variable CLIFFKIT_DATA_NYU. Repeatable.",
)  # fmt: skip
dataset: Decorator = click.option(
    "--dataset", type=PartText(), metavar="DATASET",
    help="Which data set: a name, or a mapping with its options, as '{use: pairs, depth_scale: 5000}'. Default: the "
    "only one of --data.",
)  # fmt: skip
runs: Decorator = click.option(
    "--runs", "runs", type=PathText(), default=Path("runs"), show_default=True, metavar="DIR",
    help="The folder of runs and of the finished jobs that they share.",
)  # fmt: skip
device: Decorator = click.option(
    "--device", default="auto", show_default=True,
    help="auto takes a GPU where there is one; else cpu, cuda, cuda:1, mps.",
)  # fmt: skip
checkpoint_every: Decorator = click.option(
    "--checkpoint-every", type=click.IntRange(min=1), metavar="N",
    help="Save a checkpoint after every N steps too. One is saved about every 20 seconds anyway, and when the "
    "command is stopped by Ctrl-C or SIGTERM.",
)  # fmt: skip
track: Decorator = click.option(
    "--track", "track", type=PartText(), multiple=True, metavar="TRACKER",
    help="Tell a tracker of every run: tensorboard, or '{use: mlflow, uri: ...}'; see `cliffkit list tracker "
    "--options`. No result depends on it. Repeatable.",
)  # fmt: skip
PROTOCOL_HELP = (
    "A name, as eigen or eigen+flip+median (see `cliffkit list protocol`), or a mapping, as '{use: eigen, cap_m: "
    "8, name: eigen8}'. Repeatable."
)


def _named(ctx: click.Context, option: click.Parameter, value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Say by an example what is missing where no protocol is named."""
    if not value:
        raise click.UsageError("name a protocol, as --protocol full; `cliffkit list protocol` has all", ctx)
    return value


protocols: Decorator = click.option(
    "--protocol", "protocols", type=PartText(), multiple=True, metavar="P", help=PROTOCOL_HELP, callback=_named
)
protocols_or_customary: Decorator = click.option(
    "--protocol", "protocols", type=PartText(), multiple=True, metavar="P",
    help=f"{PROTOCOL_HELP} Default: the one by which the field scores the data set, where there is one.",
)  # fmt: skip
as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
recipe: Decorator = click.argument("recipe", type=PathText())
