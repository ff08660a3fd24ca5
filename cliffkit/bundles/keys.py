"""Do keys follow from recipes? A key is a hash, so what it was computed from can be compared without any data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cliffkit.bundles.archive import is_plain
from cliffkit.bundles.checks import Check, attempt, brief, differences, few
from cliffkit.bundles.contents import WHOLE
from cliffkit.bundles.facts import CELLS, JOBS, BundledCell
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.components.registry import Registry
from cliffkit.components.syntax import read_syntax
from cliffkit.jobs.parts import BUILT_IN
from cliffkit.jobs.plan import Planner
from cliffkit.recipe.recipe import Recipe
from cliffkit.store.artifacts import RECIPE, JobRecord, RunParts
from cliffkit.store.checksums import checksum

FILE_HASH = re.compile(r"[0-9a-f]{64}")
"""What stands in a job's inputs in the place of a file that an option names."""


def check_keys(bundle: OpenedBundle) -> Check:
    """Compute the keys of all jobs again, and compare what they are hashes of with recipes and parts."""
    faults: list[str] = []
    remarks: list[str] = []
    records: dict[str, JobRecord] = {}
    for path in sorted(bundle.folder.glob(f"{JOBS}/*")):
        attempt(faults, bundle.folder, partial(_keep_record, path, records, faults))

    cells = [cell for cell in bundle.facts.cells if cell.state == "done"]
    for cell in cells:
        attempt(faults, bundle.folder, partial(_check_cell, bundle, cell, records, faults, remarks))
    compared = (
        f"{len(records)} keys with the inputs of their jobs, these with the recipes and parts of {len(cells)} cells"
    )
    return Check("keys", compared, tuple(faults), tuple(dict.fromkeys(remarks)))


def other_built_in(bundle: OpenedBundle, registry: Registry) -> list[str]:
    """Name the built-in parts whose code is not that of the installed cliffkit, though the version is the same.

    Their text is in no bundle, so code that was changed under one version can be told by this alone.
    """
    other: dict[str, None] = {}
    for cell in bundle.facts.cells:
        if cell.state != "done":
            continue
        for record in bundle.parts(cell).parts:
            if record.distribution != BUILT_IN or record.name not in registry.names(record.kind):
                continue
            component = registry.get(record.kind, record.name)
            if component.version == record.version and component.identity().code != record.code:
                other[f"{record} was run with other code than {BUILT_IN} {component.version} has here"] = None
    return list(other)


def _keep_record(folder: Path, records: dict[str, JobRecord], faults: list[str]) -> None:
    """Read the record of a job; its key and the checksums of its files must be right."""
    record = JobRecord.read(folder)
    place = f"{JOBS}/{folder.name}"
    key = hashlib.sha256(json.dumps(dict(record.inputs), sort_keys=True, allow_nan=False).encode()).hexdigest()[:20]
    if key != record.key or f"{record.stage}-{record.key}" != folder.name or record.inputs.get("stage") != record.stage:
        faults.append(
            f"{place}/{JobRecord.FILE}: the inputs of the job have the key {record.stage}-{key}, the job has another"
        )
    for name in WHOLE.get(record.stage, ()):
        written, path = record.files.get(name), folder / name
        if written is None or not path.exists():
            if written is not None:
                faults.append(f"{place}/{name}: is missing")
        elif checksum(path) != written:
            faults.append(f"{place}/{name}: is not the file that the job left ({JobRecord.FILE} has its checksum)")
    records[folder.name] = record


