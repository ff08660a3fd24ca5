"""What a run's folder says of the code that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cliffkit.store.artifacts.facts import Fact


@dataclass(frozen=True)
class PartRecord:
    """A part of a run, as it was when the run was made."""

    kind: str
    name: str
    options: Mapping[str, Any]
    """As the recipe writes them, every default in."""
    plugin: str
    distribution: str
    version: str
    """Of the distribution."""
    code: str
    """The hash that stands in keys."""
    modules: Mapping[str, str]
    """The hash of each module that counts, without what the module imports."""
    kept: Mapping[str, str]
    """Where in the run's folder the text of each module is kept; empty for built-in parts."""

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' of {self.distribution} {self.version}"


@dataclass(frozen=True)
class RunParts(Fact):
    """Every part of a run."""

    FILE: ClassVar[str] = "parts.json"

    engine: str
    """Version of cliffkit."""
    stages: Mapping[str, int]
    """Versions of the engine's stages."""
    parts: tuple[PartRecord, ...]
