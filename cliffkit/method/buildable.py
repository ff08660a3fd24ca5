"""Whether a recipe's parts can be built and fit each other, before any work."""

from __future__ import annotations

import torch
from torch import nn

from cliffkit.components.isolate import isolated
from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.method.assemble import assemble, build_embedding
from cliffkit.recipe.fit import Fit
from cliffkit.recipe.part import is_trained
from cliffkit.recipe.recipe import Recipe
from cliffkit.training.optimise import build_optimizer
from cliffkit.training.parameters import check_patterns
from cliffkit.training.start import load_start


def check_buildable(recipe: Recipe, roots: Roots) -> None:
    """Build every part once and show the network an image of each size that it will be asked for.

    Some backbones refuse some sizes, so those of training, of each protocol and of `predict` are tried. Raises
    UserError for what the user can mend, which a part says by a ValueError, and PartError for whatever else a part
    raises.
    """
    with isolated("cannot be built", [part.component for part in recipe.parts()]):
        try:
            _build(recipe, roots)
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{recipe.name}: {error}") from error


def _build(recipe: Recipe, roots: Roots) -> None:
    scene_types = len(open_split(recipe, "train", roots).scene_types)
    embedding, train = recipe.embedding, recipe.train

    network = assemble(recipe, scene_types).network.eval()
    with torch.inference_mode():
        for height, width in _sizes(recipe):
            network(torch.zeros(1, 3, height, width))

    _check_training(network, train.depth, "depth")
    if embedding is not None and train.embedding is not None and is_trained(embedding):
        _check_training(build_embedding(embedding, scene_types), train.embedding, "embedding")


def _check_training(module: nn.Module, training: Fit, stage: str) -> None:
    """Build the parts that a module is trained with, and load the weights that it starts from."""
    settings = training.settings
    load_start(module, training, stage)
    check_patterns(module, settings.groups, settings.freeze, stage)
    build_optimizer(module, module, training)
    training.schedule.build(settings.steps)
    for step in training.augment:
        step.build()


def _sizes(recipe: Recipe) -> list[tuple[int, int]]:
    """Give height and width of what the network is shown, at the scale of training, for each share of an image."""
    (height, width), crop = recipe.data.engine["size"], recipe.data.engine["crop"]
    shares = {crop, 1.0, *(protocol.view.region for protocol in recipe.protocols)}
    return sorted((max(1, round(height / crop * share)), max(1, round(width / crop * share))) for share in shares)
