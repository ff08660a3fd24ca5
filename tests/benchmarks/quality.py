"""Test error for the time: the example plugin's recipe against a plain loop on segmentation_models_pytorch's FPN.

Both have one encoder with one set of weights, the same packed images, and one scoring. The recipe runs first; the
plain loop then has as many seconds as the stages `embedding` and `depth` took, validation within. Its images lie in
memory, and its learning rate was tuned on val. Packing is outside for both. Both have one thread, and
seconds are that thread's: wall time where nothing else computes, and what neighbours do moves neither side's share.
Needs cliffkit-lite0 and segmentation_models_pytorch; real pairs lie where CLIFFKIT_DATA_PAIRS says.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import segmentation_models_pytorch as smp
import torch
from cliffkit_lite0.lite0 import MODEL, imagenet_weights
from harness import Row, progress, quartiles
from torch import Tensor, nn

from cliffkit.components.load import load_plugins
from cliffkit.data.batches import batch_indices
from cliffkit.data.pack import Pack
from cliffkit.data.splits import open_split
from cliffkit.interfaces import Sample
from cliffkit.jobs.execute import Means, run_job
from cliffkit.jobs.plan import plan
from cliffkit.prediction.predictor import Predictor, predictor
from cliffkit.recipe.check import load_recipe
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.scores import score_image, summarise
from cliffkit.scoring.views import truth_in_view
from cliffkit.stages.depth import validate
from cliffkit.store.store import Store
from cliffkit.training.device import Device, open_device
from cliffkit_protocols.full import full

EXAMPLE = Path(__file__).parents[2] / "plugins" / "examples" / "cliffkit-lite0"
SEEDS = (0, 1, 2)
clock = time.process_time
FULL = full()


class Plain(nn.Module):
    """segmentation_models_pytorch's FPN on EfficientNet-Lite0 with the ImageNet weights of the example plugin."""

    def __init__(self) -> None:
        super().__init__()
        self.net = smp.FPN(f"tu-{MODEL}", encoder_weights=None, in_channels=3, classes=1)
        weights, encoder = imagenet_weights(), self.net.encoder.model
        encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB, uint8 or float in [0, 1], sides multiples of 32, to (B, 1, H, W) metres."""
        image = image.float() / 255 if image.dtype == torch.uint8 else image
        return self.net((image - 0.5) / 0.5)


@dataclass(frozen=True)
class Setting:
    """What was tuned of the plain loop."""

    lr: float
    cosine: bool
    """Decay to zero over the seconds it has."""


@dataclass(frozen=True)
class Trained:
    """A network and how it came to be."""

    network: nn.Module
    val: float
    """Its abs_rel on the validation split, the best it had."""
    steps: int
    seconds: float


def train_plain(
    train: Pack, val: Pack, setting: Setting, batch: int, budget_s: float, validations: int, seed: int
) -> Trained:
    """Train within `budget_s`: float32, NCHW, Adam, masked L1 in metres, mirroring; best weights by validation."""
    device = open_device("cpu", "fp32")
    started = clock()
    torch.manual_seed(seed)
    network = Plain()
    optimizer = torch.optim.Adam(network.parameters(), lr=setting.lr)
    data = train.batch(np.arange(len(train)))
    best, kept, validated, validation_s, steps = math.inf, network.state_dict(), 0, 0.0, 0
    while validated < validations:
        image, depth, valid = _mirrored(data, batch_indices(len(train), batch, seed, steps))
        elapsed = (clock() - started) / budget_s
        for group in optimizer.param_groups:
            group["lr"] = setting.lr * (0.5 * (1 + math.cos(math.pi * min(elapsed, 1))) if setting.cosine else 1)
        network.train()
        error = (network(image) - depth).abs()
        loss = torch.where(valid, error, 0).sum() / valid.sum().clamp(min=1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if clock() - started + validation_s >= budget_s * (validated + 1) / validations:
            before = clock()
            score = _validated(network, val, batch, device)
            if score < best:
                best, kept = score, {name: value.clone() for name, value in network.state_dict().items()}
            validated += 1
            validation_s = clock() - before
    seconds = clock() - started
    network.load_state_dict(kept)
    return Trained(network.eval(), best, steps, seconds)


def _mirrored(data: Sample, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    image, depth, valid = data.image[indices].float() / 255, data.depth[indices], data.valid[indices]
    mirrored = torch.rand(len(indices), 1, 1, 1) < 0.5
    image, depth, valid = (torch.where(mirrored, field.flip(-1), field) for field in (image, depth, valid))
    return image, depth, valid


def _validated(network: nn.Module, val: Pack, batch: int, device: Device) -> float:
    network.eval()
    return validate(network, val, batch, device)["abs_rel"]


@dataclass(frozen=True)
class Contest:
    """A data set, and what the plain loop is given there; what was tried on val stands in docs/why/performance.md."""

    name: str
    overrides: tuple[str, ...]
    """By which the plugin's recipe comes to this data set."""
    setting: Setting


RECIPE = EXAMPLE / "recipes" / "cliff_lite0_hegR.yaml"
SETTINGS = [Setting(lr, cosine) for lr in (3e-4, 1e-3, 3e-3, 1e-2) for cosine in (True, False)]
CONTESTS = (Contest("pairs", (), Setting(3e-3, False)), Contest("rooms", ("data.use=rooms",), Setting(3e-3, False)))


