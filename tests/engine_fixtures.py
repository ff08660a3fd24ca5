"""What the engine's tests share: a data set, a network and an objective small enough to check by hand."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cliffkit.components.load import load_plugins
from cliffkit.data.pack import Pack, write_pack
from cliffkit.interfaces import Batch, Dataset, Sample
from cliffkit.recipe.check_fit import check_fit
from cliffkit.recipe.checker import Checker
from cliffkit.recipe.faults import Faults
from cliffkit.recipe.fit import Fit
from cliffkit.recipe.yamlstrict import Document

if TYPE_CHECKING:
    from cliffkit.components.registry import Registry
    from cliffkit.events import Emit
    from cliffkit.recipe.recipe import Recipe
    from cliffkit.training.device import Device
    from cliffkit.verbs.finished import Run


class Tiny(Dataset):
    """Random images with random depth, more holes from image to image, NaN in the holes; none at all in `empty`."""

    scene_types = ("hall", "den", "loft")

    def __init__(
        self,
        split: str = "train",
        root: Path | None = None,
        *,
        count: int = 12,
        height: int = 12,
        width: int = 16,
        top_m: float = 10.0,
        empty: tuple[int, ...] = (),
        broken: int = -1,
    ) -> None:
        self.split, self.count, self.size, self.top_m = split, count, (height, width), top_m
        self.empty, self.broken = empty, broken

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken:
            raise ValueError("the file is cut off")
        random = np.random.default_rng([len(self.split), index])
        image = random.integers(0, 256, (3, *self.size), dtype=np.uint8)
        depth = random.uniform(0.05, 1, (1, *self.size)).astype(np.float32) * np.float32(self.top_m)
        valid = random.random((1, *self.size)) > index / self.count
        if index in self.empty:
            valid[:] = False
        depth[~valid] = np.nan
        scene = torch.tensor(index % len(self.scene_types))
        return Sample(torch.from_numpy(image), torch.from_numpy(depth), torch.from_numpy(valid), scene)

    def name(self, index: int) -> str:
        return f"tiny/{self.split}/{index}"

    def fingerprint(self) -> str:
        return f"tiny {self.split} {self.count}"


def packed(dataset: Dataset, folder: Path, size: tuple[int, int] = (12, 16), crop: float = 1.0) -> Pack:
    """A data set as a pack."""
    write_pack(dataset, folder, size, crop, lambda done: None)
    return Pack(folder)


def same(a: Sample | Batch, b: Sample | Batch) -> bool:
    """Whether two samples or batches are equal to the bit, NaN included."""
    one, other = a.tensors(), b.tensors()
    return one.keys() == other.keys() and all(
        torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one
    )


class Toy(nn.Module):
    """Two convolutions without normalisation, (B, 3, H, W) to (B, 1, H, W) metres."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(image)))


class ToyObjective(nn.Module):
    """Two terms, each a mean over valid pixels."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        error = torch.where(batch.valid, self.net(batch.image) - batch.filled_depth(), 0)
        count = batch.valid.sum().clamp(min=1)
        return {"mean": error.abs().sum() / count, "square": 0.1 * error.square().sum() / count}


def toy(seed: int = 0) -> tuple[Toy, ToyObjective]:
    torch.manual_seed(seed)
    net = Toy()
    return net, ToyObjective(net)


def settings(**options: Any) -> Fit:
    """Training of the toy: no augmentation, no decay, constant rate, unless said otherwise."""
    written = {"batch": 4, "schedule": "constant", "weight_decay": 0.0, "augment": [], **options}
    document = Document("toy", written, {})
    faults = Faults(document)
    fit = check_fit(Checker(document, parts(), faults, {}), "depth", written)
    faults.check()
    assert fit is not None
    return fit


@functools.cache
def parts() -> Registry:
    """Every installed component."""
    return load_plugins().registry


@functools.cache
def cpu() -> Device:
    """The processor in float32."""
    from cliffkit.training.device import open_device  # not above: the processes that read a Tiny need no accelerate

    return open_device("cpu", "fp32")


RECIPE = """\
name: engine
seed: 0
data: {use: rooms, size: [32, 48], train: 24, val: 6, test: 4, height: 48, width: 64, holes: true}
model:
  backbone: {use: handbuilt}
  pyramid: {use: fpn, channels: 8}
  fusion: {use: cliff}
embedding: {use: heg_r, weights: [10, 15], warmup_steps: 3}
loss: [{use: l1}, {use: gradient, weight: 0.5}]
train:
  precision: fp32
  embedding: {steps: 6, batch: 4}
  depth: {steps: 6, batch: 4, validate_every: 2}
evaluate: [full, hu+flip]
"""
"""Every part that has a state, on depth with holes."""


def engine_recipe(folder: Path, registry: Registry, *changes: str) -> Recipe:
    """RECIPE with `--set` changes."""
    from cliffkit.recipe.check import load_recipe

    path = folder / "engine.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return load_recipe(path, registry, changes)


def do(
    recipe: Recipe,
    runs: Path,
    emit: Emit = lambda event: None,
    precision: str = "fp32",
    checkpoint_every: int | None = None,
) -> Run:
    """What `cliffkit run` does."""
    from cliffkit.jobs.execute import Means, run_jobs
    from cliffkit.jobs.plan import plan
    from cliffkit.jobs.run_folder import publish
    from cliffkit.store.store import Store
    from cliffkit.training.device import open_device
    from cliffkit.verbs.finished import Run

    jobs, store = plan(recipe, {}), Store(runs)
    reused = run_jobs(jobs, Means(store, open_device("cpu", precision), {}, emit, checkpoint_every))
    return Run(publish(recipe, jobs, store), recipe, "cpu", tuple(reused))


def bits(run: Path) -> dict[str, Any]:
    """All that a run leaves but its times: every file of its folder, and its embedding's weights."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    del metrics["seconds"]
    embedding = run.parent / "jobs" / f"embedding-{metrics['jobs']['embedding']}"
    timed = ("metrics.json", "SHA256SUMS")
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.name not in timed}
    return {**files, "metrics": metrics, "embedding": (embedding / "weights.safetensors").read_bytes()}
