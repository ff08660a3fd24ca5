"""A bundle that a forger changes: unpacked, edited, packed again with checksums that are right."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cliffkit.bundles.archive import unpack, write_archive
from cliffkit.bundles.checks import Check
from cliffkit.bundles.facts import BundleFacts
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.store.artifacts import JobRecord
from cliffkit.store.checksums import SUMS, checksum


class Forger:
    """An unpacked bundle to be changed. Cells are named by variant and seed."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        unpack(file, folder)

    @property
    def facts(self) -> dict[str, Any]:
        """What bundle.json says."""
        facts: dict[str, Any] = json.loads(self.path(BundleFacts.FILE).read_text())
        return facts

    def cell(self, variant: str, seed: int) -> dict[str, Any]:
        """What bundle.json says of a cell."""
        return next(cell for cell in self.facts["cells"] if (cell["variant"], cell["seed"]) == (variant, seed))

    def path(self, name: str) -> Path:
        """A file of the bundle."""
        return self.folder / name

    def job(self, variant: str, seed: int, stage: str) -> Path:
        """The folder of a job of a cell."""
        return self.path(f"jobs/{stage}-{self.cell(variant, seed)['keys'][stage]}")

    def recipe(self, variant: str, seed: int) -> Path:
        """The recipe of a cell."""
        return self.path(f"cells/{self.cell(variant, seed)['folder']}/recipe.yaml")

    def edit(self, path: Path, pattern: str, to: str | Callable[[re.Match[str]], str]) -> None:
        """Replace the first place that matches."""
        text = path.read_text(encoding="utf-8")
        changed, count = re.subn(pattern, to, text, count=1)
        assert count, f"{path} has nothing like {pattern}"
        assert changed != text
        path.write_text(changed, encoding="utf-8")

    def edit_facts(self, edit: Callable[[dict[str, Any]], object]) -> None:
        """Change bundle.json."""
        facts = self.facts
        edit(facts)
        self.path(BundleFacts.FILE).write_text(json.dumps(facts))

    def edit_recipe(self, variant: str, seed: int, edit: Callable[[dict[str, Any]], object]) -> None:
        """Change a cell's recipe."""
        path = self.recipe(variant, seed)
        recipe = yaml.safe_load(path.read_text())
        edit(recipe)
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))

    def reseal(self, job: Path) -> None:
        """Write the record of a job anew, so that its files count as those that it left."""
        record = JobRecord.read(job)
        sums = {name: checksum(job / name) if (job / name).exists() else of for name, of in record.files.items()}
        replace(record, files=sums).write(job)

    def rekey(self, variant: str, seed: int, stage: str, edit: Callable[[dict[str, Any]], object]) -> None:
        """Change the inputs of a job of a cell, and its key with them."""
        folder, facts = self.job(variant, seed, stage), self.facts
        record = JobRecord.read(folder)
        inputs = json.loads(json.dumps(dict(record.inputs)))
        edit(inputs)
        key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:20]
        replace(record, inputs=inputs, key=key).write(folder)
        folder.rename(folder.with_name(f"{stage}-{key}"))
        for cell in facts["cells"]:
            if (cell["variant"], cell["seed"]) == (variant, seed):
                cell["keys"][stage] = key
        self.path(BundleFacts.FILE).write_text(json.dumps(facts))

    def opened(self) -> OpenedBundle:
        """The bundle as `verify` opens it."""
        return OpenedBundle(self.folder)

    def faults(self, check: Callable[[OpenedBundle], Check]) -> str:
        """What a check finds, a line each."""
        return "\n".join(check(self.opened()).faults)

    def pack(self, file: Path) -> Path:
        """Pack the bundle again, all checksums right."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name not in (SUMS, "store.json")]
        write_archive(file, {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files})
        return file
