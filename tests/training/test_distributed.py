from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from cliffkit.components.registry import Registry
from cliffkit.data.pack import Pack
from cliffkit.method.assemble import build, build_embedding
from cliffkit.recipe.recipe import Recipe
from cliffkit.training.fit import fit
from cliffkit.training.job import FitJob, Goal

from ..engine_fixtures import Tiny, cpu, do, engine_recipe, packed, settings, toy
from ..scripts.distributed_worker import FITS, batch_norm, normalise

ROOT = Path(__file__).parents[2]
FIVE_STEPS = [
    *(f"train.{stage}={{steps: 5, batch: 8, lr: 1e-4}}" for stage in ("embedding", "depth")),
    "loss=[{use: l1}]",  # a mean over valid pixels, as parts of a batch are weighed
]


@dataclass(frozen=True)
class Worked:
    """What two processes left."""

    folder: Path
    """Of the worker's own checks."""
    runs: Path
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Worked:
    """Two processes on this machine, over gloo."""
    root = tmp_path_factory.mktemp("worked")
    packed(Tiny(empty=(2,)), root / "pack")
    engine_recipe(root, registry)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    launch += ["--rdzv-endpoint", "localhost:0", str(ROOT / "tests" / "scripts" / "distributed_worker.py"), str(root)]
    sets = [argument for change in FIVE_STEPS for argument in ("--set", change)]
    where = ["--runs", str(root / "runs"), "--device", "cpu", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launch, str(root / "engine.yaml"), *where, *sets],
        capture_output=True, text=True, env=environment, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Worked(root, root / "runs", done.stdout, done.stderr)


def test_batch_normalisation_over_two_processes_is_that_of_the_whole_batch(worked: Worked) -> None:
    expected = normalise(*batch_norm())
    parts = [load_file(worked.folder / f"bn{rank}.safetensors") for rank in (0, 1)]
    for name, value in expected.items():
        if name in ("y", "dx", "still"):  # an image each in turn
            together = torch.stack([part[name] for part in parts], dim=1).flatten(0, 1)
        elif name in ("dweight", "dbias"):  # which DistributedDataParallel sums
            together = parts[0][name] + parts[1][name]
        else:
            assert torch.equal(parts[0][name], parts[1][name]), name
            together = parts[0][name]
        torch.testing.assert_close(
            together, value.detach(), rtol=1e-4, atol=1e-5, msg=lambda text, n=name: f"{n} {text}"
        )


@pytest.mark.parametrize(("every", "step"), [(None, 20), (3, 15)])
def test_a_signal_to_one_process_stops_both_at_a_step_that_is_saved(
    worked: Worked, every: int | None, step: int
) -> None:
    """Each alone would leave the other waiting for it: the main process would save nothing."""
    told = [(worked.folder / f"stopped{every}-{rank}.txt").read_text() for rank in (0, 1)]
    assert told == [f"{signal.SIGTERM:d} {step}", f"{signal.SIGTERM:d} None"], "the main process saves"


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", list(FITS))
def test_two_processes_fit_what_one_does(worked: Worked, tmp_path: Path, name: str) -> None:
    """Without batch normalisation, so in micro-batches too; with holes, so that no two parts weigh alike."""
    net, objective = toy()
    goal = Goal("score", False, lambda: {"score": 1.0})
    pack, whole = Pack(worked.folder / "pack"), settings(**FITS["whole"])
    fit(FitJob(net, objective, pack, whole, goal, "depth", 3, tmp_path, cpu(), lambda event: None))
    left = [load_file(worked.folder / f"{name}{rank}" / "left.safetensors") for rank in (0, 1)]
    start = toy()[0].state_dict()
    for key, value in load_file(tmp_path / "weights.safetensors").items():
        assert torch.equal(left[0][key], left[1][key]), "every process has the same weights"
        torch.testing.assert_close(left[0][key], value, rtol=1e-4, atol=1e-5)
        assert (value - start[key]).abs().max() > 1e-3
    logs = [lines(each) for each in (tmp_path, worked.folder / f"{name}0")]
    for alone, shared in zip(*logs, strict=True):
        assert alone.keys() == shared.keys()
        assert shared.get("loss", 0) == pytest.approx(alone.get("loss", 0), rel=1e-4)
    assert sorted(path.name for path in (worked.folder / f"{name}1").iterdir()) == ["left.safetensors"], (
        "one process writes"
    )


def test_a_run_of_two_processes_is_that_of_one_to_rounding(worked: Worked, tmp_path: Path, registry: Registry) -> None:
    """Batch normalisation, both trained stages, depth with holes.

    Weights are measured by the way that training went: rounding is amplified where max pooling chooses between values
    that are nearly equal, as over a hole, and by Adam where a slope is nearly 0.
    """
    recipe = engine_recipe(tmp_path, registry, *FIVE_STEPS)
    alone = do(recipe, tmp_path)
    printed = json.loads(worked.stdout[worked.stdout.index("{") :])  # one object, after what Gloo itself may print
    for stage in ("pack", "images", "embedding", "depth", "evaluate"):
        assert worked.stderr.count(f"{stage:<9} done in") == 1
    (folder,) = worked.runs.glob("engine-*")
    assert printed["run"] == str(folder)
    assert folder.name == alone.folder.name
    pair = (alone.folder, folder)

    def job_of(stage: str) -> str:
        return f"{stage}-{alone.record.jobs[stage]}"

    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in alone.folder.iterdir())
    jobs = [path.name for path in (worked.runs / "jobs").iterdir() if path.is_dir()]
    assert sorted(jobs) == sorted(map(job_of, alone.record.jobs))
    assert json.loads((folder / "environment.json").read_text())["processes"] == 2

    for stage, start in untrained(recipe).items():
        ours, theirs = (load_file(each.parent / "jobs" / job_of(stage) / "weights.safetensors") for each in pair)
        for kinds, share in ((("weight", "bias"), 0.1), (("running_mean", "running_var"), 0.003)):
            names = [name for name in ours if name.endswith(kinds)]
            way, off = (
                torch.cat([(ours[name] - others[name]).flatten() for name in names]) for others in (start, theirs)
            )
            assert off.norm() < share * way.norm(), f"{stage} {kinds}"
    for name, scored in alone.record.protocols.items():
        assert printed["metrics"][name] == pytest.approx(scored.metrics, rel=1e-3)
        assert printed["baseline"][name] == scored.baseline
    logs = [lines(each) for each in pair]
    assert len(logs[0]) == len(logs[1]) == 12
    for one, two in zip(*logs, strict=True):
        for field in ("objective", "l1", "embedding"):
            assert two.get(field, 0) == pytest.approx(one.get(field, 0), rel=1e-3)
        assert two.get("val", {}) == pytest.approx(one.get("val", {}), rel=1e-3)


def untrained(recipe: Recipe) -> dict[str, dict[str, Tensor]]:
    """The weights that each stage starts from."""
    assert recipe.train.embedding is not None
    embedding = build_embedding(recipe.embedding, 14, recipe.generator_seed).state_dict()
    return {"embedding": embedding, "depth": build(recipe).state_dict()}
