"""A job: one stage with everything its result depends on, named by its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cliffkit.components.registry import Component
from cliffkit.recipe.recipe import Recipe


@dataclass(frozen=True)
class PartCode:
    """A part that a job computes with, and the code that its key names."""

    component: Component
    code: str
    others: tuple[str, ...]
    """Packages of other distributions that it imports."""


@dataclass(frozen=True)
class Job:
    """One stage with what it depends on."""

    stage: str
    key: str
    inputs: Mapping[str, Any]
    """Everything that the key is a hash of."""
    needs: Mapping[str, Job]
    """The jobs whose results it reads, by stage."""
    recipe: Recipe
    parts: tuple[PartCode, ...] = ()
    """Parts that the stage computes with. The job is done with this code or not at all."""
    files: Mapping[Path, str] = field(default_factory=dict)
    """Files that options of these parts name, each with its hash. The job is done with these contents or not at all."""

    @property
    def name(self) -> str:
        """STAGE-KEY, the name of its folder."""
        return f"{self.stage}-{self.key}"
