"""`python tests/hostile --minutes 60`: try hostile cases of every kind, print cases and findings per kind.

Ends with 1 where anything was found. What a case does is a function of seed and number, but for the moments of kills.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path.insert(0, str(ROOT))
    os.environ["OMP_NUM_THREADS"] = "1"

import torch

from cliffkit.workers import available_cores
from tests.hostile.child import Child
from tests.hostile.kinds import Case, Kind, kinds

MOST_SHOWN, LONGEST = 100, 5000
"""Findings of a process that are printed whole up to so many letters; more are counted."""


def main() -> int:
    """Try what is asked for."""
    every = kinds()
    parser = argparse.ArgumentParser(prog="python tests/hostile", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="for all kinds together, at most; by default 60")
    parser.add_argument("--kind", action="append", choices=list(every), help="by default all; may be given repeatedly")
    parser.add_argument("--cases", type=int, help="of a kind, at most; by default the whole")
    parser.add_argument("--suite", action="store_true", help="the few cases of each kind that the tests try")
    parser.add_argument("--processes", type=int, default=available_cores(), help="by default one for each core")
    parser.add_argument("--seed", type=int, default=0, help="other seeds try other cases, in another order")
    parser.add_argument("--number", type=int, help="only the case of this number, as a finding names it")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    chosen = {name: every[name] for name in asked.kind or every}
    minutes = asked.minutes / sum(kind.share for kind in chosen.values())
    with tempfile.TemporaryDirectory(prefix="hostile-") as made:
        folder = Path(made).resolve()
        findings = sum(_try(name, kind, folder, 60 * minutes * kind.share, asked) for name, kind in chosen.items())
    print(f"{findings} findings in all; seed {asked.seed}")
    return 1 if findings else 0


def _try(name: str, kind: Kind, folder: Path, seconds: float, asked: argparse.Namespace) -> int:
    """Try the cases of a kind in the order of the seed until time is up; returns how many were findings."""
    started = time.monotonic()
    cases, case = kind.prepare(folder)
    most = min(cases, kind.suite if asked.suite else asked.cases or cases)
    order = random.Random(f"{asked.seed} {name}").sample(range(cases), most)
    order = order if asked.number is None else [asked.number]

    def share(first: int) -> None:
        """Try every how-manieth case; the last line of the output has the counts."""
        tried = findings = 0
        for number in order[first :: asked.processes]:
            if time.monotonic() - started > seconds:
                break
            finding = _finding(case, number, random.Random(f"{asked.seed} {name} {number}"))
            tried += 1
            if finding:
                findings += 1
                if findings <= MOST_SHOWN:
                    print(f"--- {name}, seed {asked.seed}, number {number}: {finding[:LONGEST]}\n")
        print(json.dumps([tried, findings]))

    outputs = [child.end(math.inf) for child in [Child(partial(share, i)) for i in range(asked.processes)]]
    texts, counts = zip(*(output.rstrip().rpartition("\n")[::2] for _, output in outputs), strict=True)
    print("\n".join(filter(None, texts)), end="\n" * any(texts))
    tried, findings = map(sum, zip(*map(json.loads, counts), strict=True))
    took = time.monotonic() - started
    print(f"{name:<8} {tried:>7,} of {cases:,} cases, {findings} findings, {took:.0f} s: {kind.about}", flush=True)
    return findings


def _finding(case: Case, number: int, cast: random.Random) -> str | None:
    try:
        return case(number, cast)
    except Exception:
        return traceback.format_exc()


if __name__ == "__main__":
    sys.exit(main())
