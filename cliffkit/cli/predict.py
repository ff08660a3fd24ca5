"""A trained run on other images, or under other protocols."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import cliffkit
from cliffkit.cli import options
from cliffkit.cli.echo import echo
from cliffkit.cli.output import working
from cliffkit.components.imports import without_collector
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
    with without_collector():
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


def _least_first(
    ctx: click.Context, option: click.Parameter, value: tuple[float, ...] | None
) -> tuple[float, ...] | None:
    """Raise UsageError for a range that begins with its end."""
    if value is not None and value[0] > value[1]:
        raise click.UsageError(f"the range begins with its end; least first: --range {value[1]:g},{value[0]:g}", ctx)
    return value


@click.command()
@click.argument("run", type=options.PathText())
@click.argument("images", type=options.PathText(), nargs=-1, required=True)
@click.option("-o", "--out", "out", type=options.PathText(), required=True, metavar="DIR", help="Where to write.")
@click.option("--force", is_flag=True, help="Write over files that `cliffkit predict` did not write, too.")
@click.option("--flip", is_flag=True, help="Average with the prediction for the mirrored image.")
@click.option("--beside/--no-beside", default=True, show_default=True, help="Write the image beside its depth.")
@click.option("--range", "range_m", type=Numbers("MIN,MAX"), metavar="MIN,MAX", callback=_least_first,
              help="Metres of the first and of the last colour. Default: each image's own depths; for a video the 1st "
              "to the 99th percentile of some frames' depths.")  # fmt: skip
@click.option("--points", is_flag=True, help="Write a point cloud of each image too; needs --camera or --fov.")
@click.option("--camera", type=Numbers("fx,fy,cx,cy"), metavar="FX,FY,CX,CY",
              help="For --points: the camera in pixels of the upright images, counted from their top left corner, so "
              "that the first pixel has its centre at (0.5, 0.5). Add 0.5 to cx and cy of OpenCV.")  # fmt: skip
@click.option("--fov", type=click.FloatRange(0, 180, min_open=True, max_open=True), metavar="DEGREES",
              help="For --points without --camera: the angle from the left edge of the image to its right edge. "
              "Pixels are then square, and the camera looks at the middle.")  # fmt: skip
@click.option("--stride", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="For --points: keep every Nth row and column.")  # fmt: skip
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="For videos: predict every Nth frame.")  # fmt: skip
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
              help="For videos: number of the first frame, counted from 0.")  # fmt: skip
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="For videos: number of the last frame.")
@click.option("--frame-depth", type=click.Choice(["png", "npy"]),
              help="For videos: the depth of each frame too, in 16-bit millimetres or float32 metres.")  # fmt: skip
@options.device
@options.as_json
@click.pass_context
def predict(ctx: click.Context, /, run: Path, images: tuple[Path, ...], out: Path, as_json: bool, **how: Any) -> None:
    """Predict the depth of IMAGES, which may be videos, with the weights of RUN, at each image's own size.

    A folder among IMAGES stands for all images in it and in its folders. Images are turned upright by their EXIF
    orientation. Videos are named one by one, and need the extra cliffkit[video].

    \b
    For photo.jpg, DIR gets
        photo.npy         float32 metres, (height, width)
        photo.depth.png   16-bit millimetres, as depth cameras write them; 65.535 m at most
        photo.colour.png  colours with their scale in metres
        photo.beside.png  the photo beside its colours; --no-beside leaves it out
        photo.ply         with --points: points in metres, x right, y down, z forward
    For clip.mp4, DIR gets
        clip.beside.mp4   the frames beside their depth, under one scale; no sound
        clip.frames/      with --frame-depth: a file for each frame, and frames.csv with their times

    \b
        cliffkit predict RUN photos -o depth
        cliffkit predict RUN photo.jpg -o depth --points --fov 63.4
        cliffkit predict RUN photo.jpg -o depth --points --camera 518.9,519.5,325.1,253.2
        cliffkit predict RUN clip.mp4 -o depth --every 2 --range 0.5,8

    Where images of several folders have one name, all keep their folders below DIR. A file that `cliffkit predict` did
    not write is never written over without --force. Of a video that is damaged, what is whole is predicted, and a line
    says where it ends.

    Where the code of a part has changed since RUN was trained, nothing is predicted, and the difference is shown.
    """
    from cliffkit.prediction.inputs import is_video

    plugins: Plugins = ctx.obj
    videos = [path for path in images if is_video(path)]
    pictures = [path for path in images if path not in videos]
    _check_given(ctx, FOR_PICTURES if not pictures else (), "images; name one")
    _check_given(ctx, FOR_VIDEOS if not videos else (), "videos; name one")
    shared = {name: value for name, value in how.items() if name not in (*FOR_PICTURES, *FOR_VIDEOS)}
    for_pictures = {name: how[name] for name in FOR_PICTURES}
    for_videos = {name: how[name] for name in FOR_VIDEOS}
    with working(plugins.registry):
        rows = cliffkit.predict(run, pictures, out, plugins=plugins, **shared, **for_pictures) if pictures else ()
        clips = cliffkit.predict_videos(run, videos, out, plugins=plugins, **shared, **for_videos) if videos else ()
    _warn_of_nothing([(row["image"], row) for row in rows] + [(row["video"], row) for row in clips])
    if as_json:
        echo(json.dumps({"run": str(run), "predictions": list(map(dict, rows)), "videos": list(map(dict, clips))}))
        return
    for row in rows:
        echo(f"{row['image']}: {_range(row)}")
    for row in clips:
        frames = (
            f"{row['frames']} frame{'' if row['frames'] == 1 else 's'}, {row['first_s']:.2f} to {row['last_s']:.2f} s"
        )
        colours = f"colours from {row['colours_from_m']:.2f} to {row['colours_to_m']:.2f} m"
        echo(f"{row['video']}: {frames}, {_range(row)}, {colours}")
        if row["remarks"]:
            echo(f"{row['video']}: {row['remarks']}", err=True)
    echo(f"written to {out}")


FOR_PICTURES, FOR_VIDEOS = ("points", "camera", "fov", "stride"), ("every", "first", "last", "frame_depth")
"""Options of images alone, and of videos alone."""


def _check_given(ctx: click.Context, names: tuple[str, ...], what: str) -> None:
    """Raise UsageError where options are given that are for inputs of another kind."""
    for name in names:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is for {what}, or leave it out")


def _warn_of_nothing(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Say once of how many images and videos the median depth is not above 0 m."""
    empty = [(name, row) for name, row in rows if row["median_m"] <= 0]
    if empty:
        name, row = empty[0]
        echo(
            f"warning: {len(empty)} of {len(rows)} inputs have more depths of 0 m or less than above 0, as {name} "
            f"({row['min_m']:.2f} to {row['max_m']:.2f} m): the network is not trained, or its head gives no positive "
            "depth; train it longer, or take a head that does, as {use: log}",
            err=True,
        )


def _range(row: Mapping[str, Any]) -> str:
    return f"{row['min_m']:.2f} to {row['max_m']:.2f} m, median {row['median_m']:.2f} m"
