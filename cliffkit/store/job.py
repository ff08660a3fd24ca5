"""A job: one stage with everything its result depends on, named by its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cliffkit.recipe.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """One stage with what it depends on."""

    stage: str
    key: str
    inputs: Mapping[str, Any]
    """What the key is the hash of."""
    needs: Mapping[str, Job]
    """The jobs whose results it reads, by stage."""
    recipe: Recipe
