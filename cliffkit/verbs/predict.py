"""A trained run on image files."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress import track

from cliffkit.components.load import Plugins
from cliffkit.display.screen import can_redraw, screen
from cliffkit.jobs.parts import TO_PREDICT, check_parts
from cliffkit.jobs.run_folder import check_files
from cliffkit.prediction.files import predict_files
from cliffkit.prediction.inputs import find_images
from cliffkit.prediction.predictor import load_run, predictor
from cliffkit.store.artifacts import RECIPE, WEIGHTS
from cliffkit.training.device import open_device
from cliffkit.verbs.finished import Run
from cliffkit.verbs.inputs import AnyPath, installed_plugins, path_of
from cliffkit.verbs.rows import Rows

COLUMNS = ("image", "depth_npy", "depth_png", "colour_png", "min_m", "median_m", "max_m")


def predict(
    run: Run | AnyPath,
    images: Sequence[AnyPath],
    out: AnyPath,
    *,
    flip: bool = False,
    force: bool = False,
    device: str = "auto",
    progress: bool = True,
    plugins: Plugins | None = None,
) -> Rows:
    """Write the depth of image files below the folder `out`, at each image's own size; returns a row per image.

    A folder among `images` stands for all images in it and below. Images are turned upright by their EXIF orientation.
    Each image gets float32 metres (.npy), 16-bit millimetres (.depth.png) and a picture with a scale (.colour.png);
    a row has their paths and the least, median and largest depth in metres. Where images of several folders have one
    name, all keep their folders below `out`. `flip` averages with the prediction for the mirrored image. Every image is
    opened before the first is predicted.

    Raises UserError where an image cannot be read, where two would be written under one name, where a file would be
    written over that was not written by `predict` (`force` allows that), and where the parts that are installed are
    not those with which the weights were trained.

    Example: `cliffkit.predict(run, sorted(Path("photos").glob("*.jpg")), "depth").column("median_m")`.
    """
    folder = run.folder if isinstance(run, Run) else path_of(run, "run")
    recipe = load_run(folder, (plugins or installed_plugins()).registry)
    check_parts(folder, recipe, TO_PREDICT)
    check_files(folder, (RECIPE, WEIGHTS))
    network = predictor(recipe, folder / WEIGHTS, open_device(device, "fp32").torch)
    files = find_images([path_of(image, "images") for image in images])
    written = predict_files(network, files, path_of(out, "out"), flip=flip, force=force)
    console = screen()
    hidden = not progress or not can_redraw(console)
    rows = track(written, "predict", total=len(files), console=console, disable=hidden)
    return Rows(rows, COLUMNS)
