"""A trained run on images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from cliffkit.components.load import Plugins
from cliffkit.prediction.files import predict_files
from cliffkit.prediction.predictor import load_run, predictor
from cliffkit.training.device import open_device


def predict(
    folder: Path, images: Sequence[Path], out: Path, plugins: Plugins, *, flip: bool, device: str
) -> list[dict[str, Any]]:
    """Write the depth of image files into `out`; returns where each lies, and its range in metres."""
    recipe = load_run(folder, plugins.registry)
    opened = open_device(device, "fp32")
    network = predictor(recipe, folder / "weights.safetensors", opened.torch)
    written = predict_files(network, images, out, flip=flip)
    return list(track(written, "predict", total=len(images), console=Console(stderr=True)))