def _check_cell(
    bundle: OpenedBundle,
    cell: BundledCell,
    records: Mapping[str, JobRecord],
    faults: list[str],
    remarks: list[str],
) -> None:
    """Compare the jobs of a cell with those that its recipe and parts need."""
    place = f"{CELLS}/{cell.folder}"
    mine = {stage: records.get(f"{stage}-{key}") for stage, key in cell.keys.items()}
    absent = [
        f"{cell.name}: its job {stage}-{cell.keys[stage]} is missing" for stage, record in mine.items() if not record
    ]
    faults += absent
    if absent:
        return
    present = {stage: record for stage, record in mine.items() if record is not None}
    recipe, parts = bundle.recipe(cell), bundle.parts(cell)
    faults += few(
        [*_other_parts(place, bundle.written(cell), parts), *_other_texts(bundle.folder / place, place, parts)]
    )

    planned = {job.stage: job for job in _Replanner(_prints(present)).plan(recipe)}
    if planned.keys() != present.keys():
        faults.append(f"{place}/{RECIPE}: needs the stages {', '.join(planned)}, and the cell has {', '.join(present)}")
        return
    for stage, record in present.items():
        recorded = dict(record.inputs)
        needs = recorded.pop("needs", {})
        for name, key in needs.items():
            if cell.keys.get(name) != key:
                faults.append(f"{cell.name}: {stage}-{record.key} was computed from {name}-{key}, the cell has another")
        if recorded.pop("version", None) != parts.stages.get(stage):
            faults.append(
                f"{place}/{RunParts.FILE}: says another version of stage {stage} than {JOBS}/{stage}-{record.key}"
            )
        inputs = {name: value for name, value in planned[stage].inputs.items() if name not in ("needs", "version")}
        plain = json.loads(json.dumps(inputs))
        for where, theirs, ours in differences(recorded, plain):
            if isinstance(ours, str) and isinstance(theirs, str) and FILE_HASH.fullmatch(theirs):
                remarks.append(f"{stage}: the content of the file {ours} ({where}) is known by its hash alone")
            else:
                faults.append(
                    f"{place}/{RECIPE}: {where} is {brief(ours)}, but {stage}-{record.key} was computed with "
                    f"{brief(theirs)}"
                )


class _Replanner(Planner):
    """Plans the jobs of a recorded recipe; what data sets hold is taken from the records of its jobs."""

    def __init__(self, prints: dict[str, str]) -> None:
        super().__init__({})
        self._recorded = prints

    def _fingerprints(self, recipe: Recipe) -> dict[str, str]:
        return self._recorded

    def _content(self, path: Path, place: str) -> str:
        return str(path)


def _prints(records: Mapping[str, JobRecord]) -> dict[str, str]:
    """Give the fingerprints of the splits by the records of a cell's jobs."""
    pack, test = records["pack"].inputs, records["evaluate"].inputs
    return {"train": pack["train"], "val": pack["val"], "test": test["test"]}


def _other_parts(place: str, written: Any, parts: RunParts) -> Iterator[str]:
    """Name the parts of a recipe that are not those of parts.json."""
    known = [(record.kind, record.name, dict(record.options)) for record in parts.parts]
    for kind, part in _named(written):
        options = {name: value for name, value in part.items() if name != "use"}
        if not any(
            (kind, part["use"]) == (other, name) and not list(differences(options, theirs))
            for other, name, theirs in known
        ):
            yield f"{place}/{RECIPE}: {kind} {part['use']} with these options is no part that {RunParts.FILE} names"


def _named(written: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the parts that a recipe names as mappings, with their kinds."""
    yield "dataset", written["data"]
    yield from written["model"].items()
    if written["embedding"]["use"] != "none":
        yield "embedding", written["embedding"]
    yield from (("loss", loss) for loss in written["loss"])
    for stage in ("depth", "embedding"):
        fit = written["train"].get(stage)
        if fit is not None:
            yield "optimizer", fit["optimizer"]
            yield "schedule", fit["schedule"]
            yield from (("augment", step) for step in fit["augment"])


def _other_texts(folder: Path, place: str, parts: RunParts) -> Iterator[str]:
    """Name the kept texts of parts whose syntax has not the hash that parts.json says."""
    for record in parts.parts:
        packages = frozenset(name.partition(".")[0] for name in record.modules) - {"cliffkit"}
        for module, path in record.kept.items():
            if not is_plain(path):
                yield f"{place}/{RunParts.FILE}: names a text outside of the bundle"
                continue
            try:
                text = (folder / path).read_text(encoding="utf-8")
                syntax = read_syntax(text, module, path.endswith("/__init__.py"), packages)
            except (OSError, UnicodeDecodeError, SyntaxError, ImportError) as error:
                yield f"{place}/{path}: cannot be read as the code of {record}: {error}"
                continue
            names = [name for name in syntax.strings if not name.endswith(".py")]
            if not names and _hash([syntax.digest]) != record.modules.get(module):
                yield f"{place}/{path}: is not the code of {record} that was run (another hash in {RunParts.FILE})"


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:20]
