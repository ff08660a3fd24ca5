from __future__ import annotations

import csv
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from cliffkit.components.registry import Registry
from cliffkit.data.augment import augment, draws_of
from cliffkit.data.full_size import write_full_size
from cliffkit.data.pack import Pack
from cliffkit.data.splits import open_split
from cliffkit.errors import UserError
from cliffkit.events import Event, Notice
from cliffkit.interfaces import Loss, Sample
from cliffkit.jobs.plan import plan
from cliffkit.method.assemble import assemble, build, build_losses, hierarchical_loss
from cliffkit.method.objectives import DepthObjective
from cliffkit.prediction.predictor import predictor
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.scores import score_image, summarise
from cliffkit.stages import STAGES, worth_keeping
from cliffkit.stages.context import Context
from cliffkit.stages.depth import validate
from cliffkit.stages.embedding import _shares
from cliffkit.store.artifacts import LOG, DepthFitFacts, EmbeddingFitFacts, Environment, PackFacts, Selection
from cliffkit.store.job import Job
from cliffkit.training.checkpoint import save_checkpoint
from cliffkit.training.device import Device
from cliffkit.training.tensors import keep_batch
from cliffkit.verbs.finished import Run
from cliffkit_embeddings.heg_r import HegR
from cliffkit_embeddings.heg_s import HegS

from ..engine_fixtures import Tiny, bits, cpu, do, engine_recipe, packed
from ..protocol_fixtures import protocol


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Recipe:
    return engine_recipe(tmp_path_factory.mktemp("recipe"), registry)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Run:
    """A finished run of the recipe. Read it."""
    return do(recipe, tmp_path_factory.mktemp("run"))


def job_folder(run: Run, stage: str) -> Path:
    return run.folder.parent / "jobs" / f"{stage}-{run.record.jobs[stage]}"


def job_of(recipe: Recipe, stage: str) -> Job:
    return next(job for job in plan(recipe, {}) if job.stage == stage)


def context(folder: Path, run: Run, emit: Any = lambda event: None) -> Context:
    folder.mkdir(exist_ok=True)
    needs = {stage: job_folder(run, stage) for stage in ("pack", "images", "embedding", "depth")}
    return Context(folder, needs, cpu(), {}, emit)


def batch_of(count: int = 4, size: tuple[int, int] = (32, 48)) -> Sample:
    data = Tiny(height=size[0], width=size[1])
    sample = Sample(*map(torch.stack, zip(*[data[i][:4] for i in range(count)], strict=True)))
    return sample._replace(image=sample.image / 255)


# the same recipe


def test_the_same_recipe_and_seed_give_the_same_bits_in_another_store(tmp_path: Path, recipe: Recipe, run: Run) -> None:
    torch.manual_seed(99)  # whatever was drawn before
    np.random.seed(99)
    assert bits(do(recipe, tmp_path).folder) == bits(run.folder)


def test_another_seed_gives_another_network_and_the_same_embedding(
    tmp_path: Path, registry: Registry, run: Run
) -> None:
    reused = shutil.copytree(run.folder.parent / "jobs", tmp_path / "jobs", ignore=shutil.ignore_patterns("depth-*"))
    assert reused
    other = do(engine_recipe(tmp_path, registry, "seed=1"), tmp_path)
    assert other.reused == ("pack", "images", "embedding")
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (run.folder, other.folder))
    assert not torch.equal(ours["head.metres.weight"], theirs["head.metres.weight"])
    assert (run.folder / "per_image.csv").read_bytes() != (other.folder / "per_image.csv").read_bytes()


def test_another_seed_of_the_embedding_gives_another_embedding(tmp_path: Path, registry: Registry, run: Run) -> None:
    weights = []
    for seed in (0, 1, "replicate"):
        recipe = engine_recipe(tmp_path, registry, "seed=1", f"train.embedding.seed={seed}")
        STAGES["embedding"](job_of(recipe, "embedding"), context(tmp_path / str(seed), run))
        weights.append((tmp_path / str(seed) / "weights.safetensors").read_bytes())
    assert weights[0] != weights[1] == weights[2]
    assert weights[0] == (job_folder(run, "embedding") / "weights.safetensors").read_bytes()


# who sees what


