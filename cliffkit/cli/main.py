"""The `cliffkit` command line. Imports no torch: commands import what they need when they run."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
from typing import Any

import click

from cliffkit.cli.ablate import ablate, report
from cliffkit.cli.bundle import bundle, verify
from cliffkit.cli.data import data
from cliffkit.cli.echo import echo
from cliffkit.cli.export import export
from cliffkit.cli.output import close_stdout, open_streams, stdout_kept, tell_crash
from cliffkit.cli.plugins import plugins
from cliffkit.cli.predict import evaluate, predict
from cliffkit.cli.recipes import recipes
from cliffkit.cli.run import run
from cliffkit.cli.score import score
from cliffkit.cli.show import list_components, plan, validate
from cliffkit.cli.store import store
from cliffkit.components.load import Plugins, load_plugins
from cliffkit.errors import Stopped, UserError
from cliffkit.text import cut, printable
from cliffkit.workers import stoppable

STRICT = "--strict-plugins"

SHARED = ("run", "evaluate")
"""Commands that several processes of torchrun do together."""

GOING_ON = ("run", "ablate")
"""Commands that keep finished work, so that the same command goes on after a stop."""


class Mendable(click.ClickException):
    """An error that the user can mend."""

    exit_code = 2


class Commands(click.Group):
    """A group of commands in which an error that the user can mend ends with a message and exit code 2."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command. Raises UserError for a name that is taken: no plugin replaces an existing command."""
        name = name or cmd.name or ""
        if not isinstance(name, str):
            raise UserError(f"{name!r} is no name for a command; write a text")
        if name in self.commands:
            raise UserError(f"there is a command '{name}' already; give yours another name")
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise _fail(error) from error
        except KeyboardInterrupt:
            raise _stop(Stopped(signal.SIGINT), ctx.invoked_subcommand) from None
        except Stopped as stopped:
            raise _stop(stopped, ctx.invoked_subcommand) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cliffkit", prog_name="cliffkit")
@click.option(STRICT, is_flag=True, help="Stop where any plugin fails to load, instead of going on without it.")
@click.pass_context
def cli(ctx: click.Context, strict_plugins: bool) -> None:
    """Depth networks from exchangeable parts: train, score and compare them.

    A recipe (YAML) names a backbone, a feature pyramid, a fusion, an embedding generator, losses and data. Begin with

    \b
        cliffkit run cliff_hegR                     train and score CLIFFNet on built-in data
        cliffkit recipes                            the recipes and studies that come with cliffkit
        cliffkit list                               every part there is
        cliffkit run RECIPE --set model.fusion.use=add   change one part
        cliffkit ablate                             which part helps, by how much, and is it more than noise?

    Plugins add parts and commands: `cliffkit plugins` shows them. Names in the environment variable
    CLIFFKIT_DISABLE_PLUGINS, separated by commas, are not loaded.
    """
    _check_processes(ctx.invoked_subcommand)


STUDIES, RUNS = (ablate, report, score, bundle, verify), (run, evaluate, predict, export)
LOOKS = (plan, validate, list_components, plugins, recipes, data, store)

for command in (*RUNS, *STUDIES, *LOOKS):
    cli.add_command(command)


def main() -> None:
    """Entry point: load the plugins, let them add commands, run."""
    open_streams()
    with stoppable():
        try:
            with stdout_kept():
                loaded_plugins = _load()
        except KeyboardInterrupt:
            raise _stop(Stopped(signal.SIGINT)) from None
        except Stopped as stopped:
            raise _stop(stopped) from None

        code: str | int | None = 1
        crash = None
        try:
            cli(obj=loaded_plugins)
        except SystemExit as end:
            code = end.code
        except Exception as error:
            crash = error

        if crash is not None:
            tell_crash(crash, loaded_plugins.registry)
        lost = close_stdout()
    gc.freeze()  # else Python looks for garbage among all objects of torch and timm once more before it ends: a second
    raise SystemExit(code or lost)


def _load() -> Plugins:
    """Load the plugins and let them add their commands."""
    try:
        loaded_plugins = load_plugins(strict=STRICT in sys.argv[1:])
    except UserError as error:
        failure = _fail(error)
        failure.show()
        raise SystemExit(failure.exit_code) from error
    for name, reason in loaded_plugins.call("cliffkit_commands", cli=cli).items():
        echo(f"warning: plugin '{name}' could not add its commands: {reason}", err=True)
    return loaded_plugins


def _check_processes(command: str | None) -> None:
    """Raise UserError where torchrun started several processes for a command that is for one."""
    processes = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1
    if processes > 1 and command not in SHARED:
        raise UserError(
            f"torchrun started {processes} processes, and `cliffkit {command}` is for one; start it without torchrun"
        )


def _fail(error: UserError) -> click.ClickException:
    """Give the message to show. Characters that act on a screen are escaped, very long texts such as paths are cut."""
    return Mendable(re.sub(r"\S{400,}", lambda word: cut(word.group(), 200), printable(str(error))))


def _stop(stopped: Stopped, command: str | None = None) -> SystemExit:
    """Say in one line how to go on. Of several processes that share a run, only the first says it."""
    if os.environ.get("RANK", "0") == "0":
        how = "; the same command goes on where this one was" if command in GOING_ON else ""
        echo(f"{stopped}{how}", err=True)
    return SystemExit(stopped.exit_code)
