"""A trained network's whole prediction as one graph in a file, held against `predict` before the file is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cliffkit.errors import UserError, cause
from cliffkit.interfaces import Head, Network
from cliffkit.prediction.formats import Axes, Floats, Format
from cliffkit.prediction.graph import LEVELS, PredictionGraph
from cliffkit.prediction.predictor import Predictor

TOLERANCE = 1e-3
"""Largest difference from `predict`, as a share of the depth, and of 1 m for depths below 1 m."""

FREE: Sequence[Axes] = (
    {0: "batch", 2: "height", 3: "width"},
    {2: "height", 3: "width"},
    {},
)
"""Axes of the image that an export leaves free: the first that all parts of the network allow."""

IMAGE_TYPES = ("uint8", "float32")
"""Types of the image: 0 to 255, or 0 to 1."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from `predict`."""

    difference_m: float
    difference: float
    """As a share of the depth, and of 1 m for depths below 1 m."""
    shapes: tuple[tuple[int, ...], ...]
    """Of the images that were compared, (B, 3, H, W)."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how it came to be."""

    axes: Axes
    """Axes of the image that are free."""
    size: Size | None
    """Height and width of its images; None where any will do."""
    reason: str
    """Why not all axes are free; empty where they are."""
    parity: Parity


def write_export(
    predict: Predictor, form: Format, path: Path, image_type: str = "uint8", size: Size | None = None
) -> Exported:
    """Write a prediction graph into a file and compare it with `predict`; as many axes are free as its parts allow.

    With `size` images have that height and width, and come one at a time. Raises UserError that names the part which
    cannot be exported, and for a file whose depth differs by more than TOLERANCE; the file must then not be used.
    """
    graph = PredictionGraph(predict).eval()
    for tensor in (*graph.parameters(), *graph.buffers()):
        tensor.data = tensor.data.clone()  # loaded weights are views of one file
    reason = "" if size is None else "as asked for"
    failures: list[Exception] = []
    for axes in FREE if size is None else FREE[-1:]:
        fixed = size or (None if axes else predict.fed)
        try:
            form.write(graph, (_image(_example(predict, axes, fixed), image_type),), axes, path)
            return Exported(axes, fixed, reason, compare(predict, form, path, image_type, axes, fixed))
        except OSError:
            raise  # the file cannot be written
        except Exception as error:  # exporters and runtimes raise whatever they meet
            failures.append(error)
            reason = reason or short(error)
    raise UserError(_refusal(predict, form, path, failures[-1])) from failures[-1]


def compare(predict: Predictor, form: Format, path: Path, image_type: str, axes: Axes, size: Size | None) -> Parity:
    """Run a file on images of noise and ramps, of several sizes where it takes them; compare with `predict`.

    Raises UserError for a difference above TOLERANCE, and for a depth that is not finite.
    """
    run = form.load(path)
    largest_m, largest, shapes = 0.0, 0.0, []
    for levels in _images(predict, axes, size):
        expected, depth = predict.batch(levels), run(_image(levels, image_type))
        difference_m = _difference(depth, expected)
        share = difference_m / np.maximum(np.abs(expected), 1)
        shapes.append(tuple(levels.shape))
        if not (share <= TOLERANCE).all():  # also where it is NaN
            raise UserError(
                f"its depth of an image of {levels.shape[-2]}x{levels.shape[-1]} differs from that of `predict` by "
                f"{np.max(difference_m):.3g} m, {np.max(share):.3g} of the depth; at most {TOLERANCE} is let pass"
            )
        largest_m, largest = max(largest_m, float(difference_m.max())), max(largest, float(share.max()))
    return Parity(largest_m, largest, tuple(shapes))


def _difference(depth: Floats, expected: Floats) -> Floats:
    if depth.shape != expected.shape:
        raise UserError(f"its depth has shape {depth.shape}, that of `predict` {expected.shape}")
    difference: Floats = np.abs(depth - expected)
    return difference


def _image(levels: Tensor, image_type: str) -> Tensor:
    return levels if image_type == "uint8" else levels.float() / LEVELS


def _example(predict: Predictor, axes: Axes, size: Size | None) -> Tensor:
    """Make an image to trace with: no length is 1, or that of another axis, which a program would take for fixed."""
    height, width = size or (predict.fed[0] + 10, predict.fed[1] + 21)
    return _pattern(2 if 0 in axes else 1, height, width)


def _images(predict: Predictor, axes: Axes, size: Size | None) -> Iterator[Tensor]:
    """Make images to compare: of the scale of training, larger, smaller, of odd sizes, several at once."""
    if size is not None:
        yield _pattern(1, *size)
        yield _pattern(1, *size, seed=1)
        return
    height, width = predict.fed
    yield _pattern(1, height, width)
    yield _pattern(3 if 0 in axes else 1, 2 * height, 2 * width)
    yield _pattern(1, 3 * height + 1, width + 7)
    yield _pattern(1, max(1, height // 2), max(1, 2 * width // 3))
    yield _pattern(1, 5, 2)


def _pattern(images: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Make images (B, 3, H, W) uint8: ramps of each colour, under noise."""
    random = torch.Generator().manual_seed(seed)
    down, right = torch.linspace(0, 160, height)[:, None], torch.linspace(0, 160, width)
    ramps = torch.stack([down + 0 * right, 0 * down + right, (down + right) / 2])
    noise = torch.rand(images, 3, height, width, generator=random) * 95
    return (ramps + noise).to(torch.uint8)


def _refusal(predict: Predictor, form: Format, path: Path, error: Exception) -> str:
    """Say why there is no export, naming the part of the network that cannot be exported alone."""
    part = _culprit(predict, form, path)
    if part is None:
        return f"the network cannot be exported: {short(error)}; try another format of --to, or another part"
    name, why = part
    return f"{name} cannot be exported: {short(why)}; mend it, try another format of --to, or use another part"


def _culprit(predict: Predictor, form: Format, path: Path) -> tuple[str, Exception] | None:
    """Find the first part of a network that cannot be exported alone, with the reason; None where all can be."""
    network = predict.network
    parts = network.parts()
    inputs: dict[nn.Module, tuple[Any, ...]] = {}
    hooks = [part.register_forward_pre_hook(lambda module, given: inputs.update({module: given})) for _, part in parts]
    try:
        with torch.no_grad():
            network(_pattern(1, *predict.fed))
    finally:
        for hook in hooks:
            hook.remove()
    for kind, part in parts:
        try:
            form.write(_Depth(part) if isinstance(part, Head | Network) else part, inputs[part], {}, path)
        except Exception as error:
            return network.giver(kind), error
    return None


class _Depth(nn.Module):
    """A head or network without its extras, which no graph has room for."""

    def __init__(self, part: Head | Network) -> None:
        super().__init__()
        self.part = part

    def forward(self, features: Any) -> Tensor:
        depth: Tensor = self.part(features).depth
        return depth


def short(error: BaseException) -> str:
    """Put what an exporter raised into one line: the first line of its innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else cause(error)