@dataclass(frozen=True)
class Ours:
    """A finished recipe."""

    recipe: Recipe
    packed: Path
    weights: Path
    embedding_s: float
    depth_s: float
    """What the two trained stages took."""

    @property
    def seconds(self) -> float:
        """What the plain loop has, too."""
        return self.embedding_s + self.depth_s


def train_ours(contest: Contest, seed: int, store: Store) -> Ours:
    """What `cliffkit run` does, up to the test split; the generator is trained anew for each seed."""
    registry = load_plugins(strict=True).registry
    recipe = load_recipe(RECIPE, registry, [*contest.overrides, f"seed={seed}", f"train.embedding.seed={seed}"])
    jobs = {job.stage: job for job in plan(recipe, {})[:-1]}
    device, took = open_device("cpu", recipe.train.precision), {}
    for stage, job in jobs.items():
        started = clock()
        run_job(job, Means(store, device, {}, lambda event: None))
        took[stage] = clock() - started
    weights = store.folder(jobs["depth"]) / "weights.safetensors"
    return Ours(recipe, store.folder(jobs["pack"]), weights, took["embedding"], took["depth"])


def train_theirs(ours: Ours, setting: Setting, seed: int) -> Trained:
    """The plain loop on the same images in the same time, validated as often."""
    settings = ours.recipe.train.depth.settings
    train, val = (Pack(ours.packed / split) for split in ("train", "val"))
    validations = math.ceil(settings.steps / settings.validate_every)
    return train_plain(train, val, setting, settings.batch, ours.seconds, validations, seed)


def error_on_test(predict: Predictor, recipe: Recipe) -> float:
    """Mean over the test images at their own size, protocol `full`."""
    dataset = open_split(recipe, "test", {})
    rows = []
    for sample in map(dataset.__getitem__, range(len(dataset))):
        truth, known = truth_in_view(sample.depth.numpy()[0], sample.valid.numpy()[0], FULL.view)
        rows.append(score_image(predict(sample.image, FULL.view), truth, known, FULL))
    return summarise(rows, FULL)["abs_rel"]


def contested(contest: Contest, store: Store) -> Row:
    """Both sides under every seed, and the ratio of their mean test errors."""
    errors, facts = [], []
    for seed in SEEDS:
        ours = train_ours(contest, seed, store)
        theirs = train_theirs(ours, contest.setting, seed)
        own = predictor(ours.recipe, ours.weights, torch.device("cpu"))
        both = error_on_test(own, ours.recipe), error_on_test(replace(own, network=theirs.network), ours.recipe)
        errors.append(both)
        facts.append((ours, theirs))
        progress(f"{contest.name}, seed {seed}: {both[0]:.4f} against {both[1]:.4f}")
    return _row(contest, errors, facts)


def _row(contest: Contest, errors: list[tuple[float, float]], facts: list[tuple[Ours, Trained]]) -> Row:
    mean, spread = ([f([pair[k] for pair in errors]) for k in (0, 1)] for f in (fmean, stdev))
    fit = facts[0][0].recipe.train.depth.settings
    height, width = facts[0][0].recipe.data.engine["size"]
    speed = (
        fmean(fit.steps * fit.batch / ours.depth_s for ours, _ in facts),
        fmean(theirs.steps * fit.batch / theirs.seconds for _, theirs in facts),
    )
    figures = [
        f"{mean[0]:.4f} ± {spread[0]:.4f} against {mean[1]:.4f} ± {spread[1]:.4f} (mean, standard deviation of seeds)",
        f"{len(errors)} seeds",
        f"{fmean(ours.seconds for ours, _ in facts):.0f} against {fmean(theirs.seconds for _, theirs in facts):.0f} s",
        f"{fit.steps} against {fmean(theirs.steps for _, theirs in facts):.0f} steps",
        f"batch {fit.batch} at {height}x{width}",
        f"{speed[0]:.1f} against {speed[1]:.1f} images/s",
        f"theirs: Adam {contest.setting.lr:g}, {'cosine' if contest.setting.cosine else 'constant'}",
    ]
    return Row(
        f"test abs_rel for the time, `{RECIPE.stem}`, {contest.name}",
        "smp FPN, plain fp32 loop",
        mean[0] / mean[1],
        quartiles([a / b for a, b in errors]),
        "<= 1",
        "; ".join(figures),
    )


def contests() -> Iterator[Contest]:
    """Those whose data are there."""
    for contest in CONTESTS:
        if contest.name == "pairs" and not os.environ.get("CLIFFKIT_DATA_PAIRS"):
            progress("pairs: skipped; CLIFFKIT_DATA_PAIRS names no folder")
        else:
            yield contest


def rows() -> list[Row]:
    """One row per data set."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return [contested(contest, Store(Path(folder))) for contest in contests()]


def tune() -> None:
    """Print what each setting of the plain loop comes to on val. Test is not looked at."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for contest in contests():
            ours = train_ours(contest, SEEDS[0], Store(Path(folder)))
            for setting in SETTINGS:
                print(contest.name, setting, f"{train_theirs(ours, setting, SEEDS[0]).val:.4f}", flush=True)


if __name__ == "__main__":
    tune()
