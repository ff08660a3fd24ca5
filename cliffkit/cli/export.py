"""A trained run as one file that other programs run."""

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
    from cliffkit.store.artifacts import ExportFacts


class SizeText(click.ParamType[tuple[int, int]]):
    """HEIGHTxWIDTH."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Split at the x."""
        height, x, width = str(value).lower().partition("x")
        if not (x and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
            self.fail(f"'{value}' is no size; write height and width in pixels, as 480x640", param, ctx)
        return int(height), int(width)


@click.command()
@click.argument("run", type=options.PathText())
@click.option("--to", type=click.Choice(["onnx", "torch"]), default="onnx", show_default=True,
              help="onnx needs the extra cliffkit[onnx]; torch is a program of torch.export.")  # fmt: skip
@click.option("-o", "--out", type=options.PathText(), metavar="FILE",
              help="By default RUN's name in the working folder, with the end .onnx or .pt2.")  # fmt: skip
@click.option("--image", type=click.Choice(["uint8", "float32"]), default="uint8", show_default=True,
              help="Type of the images that the file takes: 0 to 255, or 0 to 1.")  # fmt: skip
@click.option("--size", type=SizeText(), help="Fix the images' height and width; one image at a time.")
@click.option("--force", is_flag=True, help="Write over a file that `cliffkit export` did not write, too.")
@options.as_json
@click.pass_obj
def export(
    plugins: Plugins,
    run: Path,
    to: Any,
    out: Path | None,
    image: Any,
    size: tuple[int, int] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write the whole prediction of RUN into one file: images in, metres at the images' size out.

    The file takes `image`, (B, 3, height, width) RGB, and gives `depth_m`, (B, height, width) float32. Resizing and
    normalisation are in it. Images may have any size where the parts of the network allow that.

    The file is run and compared with `cliffkit predict`. The largest difference is printed, and stored in FILE.json;
    where it is above 0.1 % of the depth, no file is written.
    """
    with working(plugins.registry):
        exported = cliffkit.export(run, out, to=to, image=image, size=size, force=force, plugins=plugins)
    facts = exported.facts
    if as_json:
        echo(json.dumps({"file": str(exported.file), **facts.to_dict()}))
        return
    echo(f"takes:   image, {_images(facts)}")
    echo(f"gives:   depth_m, ({_axis('batch', 1, facts)}, height, width) float32, metres")
    echo(
        f"predict: differs by {facts.difference_m:.2g} m at most, {facts.difference:.2g} of the depth, over "
        f"{len(facts.compared)} sizes of images ({facts.tolerance} is let pass)"
    )
    echo(f"written to {exported.file}")


def _images(facts: ExportFacts) -> str:
    values = "uint8" if facts.image == "uint8" else "float32 in [0, 1]"
    height, width = facts.size or (0, 0)
    shape = ", ".join((_axis("batch", 1, facts), "3", _axis("height", height, facts), _axis("width", width, facts)))
    fixed = f"; others are fixed: {facts.reason}" if facts.reason else ""
    free = f"{', '.join(facts.free)} are free" if facts.free else "no axis is free"
    return f"({shape}) {values} RGB; {free}{fixed}"


def _axis(name: str, length: int, facts: ExportFacts) -> str:
    return name if name in facts.free else str(length)
