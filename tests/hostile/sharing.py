"""Two to eight processes on one store, with one seed or another, some of them killed."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from .child import Child
from .kinds import Prepared
from .runs import Unbroken

CASES = 200

SEEDS = ("seed=0", "seed=1")


def prepare(folder: Path) -> Prepared:
    unbroken = Unbroken.make(folder, *SEEDS)

    def case(number: int, random: Random) -> str | None:
        runs = unbroken.empty(number)
        arguments = [["--set", random.choice(SEEDS)] for _ in range(random.randint(2, 8))]
        children = [Child(unbroken.run(runs, *words)) for words in arguments]
        killed = random.sample(children, random.randint(0, len(children) // 2))
        for child in killed:
            time.sleep(random.uniform(0, unbroken.seconds / len(killed)))
            child.kill()
        findings = []
        for child in children:
            code, output = child.end()
            if code != 0 and not (child in killed and code == -9):
                findings.append(f"ended with {code}: {output[-2000:]}")
        return "\n".join(findings) or unbroken.going_on(runs, *SEEDS)

    return Prepared(CASES, case)
