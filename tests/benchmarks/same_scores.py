"""The default settings and the loop that users write after equal steps: the same validation error to seed noise."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory

import torch
from harness import Row, progress
from parts import recipe
from safetensors.torch import load_file

from cliffkit.data.augment import augment, draws_of
from cliffkit.data.batches import Batches
from cliffkit.data.pack import Pack
from cliffkit.jobs.execute import Means, run_jobs
from cliffkit.jobs.plan import plan
from cliffkit.method.assemble import build, build_embedding, build_losses
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages.depth import validate
from cliffkit.store.artifacts import WEIGHTS, FitFacts
from cliffkit.store.store import Store
from cliffkit.training.device import open_device
from cliffkit.training.optimise import learning_rate

STEPS, SEEDS = 200, 3
SETS = ("data.train=800", f"train.depth.steps={STEPS}", f"train.depth.validate_every={STEPS}")


def rows() -> list[Row]:
    """Both under the same seeds, batches and augmentation."""
    with TemporaryDirectory() as folder:
        ours, theirs = [], []
        for seed in range(SEEDS):
            progress(f"equal steps, seed {seed}")
            of = recipe("cliff_hegR", *SETS, f"seed={seed}")
            jobs, store = plan(of, {}), Store(Path(folder))
            run_jobs(jobs[:-1], Means(store, open_device("cpu"), {}, lambda event: None))
            needs = {job.stage: store.folder(job) for job in jobs[:-1]}
            ours.append(FitFacts.read(needs["depth"]).best_score)
            theirs.append(naive(of, needs["pack"], needs["embedding"] / WEIGHTS))
    difference = mean(ours) - mean(theirs)
    each = [f"{mean(scores):.4f} ± {stdev(scores):.4f}" for scores in (ours, theirs)]
    figures = f"{' against '.join(each)} (mean, standard deviation of {SEEDS} seeds); least and most of a seed"
    what = f"val abs_rel after {STEPS} steps, recipes/cliff_hegR on 800 rooms: difference"
    apart = [a - b for a, b in zip(ours, theirs, strict=True)]
    return [Row(what, "the loop users write", difference, (min(apart), max(apart)), "", figures)]


def naive(of: Recipe, pack: Path, weights: Path) -> float:
    """fp32, NCHW, Adam, prediction and truth through the embedding with gradients; its validation abs_rel."""
    device, settings = open_device("cpu", "fp32"), of.train.depth.settings
    train, val = Pack(pack / "train"), Pack(pack / "val")
    network = build(of).train()
    losses = build_losses(of)
    assert of.embedding is not None
    embedding = build_embedding(of.embedding, len(train.facts.scene_types), of.generator_seed).eval()
    embedding.load_state_dict(load_file(weights))
    engine = of.embedding.engine
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = of.train.depth.schedule.build(settings.steps)
    steps = [part.build() for part in of.train.depth.augment]
    batches = Batches(train, settings.batch, of.seed, 0, 1, torch.device("cpu"))
    for step in range(settings.steps):
        optimizer.param_groups[0]["lr"] = learning_rate(settings, schedule, step)
        sample = augment(batches.load(step), steps, batches.draws(step, draws_of(steps)))
        prediction = network(sample.image)
        loss = sum(weight * term(prediction, sample) for _, weight, term in losses)
        ramp = min(1.0, step / engine["warmup_steps"])
        for weight, a, b in zip(engine["weights"], embedding(prediction), embedding(sample.depth), strict=True):
            loss = loss + ramp * weight * (a - b).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return validate(network.eval(), val, settings.batch, device)["abs_rel"]
