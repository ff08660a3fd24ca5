"""One network over two GPUs, by NCCL: what two processes leave on a processor is tested always, over gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cliffkit.components.registry import Registry
from cliffkit.training.device import Device

from ..engine_fixtures import engine_recipe

ROOT = Path(__file__).parents[2]
FIVE_STEPS = [
    *(f"train.{stage}={{steps: 5, batch: 8, lr: 1e-4}}" for stage in ("embedding", "depth")),
    "loss=[{use: l1}]",
]


def test_two_gpus_train_to_the_scores_of_one(gpu: Device, tmp_path: Path, registry: Registry) -> None:
    """Batch normalisation sees the whole batch, gradients are those of the whole batch."""
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    engine_recipe(tmp_path, registry)
    sets = [argument for change in FIVE_STEPS for argument in ("--set", change)]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    launch += ["--rdzv-endpoint", "localhost:0"]
    scores = []
    for name, how in (("one", []), ("two", launch)):
        command = [sys.executable, *how, "-m", "cliffkit", "run", str(tmp_path / "engine.yaml"), *sets]
        where = ["--runs", str(tmp_path / name), "--device", "cuda", "--json"]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "0,1" if how else "0"}
        done = subprocess.run(
            [*command, *where], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout[done.stdout.index("{") :])
        metrics = json.loads((tmp_path / name / Path(result["run"]).name / "metrics.json").read_text(encoding="utf-8"))
        scores.append(metrics["protocols"]["full"]["metrics"])
    assert scores[1] == pytest.approx(scores[0], rel=1e-3, abs=1e-3)
