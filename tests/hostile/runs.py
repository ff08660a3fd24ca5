"""A run of two seconds with every stage, and its bits."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..engine_fixtures import RECIPE
from .child import Child, command, fault

SMALL = RECIPE.replace("train: 24, val: 6, test: 4", "train: 8, val: 2, test: 2")

KEPT = (".npy", ".safetensors", ".csv", ".png", "recipe.yaml", "log.jsonl")
"""Ends of names of files that have the same bits whenever they are made."""


@dataclass(frozen=True)
class Unbroken:
    """What others are held against: one command on an empty store that nothing broke off."""

    folder: Path
    recipe: Path
    runs: Path
    seconds: float
    """Time of one run, nothing of which was done."""

    @classmethod
    @functools.cache
    def make(cls, folder: Path, *settings: str) -> Unbroken:
        """Run the recipe, once for every setting, unless that was done in the folder before."""
        recipe = folder / "engine.yaml"
        recipe.write_text(SMALL, encoding="utf-8")
        unbroken = cls(folder, recipe, folder / f"unbroken {settings}", 0)
        for setting in settings or ("seed=0",):
            code, output = Child(learning(unbroken.run(unbroken.runs, "--set", setting), folder / "modules")).end()
            assert code == 0, output
            learn(folder / "modules")
        started = time.monotonic()
        again = unbroken.empty("again")
        Child(unbroken.run(again)).end()
        shutil.rmtree(again)
        return cls(folder, recipe, unbroken.runs, time.monotonic() - started)

    def run(self, runs: Path, *arguments: object) -> Callable[[], None]:
        """`cliffkit run` of the recipe as work for a Child."""
        return command("run", self.recipe, "--runs", runs, "--device", "cpu", *arguments)

    def copy(self, name: object) -> Path:
        """A copy of its runs folder."""
        target = self.empty(name)
        shutil.copytree(self.runs, target)
        return target

    def empty(self, name: object) -> Path:
        """A path for a runs folder where nothing is."""
        target = self.folder / str(name)
        shutil.rmtree(target, ignore_errors=True)
        return target

    def going_on(self, runs: Path, *settings: str) -> str | None:
        """Run on the store of a case until it is done, and compare the bits; removes it where all is well."""
        for setting in settings or ("seed=0",):
            code, output = Child(self.run(runs, "--set", setting)).end()
            if code != 0:
                return f"going on: {fault(code, output) or output}"
        difference = compare(bits(self.runs), bits(runs))
        if difference is None:
            shutil.rmtree(runs)
        return difference


def learning(work: Callable[[], None], modules: Path) -> Callable[[], None]:
    """Work that leaves the names of the modules that it needed."""

    def learnt() -> None:
        try:
            work()
        finally:
            modules.write_text("\n".join(sorted(sys.modules)), encoding="utf-8")

    return learnt


def learn(modules: Path) -> None:
    """Import the modules here, so that no later child has to."""
    for name in modules.read_text(encoding="utf-8").split("\n"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def bits(runs: Path) -> dict[str, str]:
    """Checksums of all files below a runs folder that do not hold times; what was set aside is left out."""
    paths = [path for path in runs.rglob("*") if path.is_file() and (path.name.endswith(KEPT) or _is_leftover(path))]
    names = {path.relative_to(runs).as_posix(): path for path in paths}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if ".damaged-" not in name and not name.startswith("studies/")
    }


def _is_leftover(path: Path) -> bool:
    """Whether a file is a temporary one, as a kill leaves; those in the folder of jobs are locks."""
    return path.name.startswith(".") and not path.name.endswith(".lock")


def compare(wanted: dict[str, str], found: dict[str, str]) -> str | None:
    """Which files differ; None where none does."""
    differences = [
        f"{name} {'is missing' if name not in found else 'is left over' if name not in wanted else 'differs'}"
        for name in sorted({*wanted, *found})
        if wanted.get(name) != found.get(name)
    ]
    return f"other bits: {'; '.join(differences)}" if differences else None
