"""What test_distributed.py lets two processes do, by torchrun: python distributed_worker.py FOLDER RUN...

Results go to FOLDER; then it is `python -m cliffkit run RUN...`, since starting twice would take twice as long.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from cliffkit.data.pack import Pack
from cliffkit.errors import Stopped
from cliffkit.interfaces import Batch
from cliffkit.training.batchnorm import GlobalBatchNorm2d
from cliffkit.training.checkpoint import checkpoint_step
from cliffkit.training.device import Device, open_device
from cliffkit.training.fit import fit
from cliffkit.training.job import FitJob, Goal
from cliffkit.training.tensors import save_tensors
from cliffkit.workers import stoppable
from tests.engine_fixtures import settings, toy

BATCH, CHANNELS = 6, 5


def batch_norm() -> tuple[nn.Module, Tensor, Tensor]:
    """A layer, its input and the slope of its output, the same in every process."""
    torch.manual_seed(1)
    layer = nn.BatchNorm2d(CHANNELS, eps=1e-3, momentum=0.3)
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2)
        layer.bias.uniform_(-1, 1)
    return layer, torch.randn(BATCH, CHANNELS, 4, 3) * 3 + 2, torch.randn(BATCH, CHANNELS, 4, 3)


def normalise(layer: nn.Module, x: Tensor, slope: Tensor) -> dict[str, Tensor]:
    """Two steps forward, one backward, and one in evaluation mode."""
    x = x.clone().requires_grad_()
    layer(x.detach() * 0.5 + 1)
    y = layer(x)
    (y * slope).sum().backward()
    with torch.no_grad():
        still = layer.eval()(x)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    return {
        "y": y, "dx": x.grad, "dweight": layer.weight.grad, "dbias": layer.bias.grad, "still": still, **state,
    }  # fmt: skip


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    device = open_device("cpu", "fp32")
    rank, world = device.accelerator.process_index, device.accelerator.num_processes
    assert world == 2
    layer, x, slope = batch_norm()
    own = GlobalBatchNorm2d(CHANNELS, layer.eps, layer.momentum)
    own.load_state_dict(layer.state_dict())
    parts = normalise(own, x[rank::world], slope[rank::world])
    save_tensors(folder / f"bn{rank}.safetensors", parts)
    for name, options in FITS.items():
        net, objective = toy()
        goal = Goal("score", False, lambda: {"score": 1.0})
        target = folder / f"{name}{rank}"
        target.mkdir()
        pack = Pack(folder / "pack")
        fit(FitJob(net, objective, pack, settings(**options), goal, "depth", 3, target, device, lambda event: None))
        save_tensors(target / "left.safetensors", net.state_dict())
    for every in (None, 3):
        stop_one(folder, device, every)


class Signalled(nn.Module):
    """An objective during whose step 14 the second process alone is asked to stop."""

    def __init__(self, objective: nn.Module, rank: int) -> None:
        super().__init__()
        self.objective, self.rank = objective, rank

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        if self.rank == 1 and step == 13:
            os.kill(os.getpid(), signal.SIGTERM)
        terms: dict[str, Tensor] = self.objective(batch, step)
        return terms


def stop_one(folder: Path, device: Device, every: int | None) -> None:
    """Ask one process to stop; leave the step that each process could go on from, once it has left."""
    rank = device.accelerator.process_index
    target = folder / f"stopped{every}-{rank}"
    target.mkdir()
    net, objective = toy()
    goal, of = Goal("score", False, lambda: {"score": 1.0}), settings(**{**COMMON, "steps": 60})
    signalled = Signalled(objective, rank)
    job = FitJob(
        net, signalled, Pack(folder / "pack"), of, goal, "depth", 3, target, device, lambda event: None,
        checkpoint_every=every,
    )  # fmt: skip
    try:
        with stoppable():
            fit(job)
    except Stopped as stopped:
        (folder / f"stopped{every}-{rank}.txt").write_text(f"{stopped.number} {checkpoint_step(target)}")


COMMON = {"steps": 6, "batch": 8, "lr": 0.02, "clip_norm": 0.5, "ema": 0.5}
FITS = {"whole": COMMON, "micro": {**COMMON, "micro_batch": 3}}
"""Four images per process, at once or as three and one."""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.argv = ["cliffkit", "run", *sys.argv[2:]]
    runpy.run_module("cliffkit", run_name="__main__")
