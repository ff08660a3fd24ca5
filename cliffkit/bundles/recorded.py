"""Recipes as a bundle has them: of parts that need not be installed, since nothing of them is imported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError

from cliffkit.components.identity import Identity
from cliffkit.components.registry import NONE, Component
from cliffkit.errors import UserError
from cliffkit.protocols import Protocol
from cliffkit.recipe.fit import DepthFit, EmbeddingFit, Train
from cliffkit.recipe.options import engine_options
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import Recipe
from cliffkit.recipe.schema import DepthSettings, EmbeddingSettings, FitSettings, Published
from cliffkit.store.artifacts import PartRecord, RunParts

FIT_PARTS = ("optimizer", "schedule", "augment")
"""Keys of a stage's training that name parts; all others are settings."""


@dataclass(frozen=True)
class RecordedComponent(Component):
    """A component as a run wrote it down. It is never imported."""

    code: str = ""
    """The hash of its code; empty where the bundle has none."""
    is_trained: bool = False
    """Of an embedding generator, whether it has weights."""

    def load(self) -> Any:
        """Give what planning asks of an embedding generator's class."""
        return SimpleNamespace(trained=self.is_trained)

    def identity(self) -> Identity:
        """Give the hash of its code, without any source."""
        return Identity(self.code, self.name, {}, {}, {}, ())

    def check_current(self) -> None:
        """Do nothing: no file is at hand that could have changed."""


@dataclass(frozen=True)
class RecordedRecipe(Recipe):
    """A recipe as it was written down."""

    written: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Give the recipe as its file has it."""
        return dict(self.written)


class Recorder:
    """Makes recipes of what files of a bundle say. `parts` are those of a run, None where no cell was trained."""

    def __init__(self, place: str, parts: RunParts | None, has_weights: bool) -> None:
        self._place, self._has_weights = place, has_weights
        self._records: dict[tuple[str, str], PartRecord] = {}
        if parts is not None:
            self._records = {(record.kind, record.name): record for record in parts.parts}

    def recipe(self, written: Any, protocols: Sequence[Protocol]) -> RecordedRecipe:
        """Make a recipe. Raises UserError where the file does not say what a recipe with every default says."""
        try:
            return self._recipe(written, tuple(protocols))
        except (KeyError, TypeError, AttributeError, ValueError, ValidationError) as error:
            raise UserError(
                f"{self._place}: is no recipe with every default written out ({type(error).__name__}: {error}); the "
                "bundle was changed, or is of another version of cliffkit"
            ) from error

    def _recipe(self, written: Any, protocols: tuple[Protocol, ...]) -> RecordedRecipe:
        train, embedding = written["train"], written["embedding"]
        model = {kind: self._part(kind, part) for kind, part in written["model"].items()}
        depth = DepthFit(*self._fit(train["depth"], DepthSettings))
        generator = EmbeddingFit(*self._fit(train["embedding"], EmbeddingSettings)) if "embedding" in train else None
        return RecordedRecipe(
            name=written["name"],
            seed=written["seed"],
            data=self._part("dataset", written["data"]),
            model=model,
            embedding=None if embedding["use"] == NONE else self._part("embedding", embedding),
            losses=tuple(self._part("loss", loss) for loss in written["loss"]),
            train=Train(depth, generator, train["precision"], train["deterministic"]),
            protocols=protocols,
            evaluate=(),
            published=tuple(Published.model_validate(number) for number in written.get("published", ())),
            written=written,
        )

    def _fit(self, written: Mapping[str, Any], settings: type[FitSettings]) -> tuple[Any, Part, Part, tuple[Part, ...]]:
        numbers = {name: value for name, value in written.items() if name not in FIT_PARTS}
        return (
            settings.model_validate_json(json.dumps(numbers)),
            self._part("optimizer", written["optimizer"]),
            self._part("schedule", written["schedule"]),
            tuple(self._part("augment", step) for step in written["augment"]),
        )

    def _part(self, kind: str, written: Mapping[str, Any]) -> Part:
        name = written["use"]
        record = self._records.get((kind, name))
        about = ("", "", "", "")
        if record is not None:
            about = record.plugin, record.version, record.distribution, record.code
        component = RecordedComponent(kind, name, "", "", *about, is_trained=self._has_weights)
        section = engine_options(kind)
        ours = set(section.model_fields) if section is not None else set()
        options = {key: value for key, value in written.items() if key != "use"}
        return Part(
            component,
            {key: value for key, value in options.items() if key not in ours},
            {key: value for key, value in options.items() if key in ours},
            self._place,
        )
