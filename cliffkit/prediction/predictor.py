"""Depth of whole images or of a view of them, at their own size: the same code for `evaluate` and `predict`.

The network sees every image at the scale of training, and a squeezed view at the size of training. It computes in
float32. Its depth is brought to the wanted size bilinearly. So every caller gets the same depth for the same image, to
rounding: images that are predicted at once are added up in another order than an image alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cliffkit.components.registry import Registry
from cliffkit.data.resize import resize_image
from cliffkit.errors import UserError
from cliffkit.method.assemble import load_network
from cliffkit.method.network import DepthNetwork
from cliffkit.protocols import View
from cliffkit.recipe.check import load_recipe
from cliffkit.recipe.evaluate import check_protocol
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.views import image_region
from cliffkit.store.artifacts import RECIPE, WEIGHTS
from cliffkit.training.gradients import in_parts, is_out_of_memory

Floats = NDArray[np.float32]

WHOLE = View()

MOST_IMAGES, MOST_PIXELS = 16, 2**19
"""Most images that are predicted at once, and most pixels of them at the size of training: more saves no time."""


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
        depth: Floats = self.batch(image[None], view, flip=flip)[0]
        return depth

    @property
    def at_once(self) -> int:
        """Number of images that are predicted at once where there are many."""
        height, width = self.size
        return max(1, min(MOST_IMAGES, MOST_PIXELS // (height * width)))

    @property
    def gathers(self) -> bool:
        """Whether files are predicted several at once: a GPU wants that, a CPU shares its threads among images."""
        return self.device.type != "cpu"

    def batch(self, images: Tensor, view: View = WHOLE, *, flip: bool = False) -> Floats:
        """Predict (B, 3, H, W) uint8 RGB at once, (B, h, w) metres, as a call does one image.

        Where memory ends the batch is divided. Raises UserError where it ends with a single image.
        """
        try:
            return in_parts(lambda part: self._batch(part, view, flip), images)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            height, width = images.shape[-2:]
            raise UserError(
                f"out of memory for one image of {height}x{width} on {self.device}; use --device cpu, or smaller images"
            ) from error

    def _batch(self, images: Tensor, view: View, flip: bool) -> Floats:
        height, width = images.shape[-2:]
        top, left, h, w = image_region(height, width, view)
        feed = self.size if view.squeezed else self._at_scale((h, w), (height, width))
        region = resize_image(images[..., top : top + h, left : left + w].to(self.device), feed)
        depth = self._depth(region, view.size or (h, w))
        if flip:
            depth = (depth + self._depth(region.flip(-1), view.size or (h, w)).flip(-1)) / 2
        maps: Floats = depth[:, 0].cpu().numpy()
        return maps

    @property
    def fed(self) -> tuple[int, int]:
        """Height and width at which the network sees a whole image, whatever the image's own size."""
        return self._at_scale((1, 1), (1, 1))

    def _at_scale(self, region: tuple[int, int], image: tuple[int, int]) -> tuple[int, int]:
        """Size of a region of an image at the scale of training."""
        return (
            max(1, round(self.size[0] / self.crop * region[0] / image[0])),
            max(1, round(self.size[1] / self.crop * region[1] / image[1])),
        )

    @torch.inference_mode()
    def _depth(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        depth = self.network(image.contiguous(memory_format=torch.channels_last)).float()
        return F.interpolate(depth, size, mode="bilinear", align_corners=False)


def predictor(recipe: Recipe, weights: Path, device: torch.device) -> Predictor:
    """Load a recipe's network with its trained weights, which must fit exactly."""
    return prepared(load_network(recipe, weights), recipe, device)


def prepared(network: DepthNetwork, recipe: Recipe, device: torch.device) -> Predictor:
    """Bring a recipe's network to a device to predict there."""
    network.to(device).to(memory_format=torch.channels_last).eval()
    height, width = recipe.data.engine["size"]
    return Predictor(network, (height, width), recipe.data.engine["crop"], device)


def load_run(folder: Path, registry: Registry, protocols: Sequence[str | Mapping[str, Any]] | None = None) -> Recipe:
    """Load the recipe of a run's folder, with its own protocols or others.

    Raises UserError where the folder holds no run, and RecipeError for a protocol that is wrong.
    """
    if not folder.exists():
        raise UserError(f"{folder}: no such folder; give the folder that `cliffkit run` named")
    if not (folder / RECIPE).exists() or not (folder / WEIGHTS).exists():
        raise UserError(f"{folder}: is no run; give the folder that `cliffkit run` named, with recipe.yaml in it")
    for protocol in protocols or ():
        check_protocol(protocol, registry)  # by itself, so that a fault does not name a place in the run's recipe
    others = [] if protocols is None else [f"evaluate={json.dumps(list(protocols))}"]
    return load_recipe(folder / RECIPE, registry, others)
