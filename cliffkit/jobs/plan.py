"""Recipes to jobs: one stage each, named by the hash of everything its result depends on and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from cliffkit.components.registry import Component
from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset
from cliffkit.jobs.files import content_of, paths_in, replaced
from cliffkit.jobs.once import Once
from cliffkit.protocols import Protocol
from cliffkit.recipe.fit import Fit, Train, weights_file
from cliffkit.recipe.part import Part, is_prepared, is_trained
from cliffkit.recipe.recipe import Recipe
from cliffkit.store.job import Job, PartCode
from cliffkit.text import cut

STAGE_VERSIONS = {"pack": 2, "images": 1, "embedding": 4, "depth": 5, "evaluate": 3}
"""Version of each stage. It is raised when the stage's code gives another result for the same inputs."""


def plan(recipe: Recipe, roots: Roots) -> list[Job]:
    """Give the jobs of a recipe in the order of their needs, the last one `evaluate`.

    Opens every split of the data set for its fingerprint. Raises UserError where the data cannot be used.
    """
    return Planner(roots).plan(recipe)


class Planner:
    """Plans recipes that have much in common, such as a study's cells. Data sets, files and parts are read once."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._once = Once()
        self._prints: dict[str, dict[str, str]] = {}
        """Fingerprints by split, by the data set and its options as JSON."""
        self._files: dict[Path, str] = {}
        """Hashes of the files that options name."""
        self._codes: dict[Component, PartCode] = {}

    def plan(self, recipe: Recipe) -> list[Job]:
        """Give jobs as the function `plan` does; equal packs, test images and embedding generators are one job."""
        once, train = self._once, recipe.train
        prints = once("prints", (recipe.data,), lambda: self._fingerprints(recipe))
        pack = once("pack", (recipe.data,), lambda: self._pack(recipe, prints))
        images = once("images", (recipe.data,), lambda: self._images(recipe, prints["test"]))
        needs = {"pack": pack}
        embedding = recipe.embedding
        if embedding is not None and is_prepared(embedding):
            sources = (pack, embedding, train)
            needs["embedding"] = once(
                f"embedding {recipe.generator_seed}", sources, lambda: self._embedding(recipe, embedding, pack)
            )
        inputs: dict[str, Any] = {
            "seed": recipe.seed,
            "model": {kind: self._part(part) for kind, part in recipe.model.items()},
            "embedding": self._part(embedding) if embedding else None,
            "loss": [self._part(loss) for loss in recipe.losses],
            "train": once("depth", (train,), lambda: self._fit(train.depth, "train.depth")),
            **_common(train),
        }
        trained_by = [*([embedding] if embedding else []), *recipe.losses, *train.depth.parts()]
        depth = self._job(recipe, "depth", needs, inputs, [*recipe.model.values(), *trained_by])
        evaluate = self._evaluate(recipe, {"pack": pack, "images": images, "depth": depth}, prints["test"])
        return [pack, images, *list(needs.values())[1:], depth, evaluate]

    def plan_scoring(self, recipe: Recipe, keys: Mapping[str, str]) -> Job:
        """Plan stage `evaluate` alone, on a network whose jobs are known by their keys, wherever they were done.

        The key of the stage is the key that `plan` gives. Opens the test split only.
        """
        test = open_split(recipe, "test", self._roots).fingerprint()
        pack, depth = (Job(stage, keys[stage], {}, {}, recipe) for stage in ("pack", "depth"))
        return self._evaluate(recipe, {"pack": pack, "images": self._images(recipe, test), "depth": depth}, test)

    def _evaluate(self, recipe: Recipe, needs: Mapping[str, Job], test: str) -> Job:
        protocols = [self._once("protocol", (protocol,), partial(_protocol, protocol)) for protocol in recipe.protocols]
        parts = [*recipe.model.values(), *recipe.metrics]
        return self._job(recipe, "evaluate", needs, {"test": test, "protocols": protocols}, parts)

    def _pack(self, recipe: Recipe, prints: Mapping[str, str]) -> Job:
        inputs = {"data": self._part(recipe.data), "train": prints["train"], "val": prints["val"]}
        return self._job(recipe, "pack", {}, inputs, [recipe.data])

    def _images(self, recipe: Recipe, test: str) -> Job:
        """Plan the test images, which no option of training size changes."""
        data = {name: value for name, value in self._part(recipe.data).items() if name not in recipe.data.engine}
        return self._job(recipe, "images", {}, {"data": data, "test": test}, [recipe.data])

    def _embedding(self, recipe: Recipe, embedding: Part, pack: Job) -> Job:
        items, training = self._part(embedding).items(), recipe.train.embedding
        generator = {name: value for name, value in items if name not in embedding.engine}
        if not is_trained(embedding):
            inputs = {"embedding": generator, "seed": recipe.generator_seed}
            return self._job(recipe, "embedding", {"pack": pack}, inputs, [embedding])
        assert training is not None
        fit = {**self._fit(training, "train.embedding"), "seed": recipe.generator_seed}
        inputs = {"embedding": generator, "train": fit, **_common(recipe.train)}
        return self._job(recipe, "embedding", {"pack": pack}, inputs, [embedding, *training.parts()])

    def _fit(self, fit: Fit, place: str) -> dict[str, Any]:
        """Give a stage's training with the identity of its parts; initial weights count by the hash of their file."""
        init = fit.settings.init
        return {
            **fit.to_dict(),
            "optimizer": self._part(fit.optimizer),
            "schedule": self._part(fit.schedule),
            "augment": [self._part(part) for part in fit.augment],
            "init": None if init is None else self._content(weights_file(init), f"{place}.init"),
        }

    def _fingerprints(self, recipe: Recipe) -> dict[str, str]:
        description = json.dumps(self._part(recipe.data), sort_keys=True)
        if description not in self._prints:
            splits = {split: open_split(recipe, split, self._roots) for split in ("train", "val", "test")}
            prints = {split: dataset.fingerprint() for split, dataset in splits.items()}
            for split in ("train", "val"):
                if prints["test"] == prints[split] and _names(splits["test"]) == _names(splits[split]):
                    raise UserError(
                        f"{recipe.data.place}: the test split has the very images of the {split} split, so its scores "
                        "would say nothing of new images; give each split images of its own"
                    )
            self._prints[description] = prints
        return self._prints[description]

    def _part(self, part: Part) -> dict[str, Any]:
        return self._once("part", (part,), partial(self._describe, part))

    def _describe(self, part: Part) -> dict[str, Any]:
        files = {
            name: replaced(value, lambda path: self._content(path, part.place))
            for name, value in part.options.items()
            if any(True for _ in paths_in(value))
        }
        return {**part.to_dict(), **files, "code": self._code(part).code}

    def _code(self, part: Part) -> PartCode:
        component = part.component
        if component not in self._codes:
            component.check_current()
            identity = component.identity()
            self._codes[component] = PartCode(component, identity.code, identity.others)
        return self._codes[component]

    def _job(
        self, recipe: Recipe, stage: str, needs: Mapping[str, Job], inputs: Mapping[str, Any], parts: Sequence[Part]
    ) -> Job:
        inputs = {
            "stage": stage,
            "version": STAGE_VERSIONS[stage],
            "needs": {name: job.key for name, job in needs.items()},
            **inputs,
        }
        text = json.dumps(inputs, sort_keys=True, allow_nan=False)
        key = hashlib.sha256(text.encode()).hexdigest()[:20]
        named = [path for part in parts for value in part.options.values() for path in paths_in(value)]
        files = {path: self._files[path] for path in named}
        return Job(stage, key, inputs, needs, recipe, tuple(map(self._code, parts)), files)

    def _content(self, path: Path, place: str) -> str:
        """Give the hash of a file that an option names: a result depends on its content, not on its path."""
        if path not in self._files:
            try:
                self._files[path] = content_of(path)
            except (OSError, ValueError) as error:  # ValueError: text that can be no path
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise UserError(
                    f"{place}: {cut(str(path))} cannot be read: {reason}; give the path of a file"
                ) from error
        return self._files[path]


def _names(dataset: Dataset) -> list[str]:
    return [dataset.name(index) for index in range(len(dataset))]


def _common(train: Train) -> dict[str, Any]:
    """Give the settings on which both trained stages depend."""
    return {"precision": train.precision, "deterministic": train.deterministic}


def _protocol(protocol: Protocol) -> dict[str, Any]:
    """Give all fields of a protocol that a score depends on: every field but its source."""
    plain: dict[str, Any] = to_jsonable_python(protocol.to_dict())
    return {name: value for name, value in plain.items() if name != "source"}
