"""Whether a recipe's parts can be built and fit each other, before any work."""

from __future__ import annotations

import torch

from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.method.assemble import assemble
from cliffkit.recipe.recipe import Recipe


def check_buildable(recipe: Recipe, roots: Roots) -> None:
    """Build every part once and show the network an image of each size that it will be asked for.

    Some backbones refuse some sizes, so those of training, of each protocol and of `predict` are tried. Raises
    UserError.
    """
    scene_types = len(open_split(recipe, "train", roots).scene_types)
    try:
        network = assemble(recipe, scene_types).network.eval()
        with torch.inference_mode():
            for height, width in _sizes(recipe):
                network(torch.zeros(1, 3, height, width))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{recipe.name}: {error}") from error


def _sizes(recipe: Recipe) -> list[tuple[int, int]]:
    """Give height and width of what the network is shown, at the scale of training, for each share of an image."""
    (height, width), crop = recipe.data.engine["size"], recipe.data.engine["crop"]
    shares = {crop, 1.0, *(protocol.view.region for protocol in recipe.protocols)}
    return sorted((max(1, round(height / crop * share)), max(1, round(width / crop * share))) for share in shares)
