"""Check what a recipe says of training: both stages, their settings and their parts."""

from __future__ import annotations

import json
from typing import Any

from cliffkit.components.near import meant
from cliffkit.recipe import spelling
from cliffkit.recipe.checker import Checker
from cliffkit.recipe.fit import STAGES, DepthFit, EmbeddingFit, Train
from cliffkit.recipe.part import Part
from cliffkit.recipe.schema import DepthSettings, EmbeddingSettings, FitSettings, TrainSettings
from cliffkit.recipe.sections import FIT_PARTS
from cliffkit.recipe.spelling import Spelled
from cliffkit.recipe.yamlstrict import Path_
from cliffkit.text import excerpt


def check_train(checker: Checker, data: Any) -> Train | None:
    """Check `train`; None where it has a fault."""
    key = ("train", checker.document.place(("train",)), json.dumps(data))
    if key in checker.cache:
        cached: Train = checker.cache[key]
        return cached

    written = {name: value for name, value in data.items() if name not in STAGES} if isinstance(data, dict) else data
    settings = checker.section(TrainSettings, ("train",), written, "it has", before=STAGES)
    if not isinstance(data, dict):
        return None
    if "depth" not in data:
        names = ", ".join((*STAGES, *TrainSettings.model_fields))
        checker.faults.add(("train", "depth"), f"is missing; it has: {names}")
    depth = check_fit(checker, "depth", data["depth"]) if "depth" in data else None
    with_embedding = data.get("embedding") is not None
    embedding = check_fit(checker, "embedding", data["embedding"]) if with_embedding else None

    if not isinstance(depth, DepthFit) or not isinstance(settings, TrainSettings):
        return None
    if with_embedding and embedding is None:
        return None
    assert embedding is None or isinstance(embedding, EmbeddingFit)
    train = checker.cache[key] = Train(depth, embedding, settings.precision, settings.deterministic)
    return train


def check_fit(checker: Checker, stage: str, data: Any) -> DepthFit | EmbeddingFit | None:
    """Check what `train` says of a stage, in whatever spelling; None where it has a fault."""
    path: Path_ = ("train", stage)
    schema = DepthSettings if stage == "depth" else EmbeddingSettings
    if not isinstance(data, dict):
        checker.section(schema, path, data, "it has", after=FIT_PARTS)
        return None
    settings = checker.section(schema, path, spelling.settings(data, FIT_PARTS), "it has", after=FIT_PARTS)

    optimizer = checker.part("optimizer", (*path, "optimizer"), data.get("optimizer", "adamw"))
    spelled = spelling.schedule(data, path)
    schedule = checker.part("schedule", (*path, "schedule"), spelled.data, places=spelled.places)
    augment = _augment(checker, stage, data.get("augment", {}))

    reloads = isinstance(settings, FitSettings) and settings.reload_best
    if reloads and data.get("milestones") and isinstance(spelled.data, str):
        message = f"schedule `{spelled.data}` has no milestones, at which reload_best acts; write schedule: step"
        checker.faults.add((*path, "milestones"), message)
        return None

    if optimizer is None or schedule is None or augment is None:
        return None
    if isinstance(settings, DepthSettings):
        return DepthFit(settings, optimizer, schedule, augment)
    if isinstance(settings, EmbeddingSettings):
        return EmbeddingFit(settings, optimizer, schedule, augment)
    return None


def _augment(checker: Checker, stage: str, data: Any) -> tuple[Part, ...] | None:
    """Give the steps of augmentation, from a list of parts or from a mapping of shares."""
    path: Path_ = ("train", stage, "augment")
    if isinstance(data, dict):
        unknown = [key for key in data if key not in spelling.AUGMENT]
        for key in unknown:
            near = meant(key, spelling.AUGMENT)
            message = f"unknown option; it has: {', '.join(spelling.AUGMENT)}" + (f"; {near}" if near else "")
            checker.faults.add((*path, key), message)
        if unknown:
            return None
        steps = spelling.augment(data, stage, path)
    elif isinstance(data, list):
        steps = [Spelled(step) for step in data]
    else:
        message = f"{excerpt(data)} is no list; write steps, as [{{use: flip, probability: 0.5}}], or [] for none"
        checker.faults.add(path, message)
        return None
    parts = [checker.part("augment", (*path, i), step.data, places=step.places) for i, step in enumerate(steps)]
    return None if None in parts else tuple(part for part in parts if part is not None)
