"""`cliffkit score`: predictions that were not made here."""

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

if TYPE_CHECKING:
    from cliffkit.verbs.findings import Findings
    from cliffkit.verbs.scored import Scored

QUANTITIES = ("depth", "inverse", "disparity", "distance")


class Places(click.ParamType[tuple[str, list[Path]]]):
    """NAME=PLACE,PLACE,..."""

    name = "NAME=PLACE,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, list[Path]]:
        """Split at the first equals sign, then at commas, unless a place has a comma in its own name."""
        name, _, places = str(value).partition("=")
        if name and places and Path(places).exists():
            return name, [Path(places)]
        if not name or not all(places.split(",")):
            self.fail(f"'{value}' is not NAME=PLACE,PLACE, as in --variant ours=a/,b/,c/", param, ctx)
        return name, [Path(place) for place in places.split(",")]


@click.command()
@click.argument("predictions", type=options.PathText(), nargs=-1)
@click.option("--variant", "variants", type=Places(), multiple=True, metavar="NAME=PLACE,PLACE,...",
              help="Predictions of a variant, one place for each seed under which it was trained. "
              "Repeatable; places of one name are of one variant.")  # fmt: skip
@click.option("--reference", metavar="NAME", help="The variant with which the others are compared. Default: the last.")
@click.option("--metric", default="abs_rel", show_default=True, help="In which variants are compared first.")
@click.option("--smallest", type=float, metavar="D", help="Smallest difference of interest in that metric.")
@options.protocols_or_customary
@options.data
@options.dataset
@click.option("--as", "quantity", type=click.Choice(QUANTITIES), default="depth", show_default=True,
              help="What the numbers are: depth ahead of the camera, inverse depth, disparity, or distance from the "
              "camera's centre.")  # fmt: skip
@click.option("--scale", type=float, metavar="N",
              help="Stored numbers per metre (per 1/m, per pixel): 1000 for millimetres, 256 for KITTI's PNGs. "
              "Default: 1; whole numbers need it said.")  # fmt: skip
@click.option("--baseline", "baseline_m", type=float, metavar="METRES", help="Of disparity.")
@click.option("--focal", "focal_px", type=float, metavar="PIXELS", help="Of disparity, in pixels of the stored maps.")
@click.option("--camera", type=float, nargs=4, metavar="FX FY CX CY",
              help="Of distance, in pixels of the image, where the data set knows no camera.")  # fmt: skip
@click.option("--key", metavar="NAME", help="The array to read of .npz files that hold several.")
@click.option("--match", default="name", show_default=True, metavar="name|order|FILE.csv",
              help="By name, the n-th file to the n-th image of the test split, or by a list: a CSV with the columns "
              "image and prediction, paths from the folder of the predictions.")  # fmt: skip
@click.option("--allow-missing", is_flag=True, help="Score the images that have a prediction, and count the others.")
@click.option("--name", metavar="NAME", help="Of the predictions in tables. Default: their folder's.")
@click.option("-o", "--out", type=options.PathText(), default=Path("scores"), show_default=True, metavar="DIR",
              help="The folder of the folders of scores.")  # fmt: skip
@options.as_json
@click.pass_obj
def score(
    plugins: Plugins,
    /,
    predictions: tuple[Path, ...],
    variants: tuple[tuple[str, list[Path]], ...],
    reference: str | None,
    metric: str,
    smallest: float | None,
    protocols: tuple[Any, ...],
    roots: tuple[tuple[str, Path], ...],
    quantity: str,
    scale: float | None,
    baseline_m: float | None,
    focal_px: float | None,
    camera: tuple[float, ...] | None,
    name: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Score PREDICTIONS of any network on the test split of a data set, without training anything.

    PREDICTIONS is a folder with a file per test image (.npy, .npz, .exr, .tiff, 16-bit .png), or one .npy of shape
    (images, height, width) in the order of the split. A prediction shows the whole image, at any size; it is brought to
    the size of the truth as a network's is. Files and images are matched by name; a missing prediction is an error.

    \b
        cliffkit score theirs/ --data nyu=FOLDER --protocol eigen --protocol eigen+median
        cliffkit score png/ --data nyu=FOLDER --protocol eigen --scale 1000
        cliffkit score disps.npy --data kitti=FOLDER --protocol garg+median --as inverse

    What is odd about the numbers, such as millimetres read as metres or inverse depth read as depth, is told, and
    nothing is mended.

    Several places are seeds of one variant, and --variant names several: then differences from the reference are
    judged as those of a study, with a report.

    \b
        cliffkit score --data nyu=FOLDER --protocol eigen --reference theirs \\
            --variant ours=a/,b/,c/ --variant theirs=d/,e/,f/
    """
    said = {"scale": scale, "baseline_m": baseline_m, "focal_px": focal_px, "camera": camera}
    numbers = {"use": quantity, **{name: value for name, value in said.items() if value is not None}}
    shared = {"data": dict(roots), "quantity": numbers, "plugins": plugins, **chosen}
    if bool(variants) == bool(predictions):
        raise click.UsageError("name places of predictions, or variants with --variant, and not both")
    if len(predictions) == 1:
        with working(plugins.registry):
            scored = cliffkit.score(predictions[0], protocols, name=name, **shared)
        print_scored(scored, as_json)
        return
    places = _places(variants) if variants else {"predictions": list(predictions)}
    judged: dict[str, Any] = {"reference": reference or list(places)[-1], "metric": metric, "smallest": smallest}
    with working(plugins.registry):
        findings = cliffkit.compare(places, protocols, **judged, name=name or "comparison", **shared)
    _print_findings(findings, as_json)


def _places(variants: tuple[tuple[str, list[Path]], ...]) -> dict[str, list[Path]]:
    """Gather the places of variants by name."""
    places: dict[str, list[Path]] = {}
    for name, of in variants:
        places.setdefault(name, []).extend(of)
    return places


def _print_findings(findings: Findings, as_json: bool) -> None:
    """Print verdicts and where the report lies, or one JSON object."""
    from cliffkit.cli.verdicts import print_study, study_json

    if as_json:
        echo(json.dumps(study_json(findings.results, findings.analysis, dict(findings.files))))
        return
    print_study(findings.results, findings.analysis)
    for note in findings.study.notes:
        echo(f"note: {note}")
    echo(f"report: {findings.files['report.html']}")


def _json(scored: Scored) -> dict[str, Any]:
    """Give the object that `--json` prints."""
    record = scored.record
    facts = record.predictions
    return {
        "scores": str(scored.folder),
        "name": record.name,
        "key": record.key,
        "metrics": record.metrics,
        "baseline": record.baseline,
        "failures": record.failures,
        "quantity": facts.quantity,
        "matched": facts.matched,
        "scored": facts.scored,
        "missing": list(facts.missing),
        "extra": facts.extra,
        "warnings": list(facts.warnings),
    }


def print_scored(scored: Scored, as_json: bool) -> None:
    """Print scores, what they are of, what is odd, and where they lie; or one JSON object."""
    if as_json:
        echo(json.dumps(_json(scored)))
        return
    from cliffkit.cli.scores import print_data, print_scores

    record, facts = scored.record, scored.record.predictions
    print_scores(record, record.name)
    print_data(record, "test")
    echo(f"predictions: {facts.scored} of {facts.scored + len(facts.missing)} test images, {facts.quantity}")
    for warning in facts.warnings:
        echo(f"warning: {warning}")
    echo(f"panel:  {scored.panel}")
    echo(f"scores: {scored.folder}")
