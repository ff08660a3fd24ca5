"""Every file of a finished run damaged in every way; the same command makes the same bits again."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

from cliffkit.store.store import ARRAYS

from ..store_fixtures import DAMAGES
from .child import Child, fault
from .kinds import Prepared
from .runs import Unbroken

REFUSED = ("store.json",)
"""Files without which nobody can know what the folder is: a message, nothing is done."""

BEFORE = {
    "pack": ("embedding", "depth", "evaluate"),
    "images": ("evaluate",),
    "embedding": ("depth", "evaluate"),
    "depth": ("evaluate",),
}
"""Stages that read what a stage leaves."""


def prepare(folder: Path) -> Prepared:
    unbroken = Unbroken.make(folder)
    names = sorted(path.relative_to(unbroken.runs) for path in unbroken.runs.rglob("*") if path.is_file())
    names = [name for name in names if name.suffix != ".lock" and (unbroken.runs / name).stat().st_size]
    cases = [(name, damage, read) for name in names for damage in DAMAGES for read in (False, True)]

    def case(number: int, random: Random) -> str | None:
        name, damage, read = cases[number]
        runs = unbroken.copy(number)
        DAMAGES[damage](runs / name)
        if read:  # its readers are not done
            for stage in BEFORE.get(name.parts[1].split("-")[0] if name.parts[0] == "jobs" else "", ()):
                for job in (runs / "jobs").glob(f"{stage}-*"):
                    shutil.rmtree(job) if job.is_dir() else job.unlink()
        finding = None
        if name.name in REFUSED and damage != "removed":
            code, output = Child(unbroken.run(runs)).end()
            finding = fault(code, output) or (None if code == 2 else f"ended with {code}: {output}")
            shutil.copy2(unbroken.runs / name, runs / name)
        unread = not read and name.suffix in ARRAYS and damage == "a bit flipped"
        if unread:  # compared by size alone while nobody reads it
            shutil.copy2(unbroken.runs / name, runs / name)
        finding = finding or unbroken.going_on(runs)
        return f"{name}, {damage}, {'to be read' if read else 'not to be read'}: {finding}" if finding else None

    return Prepared(len(cases), case)
