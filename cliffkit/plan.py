"""Recipes to jobs: one stage each, named by the hash of everything its result depends on and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset
from cliffkit.protocols import Protocol
from cliffkit.recipe import Part, Recipe, is_trained

STAGE_VERSIONS = {"pack": 1, "embedding": 1, "depth": 2, "evaluate": 1}
"""Raised when a stage's code comes to give another result for the same inputs."""

Roots = Mapping[str, Path]


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


Prints = dict[str, dict[str, str]]
"""Fingerprints by split of the data sets that were opened already, by what recipes say of them."""


def plan(recipe: Recipe, roots: Roots, known: Prints | None = None) -> list[Job]:
    """The jobs of a recipe in the order of their needs, the last one `evaluate`.

    Opens every split of the data set for its fingerprint, unless that is `known`; what it opens becomes known. Raises
    UserError where the data cannot be used.
    """
    data = _part(recipe.data)
    prints = _fingerprints(recipe, roots, data, {} if known is None else known)
    train = recipe.train
    common = {"precision": train.precision, "deterministic": train.deterministic}
    pack = _job(recipe, "pack", {}, {"data": data, "train": prints["train"], "val": prints["val"]})
    needs = {"pack": pack}
    jobs = [pack]
    if is_trained(recipe.embedding):
        assert train.embedding is not None
        fitting = train.embedding.model_dump(mode="json")
        generator = {"embedding": _part(recipe.embedding, engine=False), "train": fitting, **common}
        needs = {**needs, "embedding": _job(recipe, "embedding", needs, generator)}
        jobs.append(needs["embedding"])
    inputs: dict[str, Any] = {
        "seed": recipe.seed,
        "model": {kind: _part(getattr(recipe, kind)) for kind in ("backbone", "pyramid", "fusion")},
        "embedding": _part(recipe.embedding),
        "loss": [_part(loss) for loss in recipe.losses],
        "train": train.depth.model_dump(mode="json"),
        **common,
    }
    depth = _job(recipe, "depth", needs, inputs)
    scoring = {"test": prints["test"], "protocols": [_protocol(protocol) for protocol in recipe.protocols]}
    evaluate = _job(recipe, "evaluate", {"pack": pack, "depth": depth}, scoring)
    return [*jobs, depth, evaluate]


def _fingerprints(recipe: Recipe, roots: Roots, data: Mapping[str, Any], known: Prints) -> dict[str, str]:
    said = json.dumps(data, sort_keys=True)
    if said not in known:
        splits = {split: open_split(recipe, split, roots) for split in ("train", "val", "test")}
        known[said] = {split: dataset.fingerprint() for split, dataset in splits.items()}
    return known[said]


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
    return Job(stage, hashlib.sha256(text.encode()).hexdigest()[:20], json.loads(text), needs, recipe)


def _part(part: Part, *, engine: bool = True) -> dict[str, Any]:
    plugin = f"{part.component.plugin} ({part.component.version})"
    files = {name: _content(value, part) for name, value in part.options.items() if isinstance(value, Path)}
    written = {name: value for name, value in part.to_dict().items() if engine or name not in part.engine}
    return {"plugin": plugin, **written, **files}


def _protocol(protocol: Protocol) -> dict[str, Any]:
    """What of a protocol a score depends on: all but whom it is credited to."""
    return {name: value for name, value in protocol.to_dict().items() if name != "source"}


def _content(path: Path, part: Part) -> str:
    """The hash of a file that an option names: a result depends on what it says, not on where it lies."""
    try:
        with path.expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{part.place}: {path} cannot be read: {error.strerror}; give the path of a file") from error
