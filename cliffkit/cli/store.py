"""`cliffkit store`: what the store of finished jobs holds, whether it is sound, and what nobody needs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cliffkit.cli import options
from cliffkit.cli.echo import echo
from cliffkit.components.imports import without_collector
from cliffkit.text import duration

if TYPE_CHECKING:
    from cliffkit.store.inventory import StoredJob

ORDERS = ("size", "age", "user")

MOST_USERS = 3
"""Users of a job that a line names."""

NOBODY = "-"
"""What stands in the place of users where a job has none."""


@click.group()
def store() -> None:
    """Look after the finished jobs that runs and studies share.

    Every file of a job has its checksum in the job's record. `run` and `ablate` compare what they use; a job that is
    damaged is kept under another name and done again.
    """


@store.command("list")
@options.runs
@click.option("--sort", "order", type=click.Choice(ORDERS), default="size", show_default=True,
              help="What comes first: the largest, the oldest, or jobs of one user together.")  # fmt: skip
@options.as_json
def list_(runs: Path, order: str, as_json: bool) -> None:
    """List the jobs by size, age or user: the runs and studies that name them.

    Columns are stage, key, state, size, age and users. A job without a user, `-`, was done for a run or study whose
    folder is gone, or for a variant that is gone from its study.
    """
    with without_collector():
        from cliffkit.verbs.store import list_jobs

    jobs = list_jobs(runs)
    if order == "age":
        jobs.sort(key=lambda job: job.changed)
    elif order == "user":
        jobs.sort(key=lambda job: (not job.users, job.users))
    if as_json:
        echo(json.dumps({"runs": str(runs), "jobs": list(map(_facts, jobs))}))
        return
    _print(jobs)


@store.command()
@options.runs
@options.as_json
def verify(runs: Path, as_json: bool) -> None:
    """Compare every file of every finished job, run and folder of scores with its checksum. Changes nothing.

    (`cliffkit verify FILE` is another thing: it checks what a study that was put into one file says.)

    Exit code 2: something is damaged. A damaged job is done again by the next `run` or `ablate` that uses it.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from cliffkit.display.screen import can_redraw, screen

    with without_collector():
        from cliffkit.verbs.store import verify as verify_store

    console = screen()
    columns = TextColumn("verify"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not can_redraw(console)) as bars:
        task = bars.add_task("verify", total=None)
        verified = verify_store(runs, lambda done, total: bars.update(task, completed=done, total=total))
    if as_json:
        damages = [{"folder": str(folder), "damage": damage} for folder, damage in verified.damages]
        counts = {"jobs": verified.jobs, "runs": verified.runs, "bytes": verified.size}
        echo(json.dumps({**counts, "damaged": damages}))
    else:
        for folder, damage in verified.damages:
            echo(f"damaged: {folder}: {damage}", err=True)
        sound = "" if verified.damages else "; every file is as it was written"
        if verified.damages:
            echo("run and ablate do damaged jobs again, and lay out the folders of their runs anew;", err=True)
            echo("evaluate and score write damaged scores anew", err=True)
        jobs, folders = _counted(verified.jobs, "job"), _counted(verified.runs, "folder")
        echo(f"{jobs} ({_size(verified.size)}) and {folders} of runs and scores verified{sound}")
    if verified.damages:
        raise SystemExit(2)


@store.command()
@options.runs
@click.option("--unfinished", is_flag=True, help="Also jobs that were begun and not finished, with their checkpoints.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@options.as_json
def clean(runs: Path, unfinished: bool, yes: bool, as_json: bool) -> None:
    """Remove the jobs that no run and no study in DIR names, after showing them.

    Delete the folders of runs and studies that you no longer need, then clean. Jobs that were damaged and set aside are
    removed too, and logs of jobs that are gone. A job on which a process works stays. A run that was moved elsewhere
    has all its files with it. Without a terminal to ask on, nothing is removed unless --yes is given.
    """
    with without_collector():
        from cliffkit.verbs.store import list_leftovers, remove

    jobs = list_leftovers(runs, unfinished)
    asked = yes
    if not as_json:
        if not jobs:
            echo("nothing to remove: a run or study names every job")
        else:
            _print(jobs)
        asked = yes or not jobs or _confirm(f"remove {_counted(len(jobs), 'job')}, {_size(_sum(jobs))}?")
    removed = remove(jobs, runs) if asked else []
    if as_json:
        facts = {"leftovers": list(map(_facts, jobs)), "removed": [str(job.folder) for job in removed]}
        echo(json.dumps(facts))
    elif removed:
        echo(f"removed: {_counted(len(removed), 'job')}, {_size(_sum(removed))}")


def _confirm(question: str) -> bool:
    """Ask a person; where there is none, say how to answer."""
    if sys.stdin.isatty():
        return click.confirm(question, err=True)
    echo("nothing is removed; add --yes to remove what is listed", err=True)
    return False


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _facts(job: StoredJob) -> dict[str, Any]:
    return {
        "folder": str(job.folder),
        "job": job.name,
        "state": job.state,
        "bytes": job.size,
        "changed": job.changed,
        "users": list(job.users),
    }


def _print(jobs: Sequence[StoredJob]) -> None:
    """Print a line for each job, and the sum."""

    now = time.time()
    for job in jobs:
        users = ", ".join(job.users[:MOST_USERS]) or NOBODY
        more = f" and {len(job.users) - MOST_USERS} more" if len(job.users) > MOST_USERS else ""
        stage, _, key = job.name.partition("-")
        age = duration(max(0.0, now - job.changed))
        echo(f"{stage:<10} {key[:8]:<9} {job.state:<10} {_size(job.size):>9} {age:>12}  {users}{more}")
    if not all(job.users for job in jobs):
        echo(f"{NOBODY}: no run and no study names the job")
    echo(f"{_counted(len(jobs), 'job')}, {_size(_sum(jobs))}")


def _sum(jobs: Iterable[StoredJob]) -> int:
    return sum(job.size for job in jobs)


def _size(size: int) -> str:
    """`12 kB`, `3.4 MB`, `56 GB`."""
    value, units = size / 1000, ["kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}" if value < 10 else f"{value:.0f} {units[0]}"
