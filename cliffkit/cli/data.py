"""`cliffkit data`: download a data set, and see whether it holds what the engine expects."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import click

import cliffkit
from cliffkit.cli import options
from cliffkit.cli.echo import echo
from cliffkit.cli.output import working
from cliffkit.components.imports import without_collector
from cliffkit.components.load import Plugins


@click.group()
def data() -> None:
    """Download data sets, and look at them before training on them."""


@data.command()
@click.argument("name", required=False)
@click.option("-o", "--out", type=options.PathText(), metavar="DIR", help="Where to put it. Default: data/NAME.")
@click.option("--url", metavar="URL", help="Another server's folder with files of the same names, as a mirror's.")
@options.as_json
@click.pass_obj
def get(plugins: Plugins, name: str | None, out: Path | None, url: str | None, as_json: bool) -> None:
    """Download data set NAME, or list what can be downloaded.

    \b
        cliffkit data get
        cliffkit data get nyu -o /data/nyu

    Source and terms are shown first. A download that broke off goes on with the same command. Sizes and checksums are
    compared where they are known, and the checksums of what came are written into DIR/SHA256SUMS.
    """
    from cliffkit.verbs.get_data import downloads

    if name is None:
        if as_json:
            echo(json.dumps({"downloads": [dataclasses.asdict(download) for download in downloads(plugins)]}))
            return
        for download in downloads(plugins):
            sizes = [file.size for file in download.files if file.size is not None]
            echo(f"{download.dataset:<10} {sum(sizes) / 1e9:.1f} GB  {download.title}  {download.page}")
        return
    folder = cliffkit.get_data(name, out, url=url, plugins=plugins)
    if as_json:
        echo(json.dumps({"name": name, "folder": str(folder)}))
        return
    echo(f"{name} lies in {folder}; look at it with")
    echo(f"    cliffkit data check {name} --data {shlex.quote(f'{name}={folder}')}")


@data.command()
@click.argument("name")
@click.option(
    "--set", "settings", metavar="OPTION=VALUE", multiple=True, help="An option of the data set: --set raw=true."
)
@options.data
@click.option("--split", "splits", multiple=True, type=click.Choice(("train", "val", "test")),
              help="Look at this split alone, as at `test` of data that only score; repeatable.")  # fmt: skip
@click.option("--sample", default=200, show_default=True, type=click.IntRange(min=1), metavar="N",
              help="Look into at most N images of each split, spread evenly.")  # fmt: skip
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Draw images of each split with their depth, and what is said of them, into a PNG.")  # fmt: skip
@options.as_json
@click.pass_obj
def check(
    plugins: Plugins,
    name: str,
    settings: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    splits: tuple[str, ...],
    sample: int,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Count and measure the splits of data set NAME, and say what is wrong with it; exit code 2 where something is.

    \b
        cliffkit data check rooms
        cliffkit data check nyu --data nyu=FOLDER
        cliffkit data check pairs --data pairs=FOLDER --set depth_scale=5000
        cliffkit data check kitti --data kitti=FOLDER --sheet kitti.png
        cliffkit data check pairs --data pairs=FOLDER --split test
    """
    with without_collector():
        from rich.console import Console
        from rich.progress import Progress

        from cliffkit.data.check import SPLITS, check_data
        from cliffkit.interfaces import Sample
        from cliffkit.recipe import yamlstrict
        from cliffkit.recipe.check import check_part

    chosen = {}
    for setting in settings:
        option, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set {setting}: write OPTION=VALUE")
        chosen[option] = yamlstrict.parse_value(value, f"--set {setting}")
    with working(plugins.registry):
        plugins.registry.get("dataset", name)  # so that a wrong name is told as one
        part = check_part("dataset", {**chosen, "use": name}, plugins.registry, "--set")
        with Progress(console=Console(stderr=True), transient=True) as bars:
            tasks = {}

            def progress(split: str, done: int, total: int) -> None:
                if split not in tasks:
                    tasks[split] = bars.add_task(split, total=total)
                bars.update(tasks[split], completed=done)

            contacts: dict[str, list[tuple[str, Sample]]] = {}
            report = check_data(part, dict(roots), sample, progress, contacts, splits or SPLITS)
        if sheet is not None:
            from cliffkit.data.sheet import draw_sheet

            draw_sheet(sheet, report, contacts)
            echo(f"drawn: {sheet}", err=True)
    _print(report, as_json)
    if report["problems"]:
        raise SystemExit(2)


def _print(report: dict[str, Any], as_json: bool) -> None:
    """Print what a check found."""
    from cliffkit.data.check import describe

    if as_json:
        echo(json.dumps(report))
        return
    for split, facts in report["splits"].items():
        echo(split)
        for label, text in describe(facts):
            echo(f"  {label:<15} {text}")
    for problem in report["problems"]:
        echo(f"wrong: {problem}", err=True)
    echo("" if report["problems"] else "nothing wrong found", nl=not report["problems"])
