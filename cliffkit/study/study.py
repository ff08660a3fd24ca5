"""A checked study: variants of a base recipe, seeds, and what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cliffkit.recipe.recipe import Recipe

COMPONENT, FULL = "component", "full"
"""The one axis of a study that leaves one component out at a time, and its level where none is."""


Levels = tuple[str, ...]


@dataclass(frozen=True)
class Variant:
    """One point of a study."""

    name: str
    levels: Levels
    """One per axis, in the study's order."""
    recipe: Recipe


@dataclass(frozen=True)
class Study:
    """A checked study: every variant a whole recipe."""

    name: str
    design: str
    file: str
    """Its path, or what errors call a study that is no file."""
    base: Recipe
    seeds: tuple[int, ...]
    axes: Mapping[str, Levels]
    variants: tuple[Variant, ...]
    metric: str
    protocol: str
    """Name of the protocol under which variants are compared first."""
    reference: Variant
    full: Levels
    """The levels of the base recipe itself."""
    notes: tuple[str, ...]
    """What a reader should know of how it was expanded."""
    text: str
    """The study file as it was read; YAML that says the same where the study is no file."""
    overrides: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Describe a study in plain JSON types."""
        return {
            "name": self.name,
            "design": self.design,
            "seeds": list(self.seeds),
            "axes": {axis: list(levels) for axis, levels in self.axes.items()},
            "variants": [variant.name for variant in self.variants],
            "compare": {"metric": self.metric, "protocol": self.protocol, "reference": self.reference.name},
            "base": self.base.to_dict(),
            "overrides": list(self.overrides),
        }
