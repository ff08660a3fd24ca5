"""A trained run on image files."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress import track

from cliffkit.components.load import Plugins
from cliffkit.display.screen import can_redraw, screen
from cliffkit.jobs.parts import TO_PREDICT, check_parts
from cliffkit.jobs.run_folder import check_files
from cliffkit.pictures.colours import check_range
from cliffkit.prediction.files import Forms, predict_files
from cliffkit.prediction.inputs import find_images
from cliffkit.prediction.points import make_cloud
from cliffkit.prediction.predictor import Predictor, load_run, predictor
from cliffkit.store.artifacts import RECIPE, WEIGHTS
from cliffkit.training.device import open_device
from cliffkit.verbs.finished import Run
from cliffkit.verbs.inputs import AnyPath, installed_plugins, path_of
from cliffkit.verbs.rows import Rows

COLUMNS = ("image", "depth_npy", "depth_png", "colour_png", "beside_png", "ply", "min_m", "median_m", "max_m")


def predict(
    run: Run | AnyPath,
    images: Sequence[AnyPath],
    out: AnyPath,
    *,
    flip: bool = False,
    beside: bool = True,
    range_m: tuple[float, float] | None = None,
    points: bool = False,
    camera: Sequence[float] | None = None,
    fov: float | None = None,
    stride: int = 1,
    force: bool = False,
    device: str = "auto",
    progress: bool = True,
    plugins: Plugins | None = None,
) -> Rows:
    """Write the depth of image files below the folder `out`, at each image's own size; returns a row per image.

    A folder among `images` stands for all images in it and below. Images are turned upright by their EXIF orientation.
    Each image gets float32 metres (.npy), 16-bit millimetres (.depth.png), a picture with a scale (.colour.png) and
    the image beside that picture (.beside.png); a row has their paths and the least, median and largest depth in
    metres. Where images of several folders have one name, all keep their folders below `out`. Every image is opened
    before the first is predicted.

    Args:
        run: a run or its folder.
        images: files and folders.
        out: the folder to write into.
        flip: average with the prediction for the mirrored image.
        beside: write the image beside its depth.
        range_m: metres of the first and the last colour; by default each image's own least and largest depth.
        points: write a point cloud (.ply) too, in metres right, down and forward of the camera.
        camera: for `points`, fx, fy, cx, cy in pixels of the images, counted from their top left corner.
        fov: for `points` without `camera`, the angle from an image's left edge to its right edge, in degrees.
        stride: for `points`, every how manieth row and column is kept.
        force: write over files that `predict` did not write.
        device: where to compute.
        progress: show a bar.
        plugins: those to use; by default the installed ones.

    Raises UserError where an image cannot be read, where two would be written under one name, where a file would be
    written over that was not written by `predict` (`force` allows that), where point clouds are wanted of an unknown
    camera, and where the parts that are installed are not those with which the weights were trained.

    Example: `cliffkit.predict(run, sorted(Path("photos").glob("*.jpg")), "depth").column("median_m")`.
    """
    files = find_images([path_of(image, "images") for image in images])
    if range_m is not None:
        check_range(*range_m)
    forms = Forms(beside, make_cloud(points, camera, fov, stride, files), range_m)
    network = open_predictor(run, device, plugins)
    written = predict_files(network, files, path_of(out, "out"), forms, flip=flip, force=force)
    console = screen()
    hidden = not progress or not can_redraw(console)
    rows = track(written, "predict", total=len(files), console=console, disable=hidden)
    return Rows(rows, COLUMNS)


def open_predictor(run: Run | AnyPath, device: str, plugins: Plugins | None) -> Predictor:
    """Load a run's network to predict with, once its parts and files are known to be those of its training."""
    folder = run.folder if isinstance(run, Run) else path_of(run, "run")
    recipe = load_run(folder, (plugins or installed_plugins()).registry)
    check_parts(folder, recipe, TO_PREDICT)
    check_files(folder, (RECIPE, WEIGHTS))
    return predictor(recipe, folder / WEIGHTS, open_device(device, "fp32").torch)
