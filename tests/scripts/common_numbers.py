"""How much of the difference between two variants is the seed's: the table of docs/why/statistics.md.

    python tests/scripts/common_numbers.py RUNS [--seeds N] [--steps N] [--images N]

Trains the fusions `cliff` and `add` without an embedding loss on the built-in rooms, under the same seeds, as a study
in the folder RUNS. Both start from the same weights but for the fusion's own. Repeat it to go on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import cliffkit
from cliffkit.statistics import compare, estimate


def main() -> None:
    """Train, then print the standard deviations of each fusion's score and of their difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--images", type=int, default=500)
    given = parser.parse_args()
    study = {
        "name": f"common_numbers_{given.steps}",
        "base": "handbuilt_cliff_hegR",
        "seeds": list(range(given.seeds)),
        "axes": {"fusion": {"cliff": {}, "add": {"model.fusion": {"use": "add"}}}},
    }
    settings = {"embedding": {"use": "none"}, "data.test": given.images, "train.depth.steps": given.steps}
    findings = cliffkit.ablate(study, set=settings, workers=2, runs=given.runs, progress=False)

    results = findings.results
    table = results.table("full", "abs_rel")
    tables = {variant.name: table[k] for k, variant in enumerate(findings.study.variants)}
    for name, scores in tables.items():
        each = estimate(scores)
        assert each is not None
        means = " ".join(f"{value:.4f}" for value in np.nanmean(scores, axis=1))
        print(f"{name:6} abs_rel by seed {means}; sd of the seed's part {each.variance.seeds**0.5:.4f}")
    difference = compare(tables["add"], tables["cliff"])
    assert difference is not None
    noise = difference.variance
    print(
        f"add - cliff {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}); sd of its parts: "
        f"seed {noise.seeds**0.5:.4f}, image {noise.images**0.5:.4f}, rest {noise.rest**0.5:.4f}"
    )
    means = np.nanmean(tables["add"] - tables["cliff"], axis=1)
    print(f"difference by seed {' '.join(f'{value:+.4f}' for value in means)}; sd {means.std(ddof=1):.4f}")
    print(f"{given.steps} steps, {given.images} images, seeds 0 to {given.seeds - 1}", file=sys.stderr)


if __name__ == "__main__":
    main()
