"""`cliffkit bundle` and `cliffkit verify`: a study in one file for others, and the check of such a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

import cliffkit
from cliffkit.cli import options
from cliffkit.cli.ablate import study_argument
from cliffkit.cli.echo import echo
from cliffkit.cli.output import working
from cliffkit.components.load import Plugins

if TYPE_CHECKING:
    from cliffkit.verbs.bundle import Bundle
    from cliffkit.verbs.verify import Verification


@click.command()
@study_argument
@click.option("-o", "--out", type=options.PathText(), metavar="FILE",
              help="By default the study's name in the working folder, with the end .bundle.zip.")  # fmt: skip
@click.option("--weights", is_flag=True, help="Put the weights of every cell into it too.")
@options.sets
@options.data
@options.runs
@options.device
@options.as_json
@click.pass_obj
def bundle(
    plugins: Plugins,
    study: Path,
    out: Path | None,
    weights: bool,
    overrides: tuple[str, ...],
    roots: tuple[tuple[str, Path], ...],
    runs: Path,
    device: str,
    as_json: bool,
) -> None:
    """Put what is done of STUDY into one file that others can check with `cliffkit verify`. Trains nothing.

    Without STUDY: cliffnet. Give the options that `cliffkit ablate` was given. The report is written anew, and is in
    the file with the recipe of every cell, the code of its parts in hashes (in text, for parts of third parties),
    machines and versions, and the scores of every test image. No data, and no weights unless they are asked for. The
    same study gives the same bytes.

    \b
        cliffkit bundle STUDY.yaml -o study.bundle.zip
        cliffkit verify study.bundle.zip

    STUDY may be the folder of a comparison that `cliffkit score --variant` made, as scores/comparison. Its report is
    taken as it is, with the scores of each test image; no other option is needed.
    """
    with working(plugins.registry):
        made = cliffkit.bundle(
            study, out, set=overrides, data=dict(roots), runs=runs, device=device, weights=weights, plugins=plugins
        )
    _print_bundle(made, as_json)


def _print_bundle(made: Bundle, as_json: bool) -> None:
    """Print what is in a bundle and what is missing, or one JSON object."""
    size = made.file.stat().st_size
    if as_json:
        sizes = {name: {"files": count, "bytes": of} for name, (count, of) in made.sizes.items()}
        cells = [{"cell": cell.name, "state": cell.state, "folder": cell.folder} for cell in made.facts.cells]
        facts = {"file": str(made.file), "bytes": size, "contents": sizes, "cells": cells, "missing": made.missing}
        echo(json.dumps(facts))
        return
    for name, (count, of) in made.sizes.items():
        echo(f"{name:<12} {count:>5} file{'s' * (count != 1):<1}  {of / 1000:>9,.1f} kB")
    for sentence in made.missing:
        echo(sentence)
    echo(f"bundle: {made.file}, {size / 1e6:.2f} MB")


@click.command()
@click.argument("file", type=options.PathText())
@click.option("--retrain", type=click.IntRange(min=1), metavar="N",
              help="Also train N cells again, and compare their scores. FILE's checksums choose which.")  # fmt: skip
@options.data
@options.device
@options.as_json
@click.pass_obj
def verify(
    plugins: Plugins,
    file: Path,
    retrain: int | None,
    roots: tuple[tuple[str, Path], ...],
    device: str,
    as_json: bool,
) -> None:
    """Check FILE, a study that `cliffkit bundle` put into one file. Needs no store, no data, no weights.

    Every number of the report is computed again from the scores of each test image, the keys of the cells again from
    their recipes and the code of their parts; the recipes of variants may differ in what their axes say, those of
    replicates in their seeds. Parts of third parties need not be installed, and no code of FILE is run. What does not
    hold is named. (`cliffkit store verify` is another thing: it looks for damage in a folder of runs.)

    --retrain needs the data and the parts. Scores must be equal to the bit on the same kind of machine with the same
    versions, and elsewhere within 4 standard deviations between the seeds of the study.


    Exit code 1: something does not hold.
    """
    with working(plugins.registry):
        verification = cliffkit.verify(file, retrain=retrain or 0, data=dict(roots), device=device, plugins=plugins)
    _print_verification(verification, as_json)
    if not verification.holds:
        raise SystemExit(1)


def _print_verification(verification: Verification, as_json: bool) -> None:
    """Print every check with what does not hold, or one JSON object."""
    if as_json:
        checks = [
            {
                "check": check.name,
                "compared": check.compared,
                "holds": check.holds,
                "faults": list(check.faults),
                "remarks": list(check.remarks),
            }
            for check in verification.checks
        ]
        facts = {"file": str(verification.file), "holds": verification.holds, "missing": verification.missing}
        echo(json.dumps({**facts, "checks": checks}))
        return
    for check in verification.checks:
        echo(f"{'holds' if check.holds else 'FAILS':<6} {check.name}: {check.compared}")
        for fault in check.faults:
            echo(f"         {fault}")
        for remark in check.remarks:
            echo(f"       ({remark})")
    for sentence in verification.missing:
        echo(sentence)
    count = len(verification.faults)
    echo(f"{verification.file}: {'everything holds' if not count else f'{count} things do not hold'}")
