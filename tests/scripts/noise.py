"""Which training setting lowers the noise of a study's cell at equal time: the table of docs/why/statistics.md.

    python tests/scripts/noise.py --runs FOLDER [--steps 1000] [--seeds 6] [--setting NAME...]

Every setting sees the same number of images. It trains three variants (`cliff`, `add`, `concat`, no embedding) under
the same seeds, and its networks are judged on validation images alone. Noise is what is left of their scores without
the variants' and the seeds' own means: the interaction of variant and seed, with the standard deviation that it gives
to a difference of two variants under one seed. Finished fits are kept in FOLDER, so the command goes on where it was.
Markdown on stdout, progress on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cliffkit.jobs.execute import Means, run_jobs
from cliffkit.jobs.plan import plan
from cliffkit.store.artifacts import LOG, DepthFitFacts
from cliffkit.store.store import Store
from cliffkit.training.device import open_device
from cliffkit.training.steplog import validation_curve
from cliffkit.verbs.inputs import installed_plugins, open_recipe
from cliffkit.workers import available_cores

VARIANTS = ("cliff", "add", "concat")

SETTINGS: Mapping[str, tuple[float, Mapping[str, Any]]] = {
    "as it is": (1, {}),
    "ema 0.98": (1, {"ema": 0.98}),
    "ema 0.995": (1, {"ema": 0.995}),
    "onecycle": (1, {"schedule": "onecycle"}),
    "half the rate": (1, {"lr": 2e-3}),
    "batch 8": (2, {"batch": 8, "lr": 2.8e-3}),
    "batch 32": (0.5, {"batch": 32, "lr": 5.7e-3}),
}
"""Factor of the number of steps, and changes to `train.depth`, by name."""

RULES = {
    "best of five": lambda curve: min(curve),
    "last": lambda curve: curve[-1],
    "mean of the last two": lambda curve: float(np.mean(curve[-2:])),
}
"""How a curve of validation scores becomes a network's score."""

VALIDATIONS = 5


def fit(runs: Path, steps: int, setting: str, variant: str, seed: int) -> tuple[list[float], float]:
    """Train one network; returns its validation scores in order, abs_rel, and the seconds of its fit."""
    torch.set_num_threads(1)
    factor, changes = SETTINGS[setting]
    count = int(steps * factor)
    settings = {
        "seed": seed,
        "data.size": [48, 64],
        "data.val": 300,
        "data.train": 2000,
        "embedding": {"use": "none"},
        "model.fusion": {"use": variant},
        **{f"train.depth.{name}": value for name, value in changes.items()},
        "train.depth.steps": count,
        "train.depth.validate_every": count // VALIDATIONS,
    }
    recipe = open_recipe("handbuilt_cliff_hegR", installed_plugins().registry, settings)
    jobs = [job for job in plan(recipe, {}) if job.stage in ("pack", "depth")]
    store = Store(runs)
    run_jobs(jobs, Means(store, open_device("cpu", recipe.train.precision), {}, lambda event: None))
    folder = store.folder(jobs[-1])
    curve = [score for _, score in validation_curve(folder / LOG, "abs_rel")]
    return curve, DepthFitFacts.read(folder).seconds


def noise(scores: NDArray[np.float64]) -> tuple[float, float, float]:
    """Give the mean of a table (variants, seeds), the SD of seeds in it, and that of a difference of two variants."""
    means, seeds = scores.mean(axis=1, keepdims=True), scores.mean(axis=0, keepdims=True)
    left = scores - means - seeds + scores.mean()
    free = (scores.shape[0] - 1) * (scores.shape[1] - 1)
    within = float(scores.std(axis=1, ddof=1).mean())
    return float(scores.mean()), within, float(np.sqrt(2 * np.square(left).sum() / free))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is asked for and print the table."""
    parser = argparse.ArgumentParser(prog="python tests/scripts/noise.py", description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="folder of finished fits")
    parser.add_argument("--steps", type=int, default=1000, help="of batch 16; by default 1000")
    parser.add_argument("--seeds", type=int, default=6, help="by default 6")
    parser.add_argument("--setting", action="append", choices=list(SETTINGS), help="by default all")
    parser.add_argument("--processes", type=int, default=available_cores(), help="by default one for each core")
    asked = parser.parse_args(arguments)
    chosen = asked.setting or list(SETTINGS)

    fit(asked.runs, asked.steps, chosen[0], VARIANTS[0], 0)  # the pack, once
    work = [(setting, variant, seed) for setting in chosen for seed in range(asked.seeds) for variant in VARIANTS]
    curves: dict[tuple[str, str, int], tuple[list[float], float]] = {}
    with ProcessPoolExecutor(asked.processes, get_context("spawn")) as pool:
        futures = {pool.submit(fit, asked.runs, asked.steps, *one): one for one in work}
        for future in as_completed(futures):
            curves[futures[future]] = future.result()
            print(f"{len(curves)} of {len(work)}: {futures[future]}", file=sys.stderr, flush=True)

    print("| setting | weights | abs_rel on val | SD over seeds | SD of a difference | seconds of a fit |")
    print("|---|---|---|---|---|---|")
    for setting in chosen:
        seconds = np.mean([curves[setting, variant, s][1] for variant in VARIANTS for s in range(asked.seeds)])
        for rule, score_of in RULES.items():
            table = [[score_of(curves[setting, variant, s][0]) for s in range(asked.seeds)] for variant in VARIANTS]
            mean, within, difference = noise(np.array(table))
            print(f"| {setting} | {rule} | {mean:.4f} | {within:.4f} | {difference:.4f} | {seconds:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