def test_the_embedding_sees_the_training_splits_depth_alone(tmp_path: Path, recipe: Recipe, run: Run) -> None:
    """With the packed validation split turned to rubbish, and the data set gone, its weights keep their bits."""
    poisoned = shutil.copytree(job_folder(run, "pack"), tmp_path / "pack")
    for path in (poisoned / "val").iterdir():
        path.write_bytes(b"rubbish")
    needs = {"pack": poisoned}
    (tmp_path / "embedding").mkdir()
    STAGES["embedding"](
        job_of(recipe, "embedding"), Context(tmp_path / "embedding", needs, cpu(), {}, lambda event: None)
    )
    for name in ("weights.safetensors", "log.jsonl"):
        assert (tmp_path / "embedding" / name).read_bytes() == (job_folder(run, "embedding") / name).read_bytes()


def test_a_generator_that_learns_scene_types_is_judged_on_training_images_that_it_did_not_learn_from(
    tmp_path: Path, registry: Registry, run: Run
) -> None:
    recipe, events = engine_recipe(tmp_path, registry, "embedding.use=heg_s"), list[Event]()
    folder = tmp_path / "embedding"
    folder.mkdir()
    STAGES["embedding"](job_of(recipe, "embedding"), context(folder, run, events.append))

    facts = EmbeddingFitFacts.read(folder)
    assert facts.held_out == 2  # a tenth of 24
    assert facts.right in (0, 0.5, 1)
    texts = [event.text for event in events if isinstance(event, Notice)]
    assert texts[0] == f"heg_s: {facts.describe()}"
    assert texts[1].startswith("heg_s names scene types hardly better than the most frequent one alone would")
    lines = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    assert [set(line["val"]) for line in lines if "val" in line] == [{"objective", "right"}]


def test_the_images_that_judge_a_classifier_are_none_that_it_learns_from(run: Run) -> None:
    train = Pack(job_folder(run, "pack") / "train")
    learnt, judged = _shares(HegS(10), train)
    assert (len(learnt), len(judged)) == (22, 2)
    depths = [
        {image.numpy().tobytes() for image in pack.batch(np.arange(len(pack))).depth} for pack in (learnt, judged)
    ]
    assert not depths[0] & depths[1]
    assert [len(pack) for pack in _shares(HegR(0), train)] == [24, 24]


def test_the_embedding_does_see_the_training_splits_depth(tmp_path: Path, recipe: Recipe, run: Run) -> None:
    """So that the test above can fail: with other training depth its weights are others."""
    changed = shutil.copytree(job_folder(run, "pack"), tmp_path / "pack")
    metres = np.load(changed / "train" / "metres.npy")
    np.save(changed / "train" / "metres.npy", metres * np.float32(1.01))
    (tmp_path / "embedding").mkdir()
    STAGES["embedding"](
        job_of(recipe, "embedding"), Context(tmp_path / "embedding", {"pack": changed}, cpu(), {}, lambda event: None)
    )
    ours, theirs = (folder / "weights.safetensors" for folder in (tmp_path / "embedding", job_folder(run, "embedding")))
    assert ours.read_bytes() != theirs.read_bytes()


