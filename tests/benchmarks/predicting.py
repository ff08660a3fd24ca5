"""Predicting files: reading, resizing, the network, colouring and writing, against the network alone in memory."""

from __future__ import annotations

import itertools
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from harness import Row, paired, progress, row
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cliffkit.components.load import load_plugins
from cliffkit.data.resize import resize_image
from cliffkit.prediction.files import predict_files, read_image
from cliffkit.prediction.predictor import Predictor
from cliffkit.recipe.check import load_recipe
from cliffkit.recipe.recipe import Recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "nyu" / "cliff_resnet50_hegR.yaml"
HEIGHT, WIDTH = 480, 640
NARROW = 64
"""Channels of the smaller network: those of the recipes for the built-in data."""


def rows() -> list[Row]:
    """The authors' network on ResNet-18, and the same with a quarter of the channels, for which files weigh more."""
    with tempfile.TemporaryDirectory() as folder:
        files = _photos(Path(folder), 20)
        return [
            _row(files, Path(folder) / "wide", 256, images=6, pairs=3, target="<= 1.1"),
            _row(files, Path(folder) / "narrow", NARROW, images=20, pairs=9, target="<= 1.1"),
        ]


def _row(files: list[Path], out: Path, channels: int, images: int, pairs: int, target: str) -> Row:
    progress(f"predicting: {images} images, {channels} channels")
    predict = _predictor(channels)
    chosen = files[:images]
    feed = round(predict.size[0] / predict.crop), round(predict.size[1] / predict.crop)
    seen = [resize_image(read_image(path)[None], feed).contiguous(memory_format=torch.channels_last) for path in chosen]

    folders = (out / str(number) for number in itertools.count())  # a new one each time: removing takes time as well

    def ours() -> None:
        for _ in predict_files(predict, chosen, next(folders)):
            pass

    measured = paired(ours, partial(_bare, predict, seen), pairs)
    what = f"`predict`, {images} JPEG {HEIGHT}x{WIDTH}, ResNet-18 cliff of {channels} channels at {feed[0]}x{feed[1]}"
    return row(
        what, "the network on tensors in memory", measured, target, f"{torch.get_num_threads()} threads", unit="s"
    )


@torch.inference_mode()
def _bare(predict: Predictor, images: list[Tensor]) -> None:
    for image in images:
        predict.network(image)


def _predictor(channels: int) -> Predictor:
    from cliffkit.method.network import build_network

    changes = ["model.backbone.name=resnet18", "model.backbone.pretrained=false", f"model.pyramid.channels={channels}"]
    recipe: Recipe = load_recipe(RECIPE, load_plugins().registry, changes)
    torch.manual_seed(0)
    backbone, *others = (part.build for part in recipe.model.values())
    network = build_network(backbone(), *others)
    torch.nn.init.constant_(network.head.metres.bias, 3)
    network.to(memory_format=torch.channels_last).eval()
    engine = recipe.data.engine
    return Predictor(network, tuple(engine["size"]), engine["crop"], torch.device("cpu"))


def _photos(folder: Path, count: int) -> list[Path]:
    """Pictures with structure at every scale, so that they compress as photographs do."""
    random = torch.Generator().manual_seed(0)
    found = []
    for k in range(count):
        picture = torch.zeros(1, 3, HEIGHT, WIDTH)
        for size in (4, 15, 60, 240):
            coarse = torch.randn(1, 3, size, size * 4 // 3, generator=random)
            picture += F.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear") * (40 / size**0.4)
        pixels = (picture[0] + 128).clamp(0, 255).byte().permute(1, 2, 0).numpy()
        found.append(folder / f"{k:03d}.jpg")
        Image.fromarray(np.ascontiguousarray(pixels)).save(found[-1], quality=90)
    return found
