"""`cliffkit ablate` and `cliffkit report`: which part helps, by how much, and is it more than noise?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import cliffkit
from cliffkit.cli import options
from cliffkit.cli.echo import echo
from cliffkit.cli.output import working
from cliffkit.components.load import Plugins
from cliffkit.text import duration

if TYPE_CHECKING:
    from cliffkit.verbs.findings import Findings
    from cliffkit.verbs.outlook import Outlook

BUILT_IN = "cliffnet"
"""The shipped study."""


class StudyCommand(click.Command):
    """A command of a study, which says where the seeds of a study stand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments. Raises UsageError."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in ("--seed", "--seeds"):
                raise
            raise click.UsageError("seeds stand in the study's file, as `seeds: [0, 1, 2]`", ctx) from error


study_argument = click.argument("study", type=options.PathText(), default=BUILT_IN)


@click.command(cls=StudyCommand)
@study_argument
@options.sets
@options.data
@options.runs
@options.device
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Jobs at once. Default: the number that is fastest on this machine, measured once.",
)
@click.option("--executor", default="local", show_default=True, metavar="EXECUTOR",
              help="Where jobs run: a name, or '{use: ray, cpus: 4}'; `cliffkit list executor --options`.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Try jobs again that failed before; else they are left alone.")
@options.checkpoint_every
@options.track
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show cells, jobs, the time, disk and memory expected, by this machine's measured pace, and how small a "
    "difference the study can see.",
)
@options.as_json
@click.pass_obj
def ablate(
    plugins: Plugins,
    study: Path,
    overrides: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    runs: Path,
    device: str,
    workers: int | None,
    executor: str,
    retry_failed: bool,
    checkpoint_every: int | None,
    track: tuple[Any, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run a STUDY: a recipe varied along axes, each variant under several seeds, and say which differences are real.

    Without STUDY: the study cliffnet that comes with cliffkit, 50 small networks at most on built-in data. Every cell
    (a variant under a seed) is trained and scored as `cliffkit run` would; work that cells share is done once. Stop it,
    or let it crash: the same command goes on where it was. If you add variants and seeds to the file later, only they
    are run, and they join the table. With `seeds: {from: 3, to: 10}` in the file a variant gets seeds until its
    comparison is decided or hopeless; with `tune`, values are first tried inside every variant, on the validation
    split. --set changes the base recipe. Ends with the verdicts and the path of a report.

    \b
        cliffkit ablate
        cliffkit ablate STUDY.yaml --dry-run
        cliffkit ablate STUDY.yaml --set train.depth.steps=2000 --retry-failed

    Exit code 1: some cells failed, the report is about the others.
    """
    chosen: dict[str, Any] = {
        "set": overrides,
        "data": dict(roots),
        "runs": runs,
        "device": device,
        "workers": workers,
        "executor": executor,
        "retry_failed": retry_failed,
        "plugins": plugins,
    }
    if dry_run:
        with working(plugins.registry):
            outlook = cliffkit.forecast(study, **chosen)
        _print_outlook(outlook, as_json)
        return
    with working(plugins.registry):
        findings = cliffkit.ablate(study, **chosen, checkpoint_every=checkpoint_every, track=track)
    _print_findings(findings, as_json)
    if findings.failed:
        _print_how_to_retry()
        raise SystemExit(1)


@click.command()
@study_argument
@options.sets
@options.data
@options.runs
@options.device
@options.as_json
@click.pass_obj
def report(
    plugins: Plugins,
    study: Path,
    overrides: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    runs: Path,
    device: str,
    as_json: bool,
) -> None:
    """Write the report of STUDY anew from its finished cells, and print its verdicts. Trains nothing.

    Without STUDY: cliffnet. Give the options that `cliffkit ablate` was given.
    """
    from cliffkit.verbs.study import report as write_report

    data = dict(roots)
    with working(plugins.registry):
        findings = write_report(study, set=overrides, data=data, runs=runs, device=device, plugins=plugins)
    _print_findings(findings, as_json)


def _print_findings(findings: Findings, as_json: bool) -> None:
    """Print verdicts and where the report lies, or one JSON object."""
    from cliffkit.cli.verdicts import print_study, study_json

    if as_json:
        echo(json.dumps(study_json(findings.results, findings.analysis, dict(findings.files))))
        return
    print_study(findings.results, findings.analysis)
    echo(f"report: {findings.files['report.html']}")
    echo(f"cells:  {findings.folder / 'cells'}")


def _print_how_to_retry() -> None:
    from cliffkit.study.board import HOW_TO_RETRY

    echo(f"mend what made cells fail: {HOW_TO_RETRY}", err=True)


def _print_outlook(outlook: Outlook, as_json: bool) -> None:
    """Print what a study will take, or one JSON object."""
    from cliffkit.report.power import plan_lines, power_json

    study, board, expected = outlook.study, outlook.board, outlook.expected
    trials, jobs = outlook.trials, outlook.jobs
    facts = {
        "study": study.name,
        "variants": len(study.variants),
        "seeds": list(study.seeds),
        "cells": len(board.cells),
        "cells_done": board.count("done"),
        "cells_failed": board.count("failed"),
        "cells_needed": len(board.needed),
        "cells_at_most": len(board.needed) + board.may_follow,
        "trials": len(trials.cells) if trials else 0,
        "trials_done": trials.count("done") if trials else 0,
        "jobs": jobs.needed,
        "jobs_shared": jobs.shared,
        "jobs_done": jobs.done,
        "jobs_to_do": jobs.to_do,
        "jobs_at_most": jobs.needed + jobs.may_follow,
        "workers": expected.workers,
        "seconds": expected.seconds,
        "seconds_at_most": outlook.most.seconds,
        "disk_bytes": expected.disk_bytes,
        "memory_bytes": expected.memory_bytes,
        "stages": {stage: {"jobs": n, "seconds": seconds} for stage, (n, seconds) in expected.by_stage.items()},
        "power": power_json(outlook.power),
    }
    if as_json:
        echo(json.dumps(facts))
        return
    seeds = len(study.seeds) if study.adaptive is None else f"{study.adaptive.from_seeds} to {study.adaptive.to_seeds}"
    counts = f"{len(board.needed)} to {facts['cells_at_most']}" if board.may_follow else str(len(board.needed))
    echo(f"{study.name}: {len(study.variants)} variants x {seeds} seeds = {counts} cells, "
               f"{facts['cells_done']} done, {facts['cells_failed']} failed before")  # fmt: skip
    for cell in board.needed:
        echo(f"  {cell.name:<40} {board.cell_state(cell)}")
    if trials:
        echo(f"tune: {len(trials.cells)} trials on the validation split come first, {facts['trials_done']} done; cells "
             "are trained with what they choose")  # fmt: skip
        for cell in trials.cells:
            echo(f"  {cell.name:<40} {trials.cell_state(cell)}")
    left = jobs.needed - jobs.done - jobs.to_do
    failed = f", {left} left alone, since a job of their cells failed" if left else ""
    follow = f"; at most {jobs.may_follow} more may follow" if jobs.may_follow else ""
    echo(f"jobs: {jobs.needed}, of which {jobs.shared} shared by several cells; {jobs.done} done, {jobs.to_do} to do"
         f"{failed}{follow}")  # fmt: skip
    for stage, (count, seconds) in expected.by_stage.items():
        echo(f"  {stage:<10} {count:>5} to do, {duration(seconds)} one after another")
    disk, memory = f"{expected.disk_bytes / 1e6:.0f} MB of disk", f"{expected.memory_bytes / 1e9:.1f} GB of memory"
    echo(f"expected: {duration(expected.seconds)} with {expected.workers} at once, {disk}, {memory}")
    if board.may_follow:
        most = f"{duration(outlook.most.seconds)}, {outlook.most.disk_bytes / 1e6:.0f} MB of disk"
        echo(f"at most:  {most}, if no comparison ends before its last seed")
    for line in plan_lines(outlook.power):
        echo(line)
