"""The keys of a recipe that the engine reads itself, by section: where does a misplaced one belong?"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cliffkit.recipe.fit import STAGES
from cliffkit.recipe.recipe import MODEL, NETWORK
from cliffkit.recipe.schema import (
    DataOptions,
    DepthSettings,
    EmbeddingOptions,
    EmbeddingSettings,
    LossOptions,
    ProtocolOptions,
    TrainSettings,
)

TOP = ("name", "seed", "data", "model", "embedding", "loss", "train", "evaluate", "published")

FIT_PARTS = ("optimizer", "schedule", "augment")
"""The parts that a stage is trained with."""

SECTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "the recipe itself": TOP,
        "`data`": tuple(DataOptions.model_fields),
        "`model`": (*MODEL, NETWORK),
        "`embedding`": tuple(EmbeddingOptions.model_fields),
        "a term of `loss`": tuple(LossOptions.model_fields),
        "`train`": (*STAGES, *TrainSettings.model_fields),
        "`train.depth`": (*DepthSettings.model_fields, *FIT_PARTS),
        "`train.embedding`": (*EmbeddingSettings.model_fields, *FIT_PARTS),
        "a protocol under `evaluate`": tuple(ProtocolOptions.model_fields),
    }
)


def belongs(key: object) -> str:
    """Say in which sections a key stands, as "`speed` is a key of `train.depth`; "; empty where it stands in none."""
    places = [place for place, keys in SECTIONS.items() if key in keys]
    return f"`{key}` is a key of {' and of '.join(places)}; " if places else ""
