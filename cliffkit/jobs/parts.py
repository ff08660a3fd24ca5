"""The parts of a run's folder: written down when it is laid out, compared when its weights are used."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Mapping
from pathlib import Path

from cliffkit.components.identity import Identity, explain
from cliffkit.components.registry import Component
from cliffkit.errors import UserError
from cliffkit.jobs.plan import STAGE_VERSIONS
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import MODEL, NETWORK, Recipe
from cliffkit.store.artifacts import RECIPE, PartRecord, RunParts
from cliffkit.store.files import make_folder, write_text

CODE = "code"
"""The folder, in a run's own, that keeps the texts of parts which are not built in."""

BUILT_IN = "cliffkit"
"""The distribution of built-in parts. Their code is found by its version."""

TO_PREDICT = (*MODEL, NETWORK)
"""Kinds of parts that a network predicts with."""

TO_SCORE = (*TO_PREDICT, "dataset")
"""Kinds of parts that a network's scores are computed with. Scores hold their protocols in full."""


def write_parts(recipe: Recipe, folder: Path) -> None:
    """Write down every part of a recipe, as this process computes with it, and the texts of those not built in."""
    parts = tuple(_record(part, part.component.identity(), folder) for part in recipe.parts())
    RunParts(importlib.metadata.version(BUILT_IN), STAGE_VERSIONS, parts).write(folder)


def check_parts(folder: Path, recipe: Recipe, kinds: Collection[str]) -> None:
    """Compare the installed parts with the parts that made a run's weights. Raises UserError where any differs."""
    run_parts = _read(folder)
    again = f"or run its recipe again: cliffkit run {folder / RECIPE}"
    if run_parts.stages.get("depth") != STAGE_VERSIONS["depth"]:
        raise UserError(
            f"{folder}: its weights were trained by cliffkit {run_parts.engine}, whose networks are computed otherwise "
            f"than here; install that version, {again}"
        )
    records = {record.kind: record for record in run_parts.parts}
    for part in recipe.parts():
        if part.component.kind not in kinds:
            continue
        record = records.get(part.component.kind)
        if record is None:
            raise UserError(f"{folder / RunParts.FILE}: names no {part.component.kind}; put it back as it was, {again}")
        if (record.name, record.options) != (part.component.name, _options(part)):
            raise UserError(
                f"{folder / RECIPE}: names another {record.kind} than the run was made with, which was {record.name} "
                f"with {dict(record.options)}; put it back, {again}"
            )
        part.component.check_current()
        identity = part.component.identity()
        if identity.code != record.code:
            raise UserError(f"{folder}: {_describe_change(record, part.component, identity, folder, again)}")


def _read(folder: Path) -> RunParts:
    if not (folder / RunParts.FILE).exists():
        raise UserError(
            f"{folder}: has no {RunParts.FILE}, which says with what code its weights were trained; "
            f"run its recipe again: cliffkit run {folder / RECIPE}"
        )
    return RunParts.read(folder)


def _describe_change(record: PartRecord, component: Component, identity: Identity, folder: Path, again: str) -> str:
    """Say how a part's code differs from the code that the weights were trained with."""
    if record.distribution == BUILT_IN == component.distribution:
        names = sorted(
            name
            for name in record.modules.keys() | identity.modules.keys()
            if record.modules.get(name) != identity.modules.get(name)
        )
        return (
            f"its weights were trained with {record}, here is {component.version}, and {', '.join(names)} differs; "
            f"install that version, {again}"
        )
    old = {name: (folder / path).read_text(encoding="utf-8") for name, path in record.kept.items()}
    return (
        f"its weights were trained with other code of {record} than {identity.where} is now; put that code back "
        f"({folder / CODE} has it), {again}\n{explain(old, identity.texts)}"
    )


def _record(part: Part, identity: Identity, folder: Path) -> PartRecord:
    component = part.component
    kept = {} if component.distribution == BUILT_IN else _keep(identity, folder)
    return PartRecord(
        kind=component.kind,
        name=component.name,
        options=_options(part),
        plugin=component.plugin,
        distribution=component.distribution,
        version=component.version,
        code=identity.code,
        modules=identity.modules,
        kept=kept,
    )


def _options(part: Part) -> Mapping[str, object]:
    return {name: value for name, value in part.to_dict().items() if name != "use"}


def _keep(identity: Identity, folder: Path) -> dict[str, str]:
    """Keep the texts of a part's modules, in folders that are named as the packages are."""
    paths = {}
    for name, source in identity.sources.items():
        if source is None or source.text is None:
            continue
        path = Path(CODE, *name.split("."), "__init__") if source.package else Path(CODE, *name.split("."))
        paths[name] = f"{path.as_posix()}.py"
        make_folder((folder / paths[name]).parent)
        write_text(folder / paths[name], source.text)
    return paths
