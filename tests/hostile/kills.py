"""SIGKILL at random moments of a run or a study; whoever goes on ends with the same bits."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from ..study_fixtures import write_study
from .child import Child, command, fault
from .kinds import Prepared
from .runs import Unbroken, bits, compare

CASES = 1000

STUDIES = 25
"""Every how-manieth case is a study with two workers, which takes longer."""


def prepare(folder: Path) -> Prepared:
    unbroken, study = Unbroken.make(folder), write_study(folder)

    def case(number: int, random: Random) -> str | None:
        if number % STUDIES == STUDIES - 1:
            return _study(study, folder / str(number), random)
        runs = unbroken.empty(number)
        for _ in range(random.randint(1, 3)):
            every = random.choice(([], ["--checkpoint-every", "1"], ["--checkpoint-every", "2"]))
            child = Child(unbroken.run(runs, *every))
            time.sleep(random.uniform(0, unbroken.seconds))
            child.kill()
            code, output = child.end()
            if code != -9 and (code != 0 or fault(code, output)):
                return f"before the kill: {fault(code, output) or output}"
        return unbroken.going_on(runs)

    return Prepared(CASES, case)


def _study(study: Path, runs: Path, random: Random) -> str | None:
    """A study, killed with its workers left to end by themselves."""
    one = runs.with_suffix(".unbroken")

    def ablate(runs: Path) -> Child:
        return Child(command("ablate", study, "--runs", runs, "--device", "cpu", "--workers", 2))

    started = time.monotonic()
    code, output = ablate(one).end()
    if code != 0:
        return f"unbroken: {output}"
    seconds = time.monotonic() - started
    for _ in range(random.randint(1, 3)):
        child = ablate(runs)
        time.sleep(random.uniform(0, seconds))
        child.kill()
        child.end()
    code, output = ablate(runs).end()
    return f"going on: {output}" if code else compare(bits(one), bits(runs))
