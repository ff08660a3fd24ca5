"""A checked recipe: components with their options, every default written out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cliffkit.components.registry import NONE
from cliffkit.protocols import Protocol
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.fit import Train
from cliffkit.recipe.part import Part
from cliffkit.recipe.schema import Published
from cliffkit.scoring.protocols import is_short

PLACED = ("data.size", "train.depth.batch", "train.embedding.batch")
"""Paths of the values on which memory depends most."""

MODEL = ("backbone", "pyramid", "fusion", "head")
"""Kinds of the parts that a network is made of."""

NETWORK = "network"
"""Kind of the part that stands in place of all of them."""


@dataclass(frozen=True)
class Recipe:
    """A checked recipe: every default in, every component known."""

    name: str
    seed: int
    data: Part
    model: Mapping[str, Part]
    """The network's parts by kind, in the order of `MODEL`; or a `network` alone."""
    embedding: Part | None
    """None: the loss has no hierarchical term."""
    losses: tuple[Part, ...]
    train: Train
    protocols: tuple[Protocol, ...]
    evaluate: tuple[Part, ...]
    """The part that each protocol was built from."""
    published: tuple[Published, ...] = ()
    """What others report for this network; no result depends on it."""
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where the values in `PLACED` are written, by path: `file:line` for errors."""
    metrics: tuple[Part, ...] = ()
    """The metrics beside the nine that protocols ask for."""

    @property
    def generator_seed(self) -> int:
        """Seed of the embedding generator: of its weights, and of its training where it is trained."""
        seed = self.train.embedding.settings.seed if self.train.embedding else 0
        return self.seed if seed == "replicate" else seed

    def parts(self) -> Iterable[Part]:
        """Every component it names."""
        embedding = [self.embedding] if self.embedding else []
        return (
            self.data,
            *self.model.values(),
            *embedding,
            *self.losses,
            *self.train.parts(),
            *self.evaluate,
            *self.metrics,
        )

    def to_dict(self) -> dict[str, Any]:
        """As YAML would say it, every default written out."""
        published = [number.model_dump(mode="json") for number in self.published]
        return {
            "name": self.name,
            "seed": self.seed,
            "data": self.data.to_dict(),
            "model": {kind: part.to_dict() for kind, part in self.model.items()},
            "embedding": self.embedding.to_dict() if self.embedding else {"use": NONE},
            "loss": [loss.to_dict() for loss in self.losses],
            "train": self.train.to_dict(),
            "evaluate": list(map(_protocol_as_written, self.evaluate, self.protocols)),
            **({"published": published} if published else {}),
        }

    def to_yaml(self) -> str:
        """`to_dict` as YAML that `load_recipe` reads back to an equal recipe."""
        return yamlstrict.dump(self.to_dict())


def _protocol_as_written(part: Part, protocol: Protocol) -> str | dict[str, Any]:
    """Write a protocol by its short name where that says all, else as a mapping with every option."""
    if part.engine["name"] is None and is_short(protocol.name, part.component.name):
        return protocol.name
    return {name: value for name, value in part.to_dict().items() if value is not None}
