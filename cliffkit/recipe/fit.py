"""How a recipe's two trained stages are fitted, every default written out."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from cliffkit.recipe.part import Part
from cliffkit.recipe.schema import DepthSettings, EmbeddingSettings, FitSettings

STAGES = ("depth", "embedding")
"""The stages that `train` has settings for."""


@dataclass(frozen=True)
class Fit:
    """One stage's training: numbers, and the parts that decide the rest."""

    settings: FitSettings
    optimizer: Part
    schedule: Part
    augment: tuple[Part, ...]
    """Steps of augmentation, in their order."""

    def parts(self) -> tuple[Part, ...]:
        """Give every component that the stage is trained with."""
        return (self.optimizer, self.schedule, *self.augment)

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """Give the same training with other values of some settings, which are not checked."""
        return replace(self, settings=self.settings.model_copy(update=settings))

    def to_dict(self) -> dict[str, Any]:
        """Write the stage as a recipe does, every default in, JSON-able."""
        return {
            **self.settings.model_dump(mode="json"),
            "optimizer": self.optimizer.to_dict(),
            "schedule": self.schedule.to_dict(),
            "augment": [part.to_dict() for part in self.augment],
        }


@dataclass(frozen=True)
class DepthFit(Fit):
    """Training of the depth network."""

    settings: DepthSettings


@dataclass(frozen=True)
class EmbeddingFit(Fit):
    """Training of the embedding generator."""

    settings: EmbeddingSettings


@dataclass(frozen=True)
class Train:
    """Training of both stages."""

    depth: DepthFit
    embedding: EmbeddingFit | None
    """Needed where the embedding generator is trained."""
    precision: str
    deterministic: bool

    def parts(self) -> tuple[Part, ...]:
        """Give every component of both stages."""
        return (*self.depth.parts(), *(self.embedding.parts() if self.embedding else ()))

    def to_dict(self) -> dict[str, Any]:
        """Write both stages as a recipe does, every default in, JSON-able."""
        return {
            "depth": self.depth.to_dict(),
            **({"embedding": self.embedding.to_dict()} if self.embedding else {}),
            "precision": self.precision,
            "deterministic": self.deterministic,
        }


def weights_file(init: Path) -> Path:
    """Find the file of weights that `init` names: itself, or that of a run's folder."""
    path = Path(os.path.expanduser(init))
    return path / "weights.safetensors" if os.path.isdir(path) else path
