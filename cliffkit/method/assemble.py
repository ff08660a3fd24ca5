"""A recipe to modules: the one place where its parts become a network, losses and an embedding loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from cliffkit.errors import UserError
from cliffkit.interfaces import Embedding, Loss
from cliffkit.method.differences import divisors
from cliffkit.method.drawn import drawn
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.method.network import DepthNetwork, WholeNetwork, build_network
from cliffkit.recipe.part import Part, is_trained
from cliffkit.recipe.recipe import MODEL, NETWORK, Recipe
from cliffkit.store.artifacts import WEIGHTS, LevelDifferences


@dataclass(frozen=True)
class Modules:
    """The network that a recipe trains, and the losses that it is trained with."""

    network: DepthNetwork
    losses: Sequence[tuple[str, float, Loss]]
    """Losses in depth space with name and weight."""
    hierarchical: HierarchicalEmbeddingLoss | None
    """None: no level of an embedding has a weight."""


def assemble(recipe: Recipe, scene_types: int, prepared: Path | None = None) -> Modules:
    """Build everything that stage depth needs, random weights drawn for each part alone.

    `scene_types` is the number of scene types that the data names. `prepared` is the folder that stage `embedding`
    left. Without it a generator has random weights, and its levels are not divided.
    """
    starts_bare = recipe.train.depth.settings.init is not None  # all weights are loaded, so none need be fetched
    network = build(_bare(recipe) if starts_bare else recipe)
    return Modules(network, build_losses(recipe), hierarchical_loss(recipe, scene_types, prepared))


def load_network(recipe: Recipe, weights: Path) -> DepthNetwork:
    """Build a recipe's network with its trained weights. Raises UserError where the file does not fit exactly."""
    network = build(_bare(recipe))
    try:
        network.load_state_dict(load_file(weights))
    except (RuntimeError, OSError) as error:
        raise UserError(f"{weights}: does not hold this recipe's weights: {str(error).splitlines()[0]}") from error
    return network


def _bare(recipe: Recipe) -> Recipe:
    """Copy a recipe so that its backbone or network loads no weights of its own."""
    bare = {kind: part.without_weights() for kind, part in recipe.model.items() if kind in ("backbone", NETWORK)}
    return replace(recipe, model={**recipe.model, **bare})


def build(recipe: Recipe) -> DepthNetwork:
    """Build a recipe's network. The random weights of a part follow from the recipe's seed and the part's kind.

    Fusions are told apart by their level, from fine to coarse.
    """

    def factory(kind: str) -> Callable[..., Any]:
        numbers, part = count(), recipe.model[kind]
        return lambda *wired: drawn(recipe.seed, f"{kind} {next(numbers)}", partial(part.build, *wired))

    if NETWORK in recipe.model:
        return WholeNetwork(factory(NETWORK)(), givers(recipe))
    backbone, pyramid, fusion, head = map(factory, MODEL)
    return build_network(backbone(), pyramid, fusion, head, givers(recipe))


def givers(recipe: Recipe) -> dict[str, str]:
    """Say in words which component of which plugin each part of the network is, by kind."""
    parts = {kind: part.component for kind, part in recipe.model.items()}
    return {kind: f"{kind} '{part.name}' of plugin '{part.plugin}'" for kind, part in parts.items()}


def build_losses(recipe: Recipe) -> list[tuple[str, float, Loss]]:
    """Build a recipe's losses in depth space, with name and weight; a name that stands twice is numbered.

    Random weights of a loss follow from the recipe's seed and that name.
    """
    names = [part.component.name for part in recipe.losses]
    names = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names)]
    return [
        (name, part.engine["weight"], drawn(recipe.seed, f"loss {name}", part.build))
        for name, part in zip(names, recipe.losses, strict=True)
    ]


def hierarchical_loss(
    recipe: Recipe, scene_types: int, prepared: Path | None = None
) -> HierarchicalEmbeddingLoss | None:
    """Build a recipe's hierarchical embedding loss; None where it has none, or no level has a weight.

    `prepared` is the folder that stage `embedding` left. Raises UserError where a level has no unit scale, and
    where there is not one weight for each level.
    """
    if recipe.embedding is None:
        return None
    weights, engine = prepared / WEIGHTS if prepared else None, recipe.embedding.engine
    embedding = build_embedding(recipe.embedding, scene_types, recipe.generator_seed, weights)
    if not any(engine["weights"]):
        return None
    scaled = prepared if engine["scale"] == "unit" else None
    units = divisors(recipe.embedding, LevelDifferences.read(scaled)) if scaled else ()
    try:
        return HierarchicalEmbeddingLoss(embedding, engine["weights"], engine["norm"], engine["warmup_steps"], units)
    except ValueError as error:
        raise UserError(f"{recipe.embedding.place}: {error}") from error


def build_embedding(part: Part, scene_types: int, seed: int, weights: Path | None = None) -> Embedding:
    """Build an embedding generator, with the weights of a file where one is given, else random ones of the seed.

    Raises UserError for a generator that is to be trained and has no `objective`.
    """
    embedding = drawn(seed, "embedding", partial(part.build, scene_types))
    assert isinstance(embedding, Embedding)
    if is_trained(part) and type(embedding).objective is Embedding.objective:
        raise UserError(
            f"{part.place}: '{part.component.name}' of plugin '{part.component.plugin}' is trained and has no method "
            "`objective(batch)`; add one, or say `trained = False` on the class"
        )
    if weights is not None:
        embedding.load_state_dict(load_file(weights))
    return embedding
