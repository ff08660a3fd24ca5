"""Recipes to jobs: one stage each, named by the hash of everything its result depends on and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset
from cliffkit.protocols import Protocol
from cliffkit.recipe import Part, Recipe, is_trained

STAGE_VERSIONS = {"pack": 1, "embedding": 1, "depth": 1, "evaluate": 1}
"""Raised when a stage's code comes to give another result for the same inputs."""

Roots = Mapping[str, Path]
T = TypeVar("T")


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

    def to_dict(self) -> dict[str, Any]:
        """The job's identity, JSON-able."""
        return {"stage": self.stage, "key": self.key, "inputs": self.inputs}


def plan(recipe: Recipe, roots: Roots) -> list[Job]:
    """The jobs of a recipe in the order of their needs, the last one `evaluate`.

    Opens every split of the data set for its fingerprint. Raises UserError where the data cannot be used.
    """
    return Planner(roots).plan(recipe)


class Planner:
    """Plans recipes that have much in common, as a study's cells: opens, reads and writes out once what they share."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._prints: dict[str, dict[str, str]] = {}
        """Fingerprints of data sets by split, by what recipes say of them."""
        self._files: dict[Path, str] = {}
        """Hashes of the files that options name."""
        self._written: dict[tuple[Callable[[Any], object], int], tuple[Any, object]] = {}

    def plan(self, recipe: Recipe) -> list[Job]:
        """As `plan`."""
        once, train = self._once, recipe.train
        data = once(self._part, recipe.data)
        prints = self._fingerprints(recipe, data)
        common = {"precision": train.precision, "deterministic": train.deterministic}
        pack = _job(recipe, "pack", {}, {"data": data, "train": prints["train"], "val": prints["val"]})
        needs = {"pack": pack}
        jobs = [pack]
        if is_trained(recipe.embedding):
            assert train.embedding is not None
            fitting = once(_section, train.embedding)
            generator = {"embedding": once(self._without_engine, recipe.embedding), "train": fitting, **common}
            needs = {**needs, "embedding": _job(recipe, "embedding", needs, generator)}
            jobs.append(needs["embedding"])
        inputs: dict[str, Any] = {
            "seed": recipe.seed,
            "model": {kind: once(self._part, getattr(recipe, kind)) for kind in ("backbone", "pyramid", "fusion")},
            "embedding": once(self._part, recipe.embedding),
            "loss": [once(self._part, loss) for loss in recipe.losses],
            "train": once(_section, train.depth),
            **common,
        }
        depth = _job(recipe, "depth", needs, inputs)
        scoring = {"test": prints["test"], "protocols": [once(_protocol, protocol) for protocol in recipe.protocols]}
        evaluate = _job(recipe, "evaluate", {"pack": pack, "depth": depth}, scoring)
        return [*jobs, depth, evaluate]

    def _once(self, write: Callable[[T], dict[str, Any]], what: T) -> dict[str, Any]:
        """`write(what)`, once for each object; it is held, so that its id stays its own."""
        key = write, id(what)
        if key not in self._written:
            self._written[key] = write(what), what
        return self._written[key][0]

    def _fingerprints(self, recipe: Recipe, data: Mapping[str, Any]) -> dict[str, str]:
        said = json.dumps(data, sort_keys=True)
        if said not in self._prints:
            splits = {split: open_split(recipe, split, self._roots) for split in ("train", "val", "test")}
            self._prints[said] = {split: dataset.fingerprint() for split, dataset in splits.items()}
        return self._prints[said]

    def _part(self, part: Part) -> dict[str, Any]:
        plugin = f"{part.component.plugin} ({part.component.version})"
        files = {name: self._content(value, part) for name, value in part.options.items() if isinstance(value, Path)}
        return {"plugin": plugin, **part.to_dict(), **files}

    def _without_engine(self, part: Part) -> dict[str, Any]:
        return {name: value for name, value in self._part(part).items() if name not in part.engine}

    def _content(self, path: Path, part: Part) -> str:
        """The hash of a file that an option names: a result depends on what it says, not on where it lies."""
        if path not in self._files:
            try:
                with path.expanduser().open("rb") as file:
                    self._files[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError(
                    f"{part.place}: {path} cannot be read: {error.strerror}; give the path of a file"
                ) from error
        return self._files[path]


def open_split(recipe: Recipe, split: str, roots: Roots) -> Dataset:
    """One split of a recipe's data set. Raises UserError where it is missing, wrong or empty."""
    dataset = recipe.data.build(split, data_root(recipe.data.component.name, roots))
    assert isinstance(dataset, Dataset)
    if len(dataset) == 0:
        raise UserError(f"{recipe.data.place}: the {split} split is empty; every split needs an image")
    return dataset


def data_root(name: str, roots: Roots) -> Path | None:
    """Where a data set lies: `--data NAME=PATH`, else the variable CLIFFKIT_DATA_NAME, else unsaid."""
    if name in roots:
        return roots[name]
    variable = os.environ.get(f"CLIFFKIT_DATA_{name.upper().replace('-', '_')}")
    return Path(variable) if variable else None


def _job(recipe: Recipe, stage: str, needs: Mapping[str, Job], inputs: Mapping[str, Any]) -> Job:
    inputs = {
        "stage": stage,
        "version": STAGE_VERSIONS[stage],
        "needs": {name: job.key for name, job in needs.items()},
        **inputs,
    }
    text = json.dumps(inputs, sort_keys=True, allow_nan=False)
    return Job(stage, hashlib.sha256(text.encode()).hexdigest()[:20], inputs, needs, recipe)


def _section(section: BaseModel) -> dict[str, Any]:
    return section.model_dump(mode="json")


def _protocol(protocol: Protocol) -> dict[str, Any]:
    """What of a protocol a score depends on: all but whom it is credited to."""
    plain: dict[str, Any] = to_jsonable_python(protocol.to_dict())
    return {name: value for name, value in plain.items() if name != "source"}
