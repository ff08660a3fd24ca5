"""A trained run on other images, or under other protocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

import cliffkit
from cliffkit.cli import options
from cliffkit.cli.echo import echo
from cliffkit.cli.output import working
from cliffkit.components.load import Plugins


@click.command()
@click.argument("run", type=options.PathText())
@options.protocols
@options.data
@options.dataset
@options.device
@options.as_json
@click.pass_obj
def evaluate(
    plugins: Plugins,
    run: Path,
    protocols: tuple[Any, ...],
    roots: tuple[tuple[str, Path], ...],
    dataset: Any,
    device: str,
    as_json: bool,
) -> None:
    """Score the weights of RUN under other protocols, without training. RUN is a folder that `cliffkit run` named.

    Where --dataset is given, or --data names one other data set alone, RUN is scored on that test split: zero-shot.
    These scores get a folder inside of RUN, and stand in no table with those of RUN's own data.

    The scores go into RUN's store; where RUN was moved away from it, into a folder inside of RUN. Where the code of a
    part has changed since RUN was trained, nothing is scored, and the difference is shown.
    """
    from cliffkit.cli.score import print_scored
    from cliffkit.cli.scores import print_run

    if dataset is not None or _is_other(run, roots, plugins):
        with working(plugins.registry):
            scored = cliffkit.zero_shot(
                run, protocols, data=dict(roots), dataset=dataset, device=device, plugins=plugins
            )
        print_scored(scored, as_json)
        return
    with working(plugins.registry):
        finished = cliffkit.evaluate(run, protocols, data=dict(roots), device=device, plugins=plugins)
    print_run(finished, as_json)


def _is_other(run: Path, roots: tuple[tuple[str, Path], ...], plugins: Plugins) -> bool:
    """Tell whether one data set alone is named, and it is not the one that a run was trained on."""
    from cliffkit.prediction.predictor import load_run

    own = load_run(run, plugins.registry).data.component.name
    return len(roots) == 1 and roots[0][0] != own


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them, as fx,fy,cx,cy."""

    def __init__(self, names: str) -> None:
        self.name = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Split at the commas."""
        try:
            numbers = tuple(float(number) for number in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != len(self.name.split(",")):
            self.fail(f"'{value}' is not {self.name}, numbers with commas between them", param, ctx)
        return numbers


@click.command()
@click.argument("run", type=options.PathText())
@click.argument("images", type=options.PathText(), nargs=-1, required=True)
@click.option("-o", "--out", "out", type=options.PathText(), required=True, metavar="DIR", help="Where to write.")
@click.option("--force", is_flag=True, help="Write over files that `cliffkit predict` did not write, too.")
@click.option("--flip", is_flag=True, help="Average with the prediction for the mirrored image.")
@click.option("--beside/--no-beside", default=True, show_default=True, help="Write the image beside its depth.")
@click.option("--range", "range_m", type=Numbers("MIN,MAX"), metavar="MIN,MAX",
              help="Metres of the first and of the last colour. Default: each image's own depths.")  # fmt: skip
@click.option("--points", is_flag=True, help="Write a point cloud too; needs --camera or --fov.")
@click.option("--camera", type=Numbers("fx,fy,cx,cy"), metavar="FX,FY,CX,CY",
              help="For --points: the camera in pixels of the upright images, counted from their top left corner, so "
              "that the first pixel has its centre at (0.5, 0.5). Add 0.5 to cx and cy of OpenCV.")  # fmt: skip
@click.option("--fov", type=click.FloatRange(0, 180, min_open=True, max_open=True), metavar="DEGREES",
              help="For --points without --camera: the angle from the left edge of the image to its right edge. "
              "Pixels are then square, and the camera looks at the middle.")  # fmt: skip
@click.option("--stride", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="For --points: keep every Nth row and column.")  # fmt: skip
@options.device
@options.as_json
@click.pass_obj
def predict(plugins: Plugins, /, run: Path, images: tuple[Path, ...], out: Path, as_json: bool, **how: Any) -> None:
    """Predict the depth of IMAGES with the weights of RUN, at each image's own size.

    A folder among IMAGES stands for all images in it and in its folders. Images are turned upright by their EXIF
    orientation.

    \b
    For photo.jpg, DIR gets
        photo.npy         float32 metres, (height, width)
        photo.depth.png   16-bit millimetres, as depth cameras write them; 65.535 m at most
        photo.colour.png  colours with their scale in metres
        photo.beside.png  the photo beside its colours; --no-beside leaves it out
        photo.ply         with --points: points in metres, x right, y down, z forward

    \b
        cliffkit predict RUN photos -o depth
        cliffkit predict RUN photo.jpg -o depth --points --fov 63.4
        cliffkit predict RUN photo.jpg -o depth --points --camera 518.9,519.5,325.1,253.2

    Where images of several folders have one name, all keep their folders below DIR. A file that `cliffkit predict` did
    not write is never written over without --force.

    Where the code of a part has changed since RUN was trained, nothing is predicted, and the difference is shown.
    """
    with working(plugins.registry):
        rows = cliffkit.predict(run, images, out, plugins=plugins, **how)
    if as_json:
        echo(json.dumps({"run": str(run), "predictions": list(map(dict, rows))}))
        return
    for row in rows:
        echo(f"{row['image']}: {row['min_m']:.2f} to {row['max_m']:.2f} m, median {row['median_m']:.2f} m")
    echo(f"written to {out}")
