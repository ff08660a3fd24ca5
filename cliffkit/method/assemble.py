"""A recipe to modules: the one place where its parts become a network, losses and an embedding loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from cliffkit.interfaces import Embedding, Loss
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.method.network import DepthNetwork, build_network
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import MODEL, Recipe


def build(recipe: Recipe) -> DepthNetwork:
    """A recipe's network, its weights drawn from torch's generator as it stands."""
    return build_network(
        recipe.backbone.build(), recipe.pyramid.build, recipe.fusion.build, recipe.head.build, givers(recipe)
    )


def givers(recipe: Recipe) -> dict[str, str]:
    """Which component of which plugin each part of the network is, in words, by kind."""
    parts = {kind: getattr(recipe, kind).component for kind in MODEL}
    return {kind: f"{kind} '{part.name}' of plugin '{part.plugin}'" for kind, part in parts.items()}


def build_losses(recipe: Recipe) -> list[tuple[str, float, Loss]]:
    """A recipe's losses in depth space with name and weight; a name that stands twice is numbered."""
    names = [part.component.name for part in recipe.losses]
    return [
        (name if names.count(name) == 1 else f"{name}_{i}", part.engine["weight"], part.build())
        for i, (name, part) in enumerate(zip(names, recipe.losses, strict=True))
    ]


def hierarchical_loss(recipe: Recipe, scene_types: int, weights: Any = None) -> HierarchicalEmbeddingLoss | None:
    """A recipe's hierarchical embedding loss; None where it has none, or no level has a weight."""
    if recipe.embedding is None:
        return None
    embedding, engine = build_embedding(recipe.embedding, scene_types, weights), recipe.embedding.engine
    if not any(engine["weights"]):
        return None
    return HierarchicalEmbeddingLoss(embedding, engine["weights"], engine["norm"], engine["warmup_steps"])


def build_embedding(part: Part, scene_types: int, weights: Path | None = None) -> Embedding:
    """Build an embedding generator, with trained weights where their file is given."""
    embedding = part.build(scene_types)
    assert isinstance(embedding, Embedding)
    if weights is not None:
        embedding.load_state_dict(load_file(weights))
    return embedding