def test_only_evaluate_opens_the_test_split(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = plan(recipe, {})
    opened: list[str] = []
    rooms = recipe.data.component.load()
    build_rooms = rooms.__init__

    def watch(self: Any, split: str, *arguments: Any, **options: Any) -> None:
        opened.append(split)
        build_rooms(self, split, *arguments, **options)

    monkeypatch.setattr(rooms, "__init__", watch)
    folders: dict[str, Path] = {}
    expected = {"pack": ["train", "val"], "images": ["test"], "embedding": [], "depth": [], "evaluate": []}
    for job in jobs:
        folder = tmp_path / job.stage
        folder.mkdir()
        opened.clear()
        STAGES[job.stage](job, Context(folder, folders, cpu(), {}, lambda event: None))
        assert opened == expected[job.stage]
        folders[job.stage] = folder
    assert sorted(path.name for path in folders["pack"].iterdir()) == ["train", "val"]


def test_the_best_weights_are_chosen_on_val_and_the_result_says_how(
    run: Run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    validations = {line["step"]: line["val"] for line in log if line["stage"] == "depth" and "val" in line}
    assert list(validations) == [2, 4, 6]
    best = min(validations, key=lambda step: validations[step]["abs_rel"])
    chosen = run.record.selection
    assert chosen == Selection("val", "abs_rel", validations[best]["abs_rel"], best)
    # those weights score just that on val, and something else on test
    network = build(recipe)
    network.load_state_dict(load_file(run.folder / "weights.safetensors"))
    network.to(memory_format=torch.channels_last).eval()
    val = Pack(job_folder(run, "pack") / "val")
    assert validate(network, val, 4, cpu()) == validations[best]
    assert run.record.metrics["full"]["abs_rel"] != chosen.best_score


def test_where_more_is_better_the_highest_score_is_chosen(tmp_path: Path, registry: Registry, run: Run) -> None:
    recipe = engine_recipe(
        tmp_path, registry, "train.depth.select=delta3", "train.depth.validate_every=1", "train.depth.lr=3e-2"
    )
    STAGES["depth"](job_of(recipe, "depth"), context(tmp_path / "depth", run))
    fitted = DepthFitFacts.read(tmp_path / "depth")
    log = [json.loads(line) for line in (tmp_path / "depth" / "log.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["val"]["delta3"] for line in log if "val" in line}
    assert fitted.select == "delta3"
    assert fitted.best_score == max(scores.values()) > min(scores.values())
    assert scores[fitted.best_step] == fitted.best_score


# stage pack


def test_packing_says_where_the_recipe_names_data_that_cannot_be_used(
    tmp_path: Path, recipe: Recipe, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(recipe, "pack")
    monkeypatch.setattr(
        sys.modules[STAGES["pack"].__module__], "open_split", lambda recipe, split, roots: Tiny(split, empty=(1,))
    )
    heard: list[Event] = []
    STAGES["pack"](job, context(tmp_path / "some", run, heard.append))
    notices = [event.text for event in heard if isinstance(event, Notice)]
    assert notices[0] == "1 of 12 train images have no valid depth"
    (tmp_path / "some" / "train" / "left over").touch()  # by an attempt that was killed
    STAGES["pack"](job, context(tmp_path / "some", run))
    assert not (tmp_path / "some" / "train" / "left over").exists()
    for fault, message in (
        ({"empty": tuple(range(12))}, r"engine\.yaml:3: data \(rooms\): split 'train': no image .* valid depth"),
        ({"broken": 7}, r"engine\.yaml:3: data \(rooms\): split 'train': tiny/train/7: the file is cut off"),
    ):
        monkeypatch.setattr(
            sys.modules[STAGES["pack"].__module__], "open_split", lambda recipe, split, roots, f=fault: Tiny(split, **f)
        )
        with pytest.raises(UserError, match=message):
            STAGES["pack"](job, context(tmp_path / "none", run))


# stage depth


def test_the_training_loss_is_the_weighted_sum_of_its_terms(recipe: Recipe) -> None:
    torch.manual_seed(0)
    modules = assemble(recipe, 14)
    network, losses, hierarchical = modules.network.eval(), modules.losses, modules.hierarchical
    assert hierarchical is not None
    sample = batch_of()
    weighted = [(name, weight, loss) for (name, _, loss), weight in zip(losses, (2.0, 0.25), strict=True)]
    terms = DepthObjective(replace(modules, losses=weighted), cpu().autocast)(sample, 2)
    prediction = network(sample.image)
    assert terms.keys() == {"l1", "gradient", "embedding"}
    error = (prediction - sample.depth)[sample.valid].abs().mean()
    torch.testing.assert_close(terms["l1"], 2 * error)
    torch.testing.assert_close(terms["gradient"], 0.25 * losses[1][2](prediction, sample))
    torch.testing.assert_close(terms["embedding"], hierarchical(prediction, sample, 2))
    assert terms["embedding"] > 0
    unweighted = [(name, 0.0, loss) for name, _, loss in losses[:1]]
    fewer = replace(modules, losses=[*unweighted, *losses[1:]], hierarchical=None)
    assert DepthObjective(fewer, cpu().autocast)(sample, 2).keys() == {"gradient"}


def test_losses_of_one_name_are_numbered(tmp_path: Path, registry: Registry) -> None:
    recipe = engine_recipe(tmp_path, registry, "loss=[{use: l1}, {use: gradient, weight: 3}, {use: l1, weight: 2}]")
    assert [(name, weight) for name, weight, _ in build_losses(recipe)] == [("l1_0", 1), ("gradient", 3), ("l1_2", 2)]


@pytest.mark.parametrize("change", ["embedding={use: none}", "embedding.weights=[0, 0]"])
def test_without_weighted_levels_the_hierarchical_term_is_absent(
    tmp_path: Path, registry: Registry, change: str
) -> None:
    assert hierarchical_loss(engine_recipe(tmp_path, registry, change), 14) is None


def test_validation_scores_each_image_as_the_metrics_do(tmp_path: Path, recipe: Recipe) -> None:
    pack = packed(Tiny(height=32, width=48), tmp_path / "pack", (32, 48))
    torch.manual_seed(0)
    network = build(recipe).eval()
    scores = validate(network, pack, 5, cpu())  # batches of 5, 5 and 2
    batch = pack.batch(np.arange(12))
    with torch.inference_mode():
        maps = network(batch.image).numpy()
    full = protocol("full")
    rows = [score_image(maps[i, 0], batch.depth[i, 0].numpy(), batch.valid[i, 0].numpy(), full) for i in range(12)]
    assert scores == pytest.approx(summarise(rows, full), rel=1e-5)
    with torch.no_grad():
        network.head.metres.bias.fill_(math.nan)
    assert math.isnan(validate(network, pack, 5, cpu())["abs_rel"])


def test_a_run_that_diverges_ends_with_the_term_the_step_and_the_remedy(
    tmp_path: Path, registry: Registry, run: Run
) -> None:
    recipe = engine_recipe(tmp_path, registry, "train.depth.lr=1e9", "train.depth.steps=40")
    jobs = run.folder.parent / "jobs"
    shutil.copytree(jobs, tmp_path / "jobs", ignore=shutil.ignore_patterns("depth-*", "evaluate-*"))
    with pytest.raises(UserError, match=r"stage depth, step \d+: the term '\w+' is (nan|inf).* lower train\.depth\.lr"):
        do(recipe, tmp_path)
    (kept,) = (tmp_path / "jobs").glob("depth-*.partial/diverged-*.safetensors")
    assert load_file(kept)["image"].shape == (4, 3, 32, 48)


def test_what_an_error_leaves_is_kept_where_it_is_of_use(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "image.npy").touch()
    (tmp_path / "log.jsonl").touch()
    assert not any(worth_keeping(stage, tmp_path) for stage in STAGES)
    keep_batch(tmp_path, 7, {"image": torch.zeros(1)})
    assert [stage for stage in STAGES if worth_keeping(stage, tmp_path)] == ["embedding", "depth"]
    for path in tmp_path.glob("diverged-*"):
        path.unlink()
    save_checkpoint(tmp_path, {}, {"step": 3})
    assert [stage for stage in STAGES if worth_keeping(stage, tmp_path)] == ["embedding", "depth"]


# on a device that is not there


class OnTheProcessor(Loss):
    """What the fake GPU must catch: a constant that was forgotten on the processor."""

    def forward(self, prediction: Tensor, sample: Sample) -> Tensor:
        return (prediction * torch.ones(prediction.shape[-2:])).mean()


def fake_gpu() -> Device:
    return Device(SimpleNamespace(num_processes=1), torch.float32, "a test", torch.device("cuda"))


def fake(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")


def to_fake_gpu(module: nn.Module) -> None:
    """Replace every parameter and buffer by a fake one on a GPU."""
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            setattr(child, name, nn.Parameter(fake(parameter), parameter.requires_grad))
        for name, buffer in list(child.named_buffers(recurse=False)):
            setattr(child, name, fake(buffer))


def forward_on_fake_gpu(recipe: Recipe, losses: list[tuple[str, float, Loss]]) -> dict[str, Tensor]:
    """Augmentation, network, losses and hierarchical loss of one step."""
    modules = replace(assemble(recipe, 14), losses=losses)
    hierarchical, objective = modules.hierarchical, DepthObjective(modules, fake_gpu().autocast)
    assert hierarchical is not None
    with FakeTensorMode(), torch.no_grad():
        to_fake_gpu(objective)
        to_fake_gpu(hierarchical.embedding)
        batch = batch_of()._replace(image=torch.zeros(4, 3, 32, 48, dtype=torch.uint8))
        steps = [part.build() for part in recipe.train.depth.augment]
        sample = augment(batch.map(fake), steps, torch.empty(draws_of(steps), 4))
        assert {field.device.type for field in sample.tensors().values()} == {"cuda"}
        terms: dict[str, Tensor] = objective(sample, 200)
        return terms


def test_the_frozen_generator_goes_where_the_objective_goes(recipe: Recipe) -> None:
    modules = assemble(recipe, 14)
    DepthObjective(modules, cpu().autocast).to("meta")
    assert modules.hierarchical is not None
    assert {tensor.device.type for tensor in modules.hierarchical.embedding.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("generator", ["heg_r", "heg_s"])
def test_a_training_step_leaves_no_tensor_on_the_processor(tmp_path: Path, registry: Registry, generator: str) -> None:
    every = ", ".join(f"{{use: {name}}}" for name in registry.names("loss"))
    recipe = engine_recipe(
        tmp_path, registry, f"loss=[{every}]", f"embedding.use={generator}", "model.head={use: bins}"
    )
    terms = forward_on_fake_gpu(recipe, build_losses(recipe))
    assert terms.keys() == {*registry.names("loss"), "embedding"}
    assert {(term.device.type, term.dtype, term.shape) for term in terms.values()} == {("cuda", torch.float32, ())}


def test_a_tensor_left_on_the_processor_is_caught(recipe: Recipe) -> None:
    with pytest.raises(RuntimeError, match=r"cuda.*cpu|cpu.*cuda"):
        forward_on_fake_gpu(recipe, [("forgetful", 1.0, OnTheProcessor())])


# stage evaluate


def test_every_protocol_and_image_is_scored_as_the_metrics_do_and_beside_a_constant(recipe: Recipe, run: Run) -> None:
    data = open_split(recipe, "test", {})
    predict = predictor(recipe, run.folder / "weights.safetensors", torch.device("cpu"))
    with (run.folder / "per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["protocol"], row["image"]) for row in rows] == [
        (name, data.name(i)) for name in ("full", "hu+flip") for i in range(4)
    ]
    full = protocol("full")
    median_m = PackFacts.read(job_folder(run, "pack") / "train").median_m
    baseline = []
    for i in range(4):
        sample = data[i]
        depth, valid = sample.depth.numpy()[0], sample.valid.numpy()[0]
        expected = score_image(predict(sample.image), depth, valid, full)
        found = {name: float(rows[i][name]) for name in METRICS}
        assert found == pytest.approx(expected, rel=1e-5), "several images at once round otherwise than one"
        baseline.append(score_image(np.full_like(depth, median_m), depth, valid, full))
    for name in ("full", "hu+flip"):
        scored = run.record.protocols[name]
        own: list[Any] = [{m: float(row[m]) for m in METRICS} for row in rows if row["protocol"] == name]
        assert scored.metrics == summarise(own, protocol(name))
        assert scored.protocol == protocol(name)
    assert run.record.baseline["full"] == summarise(baseline, full)
    assert run.record.baseline_depth_m == median_m
    assert run.record.parameters == sum(p.numel() for p in build(recipe).parameters())


def test_a_test_image_that_cannot_be_read_or_scored_is_named(
    tmp_path: Path, recipe: Recipe, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(recipe, "images")
    monkeypatch.setattr(sys.modules[STAGES["images"].__module__], "open_split", lambda *_: Tiny("test", broken=2))
    with pytest.raises(
        UserError, match=r"engine\.yaml:3: data \(rooms\): split 'test': tiny/test/2: the file is cut off"
    ):
        STAGES["images"](job, context(tmp_path / "broken", run))
    spoilt = load_file(run.folder / "weights.safetensors")
    spoilt["head.metres.bias"].fill_(math.nan)
    broken = context(tmp_path, run)
    shutil.copytree(broken.needs["depth"], tmp_path / "depth")
    (tmp_path / "depth" / "weights.safetensors").unlink()
    save_file(spoilt, tmp_path / "depth" / "weights.safetensors")
    write_full_size(Tiny("test"), tmp_path / "images", lambda done: None)
    needs = {**broken.needs, "depth": tmp_path / "depth", "images": tmp_path / "images"}
    with pytest.raises(UserError, match=r"test image tiny/test/0: .*NaN or infinite; protocol 'full' has no rule"):
        STAGES["evaluate"](job_of(recipe, "evaluate"), replace(broken, needs=needs))


def test_the_environment_of_the_run_stands_beside_it(run: Run) -> None:
    facts = Environment.read(run.folder)
    assert facts.precision == "float32"
    assert facts.precision_reason == "the recipe says so"
    assert facts.processes == 1
    assert facts.nondeterministic == ()


def test_packs_that_the_disk_cannot_hold_are_refused_before_anything_is_written(tiny_recipe, tmp_path, invoke):
    refused = invoke("run", tiny_recipe, "--runs", tmp_path / "runs", "--set", "data.train=1000000000000")
    assert refused.exit_code == 2
    assert "data (rooms): 1000000000008 images of 32x48 pixels take 7,680,000.0 GB of disk, and " in refused.stderr
    assert not list((tmp_path / "runs").rglob("*.npy"))
