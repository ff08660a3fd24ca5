"""Image files to depth files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cliffkit.errors import SHOWN_FAULTS, UserError
from cliffkit.images import check_mode, open_image, read_rgb, to_rgb
from cliffkit.pictures.beside import beside_png
from cliffkit.pictures.painted import painted
from cliffkit.pictures.png import depth_colour_png, save_depth_png16
from cliffkit.prediction.batches import of_one_size
from cliffkit.prediction.outputs import Output, make_folders, plan_outputs
from cliffkit.prediction.packed import packed
from cliffkit.prediction.points import Cloud, write_ply
from cliffkit.prediction.predictor import Floats, Predictor
from cliffkit.prediction.streams import in_streams
from cliffkit.store.files import write_atomic
from cliffkit.workers import available_cores, in_order

_Predicted = tuple[Output, Tensor, Floats]
"""Where an image's files go, the image, and its depth."""


@dataclass(frozen=True)
class Forms:
    """What is written of each image beside its array, its 16-bit PNG and its picture in colours."""

    beside: bool = True
    """The image beside its depth."""
    cloud: Cloud | None = None
    """A point cloud."""
    range_m: tuple[float, float] | None = None
    """Metres of the first and of the last colour; None: each image's own range."""


def predict_files(
    predict: Predictor,
    images: Sequence[Path],
    out: Path,
    forms: Forms | None = None,
    *,
    flip: bool = False,
    force: bool = False,
) -> Iterator[dict[str, Any]]:
    """Write each image's depth below `out` in several forms; yields the files and their range in metres.

    Every image is opened before the first is predicted. Raises UserError for an image that cannot be read, and as
    `plan_outputs` and `make_folders` do. Several images are in work at a time: a CPU's threads are shared among them, a
    GPU predicts neighbours of one size at once, while others are read and written.
    """
    forms = forms or Forms()
    _check_images(images)
    outputs = plan_outputs(images, out, beside=forms.beside, points=forms.cloud is not None, force=force)
    make_folders(outputs)
    if predict.gathers:
        yield from in_order(partial(_write, forms), _predict_batches(predict, flip, outputs), available_cores())
        return
    with packed(predict.network):
        yield from in_streams(partial(_predict_file, predict, forms, flip), outputs)


def _predict_file(predict: Predictor, forms: Forms, flip: bool, output: Output) -> dict[str, Any]:
    image = read_image(output.image)
    return _write(forms, (output, image, predict(image, flip=flip)))


def _predict_batches(predict: Predictor, flip: bool, outputs: Sequence[Output]) -> Iterator[_Predicted]:
    """Predict neighbours of one size at once; the next images are read meanwhile."""
    read = in_order(lambda output: (output, read_image(output.image)), outputs, available_cores())
    for batch in of_one_size(read, itemgetter(1), predict.at_once):
        depths = predict.batch(torch.stack([image for _, image in batch]), flip=flip)
        yield from ((output, image, depth_m) for (output, image), depth_m in zip(batch, depths, strict=True))


def _write(forms: Forms, predicted: _Predicted) -> dict[str, Any]:
    """Write all forms of an image's depth."""
    output, image, depth_m = predicted
    rgb = image.permute(1, 2, 0).numpy()
    colours = painted(depth_m, *(forms.range_m or (None, None)))
    # the array last: it is known to be ours by the depth beside it
    write_atomic(output.depth_png, partial(save_depth_png16, depth_m=depth_m))
    write_atomic(output.colour_png, partial(depth_colour_png, depth=colours))
    if output.beside_png is not None:
        write_atomic(output.beside_png, partial(beside_png, image=rgb, depth=colours))
    if output.ply is not None and forms.cloud is not None:
        write_atomic(output.ply, partial(write_ply, image=rgb, depth_m=depth_m, cloud=forms.cloud))
    write_atomic(output.npy, partial(_save_array, depth_m=depth_m))
    facts = {"min_m": depth_m.min(), "median_m": np.median(depth_m), "max_m": depth_m.max()}
    return {
        "image": str(output.image),
        "depth_npy": str(output.npy),
        "depth_png": str(output.depth_png),
        "colour_png": str(output.colour_png),
        "beside_png": None if output.beside_png is None else str(output.beside_png),
        "ply": None if output.ply is None else str(output.ply),
        **{name: float(value) for name, value in facts.items()},
    }


def _check_images(images: Sequence[Path]) -> None:
    """Check the headers of image files, else raise UserError with the fault of every one.

    Later faults show when an image is read.
    """
    faults = []
    for path in images:
        try:
            with open_image(path) as image:
                check_mode(image, f"{path}:")
        except UserError as error:
            faults.append(str(error))
    if faults:
        more = len(faults) - SHOWN_FAULTS
        raise UserError("\n".join(faults[:SHOWN_FAULTS] + ([f"and {more} more"] if more > 0 else [])))


def image_tensor(image: Image.Image | NDArray[Any]) -> Tensor:
    """Turn a PIL image, or (H, W, 3) uint8 RGB, into (3, H, W) uint8 RGB. Raises UserError for others.

    A PIL image is turned upright by its EXIF orientation.
    """
    if isinstance(image, Image.Image):
        return torch.from_numpy(to_rgb(image)).permute(2, 0, 1)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UserError(
            f"an array of shape {image.shape} and type {image.dtype} is no image; give (height, width, 3) uint8, RGB"
        )
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def read_image(path: Path) -> Tensor:
    """Read an image file as (3, H, W) uint8 RGB, upright. Raises UserError where the file is no image."""
    return torch.from_numpy(read_rgb(path)).permute(2, 0, 1)


def _save_array(path: Path, depth_m: Floats) -> None:
    with path.open("wb") as file:
        np.save(file, depth_m)
