"""Depth of whole images or of a view of them, at their own size: one way for `evaluate` and `predict`.

The network sees every image at the scale it was trained at, computes in float32 one image at a time, and its depth is
brought to the wanted size bilinearly: the same image gives the same depth whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from cliffkit.errors import UserError
from cliffkit.network import DepthNetwork, build_network
from cliffkit.pack import resize_image
from cliffkit.pictures import depth_colour_png, save_depth_png16
from cliffkit.protocols import View, image_region
from cliffkit.recipe import Recipe, load_recipe
from cliffkit.registry import Registry
from cliffkit.store import write_atomic
from cliffkit.workers import in_order

Floats = NDArray[np.float32]
WHOLE = View()
STREAMS = 4
"""Images that `predict` has in work at a time: a thread each wastes less than all of them on every layer."""


@dataclass(frozen=True)
class Predictor:
    """A trained network with the scale at which it sees images."""

    network: DepthNetwork
    size: tuple[int, int]
    """Height and width at which it was trained."""
    crop: float
    """Share of each side of an image that `size` shows."""
    device: torch.device

    def __call__(self, image: Tensor, view: View = WHOLE, *, flip: bool = False) -> Floats:
        """(3, H, W) uint8 RGB to the view's depth in metres; `flip` averages with the mirrored image's."""
        height, width = image.shape[-2:]
        top, left, h, w = image_region(height, width, view)
        feed = (
            max(1, round(self.size[0] / self.crop * h / height)),
            max(1, round(self.size[1] / self.crop * w / width)),
        )
        shown = resize_image(image[None, :, top : top + h, left : left + w].to(self.device), feed)
        depth = self._depth(shown, view.size or (h, w))
        if flip:
            depth = (depth + self._depth(shown.flip(-1), view.size or (h, w)).flip(-1)) / 2
        return depth[0, 0].cpu().numpy()

    @torch.inference_mode()
    def _depth(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        depth = self.network(image.contiguous(memory_format=torch.channels_last)).float()
        return F.interpolate(depth, size, mode="bilinear", align_corners=False)


def predictor(recipe: Recipe, weights: Path, device: torch.device) -> Predictor:
    """A recipe's network with its trained weights, which must fit exactly."""
    backbone = recipe.backbone.without_weights().build()
    network = build_network(backbone, recipe.pyramid.build, recipe.fusion.build)
    try:
        network.load_state_dict(load_file(weights))
    except (RuntimeError, OSError) as error:
        raise UserError(f"{weights}: does not hold this recipe's weights: {str(error).splitlines()[0]}") from error
    network.to(device).to(memory_format=torch.channels_last).eval()
    engine: Mapping[str, Any] = recipe.data.engine
    return Predictor(network, tuple(engine["size"]), engine["crop"], device)


def load_run(folder: Path, registry: Registry, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of a run's folder, with `--set` overrides. Raises UserError where the folder is none."""
    if not (folder / "recipe.yaml").exists() or not (folder / "weights.safetensors").exists():
        raise UserError(f"{folder}: is no run; give the folder that `cliffkit run` named, with recipe.yaml in it")
    return load_recipe(folder / "recipe.yaml", registry, overrides)


def predict_files(
    predict: Predictor, images: Sequence[Path], out: Path, *, flip: bool = False
) -> Iterator[dict[str, Any]]:
    """Write each image's depth into `out` in three forms; yields where they lie and their range in metres.

    Every image is opened before the first is predicted. Raises UserError for one that cannot be read, and for two that
    would be written under one name. Several images are in work at a time, the processor's threads shared among them.
    """
    stems: dict[str, Path] = {}
    for path in images:
        if stems.setdefault(path.stem, path) is not path:
            raise UserError(
                f"{stems[path.stem]} and {path} would both be written as {path.stem}.npy; predict them apart"
            )
    for path in images:
        _check_image(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be made: {error.strerror}; name another folder with -o") from error
    threads = torch.get_num_threads()
    streams = min(STREAMS, threads)
    work = partial(_predict_file, predict, out, flip)
    try:
        yield from in_order(work, images, streams, partial(torch.set_num_threads, threads // streams))
    finally:
        torch.set_num_threads(threads)  # for threads to come


def _predict_file(predict: Predictor, out: Path, flip: bool, path: Path) -> dict[str, Any]:
    depth_m = predict(read_image(path), flip=flip)
    files = {name: out / f"{path.stem}.{name}" for name in ("npy", "depth.png", "colour.png")}
    write_atomic(files["npy"], partial(_save_array, depth_m=depth_m))
    write_atomic(files["depth.png"], partial(save_depth_png16, depth_m=depth_m))
    write_atomic(files["colour.png"], partial(depth_colour_png, depth_m=depth_m))
    facts = {"min_m": depth_m.min(), "median_m": np.median(depth_m), "max_m": depth_m.max()}
    return {
        "image": str(path),
        "depth_npy": str(files["npy"]),
        "depth_png": str(files["depth.png"]),
        "colour_png": str(files["colour.png"]),
        **{name: float(value) for name, value in facts.items()},
    }


def _check_image(path: Path) -> None:
    """Raises UserError where a file does not begin as an image does; what comes later is seen when it is read."""
    try:
        with Image.open(path):
            pass
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as an image: {error}") from error


def read_image(path: Path) -> Tensor:
    """An image file as (3, H, W) uint8 RGB. Raises UserError where it is none."""
    try:
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as an image: {error}") from error


def _save_array(path: Path, depth_m: Floats) -> None:
    with path.open("wb") as file:
        np.save(file, depth_m)
