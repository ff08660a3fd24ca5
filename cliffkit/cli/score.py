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
    from cliffkit.verbs.scored import Scored

QUANTITIES = ("depth", "inverse", "disparity", "distance")


@click.command()
@click.argument("predictions", type=options.PathText())
@options.protocols
@options.data
@click.option("--dataset", type=options.PartText(), metavar="DATASET",
              help="Which data set: a name, or a mapping with its options, as '{use: pairs, depth_scale: 5000}'. "
              "Default: the only one of --data.")  # fmt: skip
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
@click.option("--match", type=click.Choice(["name", "order"]), default="name", show_default=True,
              help="By name, or the n-th file to the n-th image of the test split.")  # fmt: skip
@click.option("--allow-missing", is_flag=True, help="Score the images that have a prediction, and count the others.")
@click.option("--name", metavar="NAME", help="Of the predictions in tables. Default: their folder's.")
@click.option("-o", "--out", type=options.PathText(), default=Path("scores"), show_default=True, metavar="DIR",
              help="The folder of the folders of scores.")  # fmt: skip
@options.as_json
@click.pass_obj
def score(
    plugins: Plugins,
    /,
    predictions: Path,
    protocols: tuple[Any, ...],
    roots: tuple[tuple[str, Path], ...],
    quantity: str,
    scale: float | None,
    baseline_m: float | None,
    focal_px: float | None,
    camera: tuple[float, ...] | None,
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
    """
    said = {"scale": scale, "baseline_m": baseline_m, "focal_px": focal_px, "camera": camera}
    numbers = {"use": quantity, **{name: value for name, value in said.items() if value is not None}}
    with working(plugins.registry):
        scored = cliffkit.score(predictions, protocols, data=dict(roots), quantity=numbers, plugins=plugins, **chosen)
    if as_json:
        echo(json.dumps(_json(scored)))
    else:
        _print(scored)


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


def _print(scored: Scored) -> None:
    """Print scores, what they are of, what is odd, and where they lie."""
    from cliffkit.cli.scores import print_data, print_scores

    record, facts = scored.record, scored.record.predictions
    print_scores(record, record.name)
    print_data(record, "test")
    echo(f"predictions: {facts.scored} of {facts.scored + len(facts.missing)} test images, {facts.quantity}")
    for warning in facts.warnings:
        echo(f"warning: {warning}")
    echo(f"panel:  {scored.panel}")
    echo(f"scores: {scored.folder}")
