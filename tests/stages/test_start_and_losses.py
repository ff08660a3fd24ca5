"""Starting from another run, freezing, losses that learn, and data that is named where training cannot use it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cliffkit.components.load import load_plugins
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.interfaces import Batch, Embedding, Loss, Sample
from cliffkit.jobs.plan import plan
from cliffkit.method.buildable import check_buildable
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages import STAGES
from cliffkit.stages.context import Context
from cliffkit.store.artifacts import LOSSES, WEIGHTS, DepthFitFacts, FitFacts
from cliffkit.verbs.finished import Run

from ..engine_fixtures import Tiny, cpu, do, engine_recipe

SHORT = ("train.depth={steps: 3, batch: 4, validate_every: 1}", "train.embedding={steps: 2, batch: 4}")


class Uncertain(Loss):
    """L1 whose weight is learnt, beside a parameter of several numbers that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.table = nn.Parameter(torch.zeros(3), requires_grad=False)

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        error = torch.where(batch.valid, prediction - batch.filled_depth(), 0).abs().sum() / batch.valid.sum().clamp(1)
        return error * torch.exp(-self.log_scale) + self.log_scale


class Unlabelled(Tiny):
    """Names scene types, and gives none to any image."""

    def __getitem__(self, index: int) -> Sample:
        return super().__getitem__(index)._replace(scene=torch.tensor(-1))


class Mislabelled(Tiny):
    """A scene index beyond the names."""

    def __getitem__(self, index: int) -> Sample:
        return super().__getitem__(index)._replace(scene=torch.tensor(3 if index == 2 else 0))


class Forgotten(Embedding):
    """Trained, as generators are unless they say otherwise, and nowhere said on what."""

    def __init__(self, scene_types: int, /) -> None:
        super().__init__()
        self.levels = 2
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, depth: Tensor) -> list[Tensor]:
        return [self.gain * depth, self.gain * depth.square()]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed components and those above."""
    registry = load_plugins().registry
    registry.from_plugin("tests", "1")
    registry.add("loss", "uncertain", f"{__name__}:Uncertain")
    registry.add("dataset", "unlabelled", f"{__name__}:Unlabelled")
    registry.add("embedding", "forgotten", f"{__name__}:Forgotten")
    registry.add("dataset", "mislabelled", f"{__name__}:Mislabelled")
    return registry


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Run:
    """A finished run with a loss that learns. Read it."""
    root = tmp_path_factory.mktemp("first")
    recipe = engine_recipe(root, registry, *SHORT, "loss=[{use: uncertain}, {use: l1}]")
    return do(recipe, root / "runs")


def depth_folder(run: Run) -> Path:
    return run.folder.parent / "jobs" / f"depth-{run.record.jobs['depth']}"


def test_a_loss_that_learns_is_saved_and_said(first: Run) -> None:
    facts = DepthFitFacts.read(depth_folder(first))
    kept = load_file(first.folder / LOSSES)
    assert kept.keys() == {"uncertain.log_scale", "uncertain.table"}
    assert facts.losses == {"uncertain.log_scale": kept["uncertain.log_scale"].item(), "uncertain.table": None}
    assert facts.losses["uncertain.log_scale"] != 0, "it was trained"
    assert facts.init is None
    assert not any(name.startswith("uncertain") for name in load_file(first.folder / WEIGHTS))


@pytest.mark.parametrize("of", ["run", "file"])
def test_training_starts_from_the_weights_of_a_run_or_a_file(
    tmp_path: Path, registry: Registry, first: Run, of: str
) -> None:
    init = first.folder if of == "run" else first.folder / WEIGHTS
    started = {"train.depth.init": init, "train.depth.freeze": "[backbone, pyramid, fusions]"}
    changes = (*SHORT, *(f"{path}={value}" for path, value in started.items()))
    run = do(engine_recipe(tmp_path, registry, *changes), tmp_path / "runs")
    before, after = load_file(first.folder / WEIGHTS), load_file(run.folder / WEIGHTS)
    for name, value in after.items():
        assert torch.equal(value, before[name]) != name.startswith("head."), name
    facts = DepthFitFacts.read(depth_folder(run))
    assert facts.init == hashlib.sha256((first.folder / WEIGHTS).read_bytes()).hexdigest()
    assert facts.losses == {}
    assert not (run.folder / LOSSES).exists()


def test_an_embedding_generator_starts_from_a_file_too(tmp_path: Path, registry: Registry, first: Run) -> None:
    file = first.folder.parent / "jobs" / f"embedding-{first.record.jobs['embedding']}" / WEIGHTS
    changes = (f"train.embedding.init={file}", "train.embedding.freeze=[full_size]", "train.embedding.steps=1")
    recipe = engine_recipe(tmp_path, registry, *SHORT, *changes)
    job = next(job for job in plan(recipe, {}) if job.stage == "embedding")
    pack = first.folder.parent / "jobs" / f"pack-{first.record.jobs['pack']}"
    STAGES["embedding"](job, Context(tmp_path, {"pack": pack}, cpu(), {}, lambda event: None))
    before, after = load_file(file), load_file(tmp_path / WEIGHTS)
    for name, value in after.items():
        assert torch.equal(value, before[name]) == name.startswith("full_size."), name
    assert FitFacts.read(tmp_path).init == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_that_is_another_than_when_the_job_was_planned_is_refused(
    tmp_path: Path, registry: Registry, first: Run
) -> None:
    file = tmp_path / "start.safetensors"
    file.write_bytes((first.folder / WEIGHTS).read_bytes())
    job = next(
        job for job in plan(engine_recipe(tmp_path, registry, *SHORT, f"train.depth.init={file}"), {})
        if job.stage == "depth"
    )  # fmt: skip
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    jobs = first.folder.parent / "jobs"
    needs = {stage: jobs / f"{stage}-{first.record.jobs[stage]}" for stage in ("pack", "embedding")}
    with pytest.raises(UserError, match=r"train\.depth\.init: .*start\.safetensors has changed since this job was"):
        STAGES["depth"](job, Context(tmp_path, needs, cpu(), {}, lambda event: None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("train.depth.freeze=[bakbone]",),
            r"train\.depth\.freeze: 'bakbone' matches no parameter; did you mean 'backb",
        ),
        (("train.embedding.groups={full: 0.1}",), r"train\.embedding\.groups: 'full' matches .* 'full_size'\?"),
        (
            ("train.depth.optimizer={use: sgd, momentum: 0, nesterov: true}",),
            r"train\.depth\.optimizer \(sgd\): sgd: nesterov needs",
        ),
        (("train.depth.augment=[{use: random_crop, zoom: [2, 1]}]",), r"random_crop: zoom is \[2\.0, 1\.0\]"),
        (
            ("model.fusion.use=add", "train.depth.init=RUN"),
            r"train\.depth\.init: .*weights\.safetensors are those of another network: fusions\.0\..* has no place",
        ),
        (("train.embedding.init=RUN",), r"train\.embedding\.init: .* those of another network"),
    ],
    ids=["freeze", "groups", "optimizer", "augment", "init", "init of an embedding"],
)
def test_what_training_cannot_use_is_told_before_any_work(
    tmp_path: Path, registry: Registry, first: Run, changes: tuple[str, ...], message: str
) -> None:
    changes = tuple(change.replace("RUN", str(first.folder)) for change in changes)
    with pytest.raises(UserError, match=message):
        check_buildable(engine_recipe(tmp_path, registry, *SHORT, *changes), {})
    check_buildable(engine_recipe(tmp_path, registry, *SHORT, f"train.depth.init={first.folder}"), {})


def stage(recipe: Recipe, name: str, folder: Path, needs: dict[str, Path]) -> Any:
    folder.mkdir()
    job = next(job for job in plan(recipe, {}) if job.stage == name)
    return STAGES[name](job, Context(folder, needs, cpu(), {}, lambda event: None))


def test_a_generator_that_is_trained_says_on_what_before_any_work(tmp_path: Path, registry: Registry) -> None:
    recipe = engine_recipe(tmp_path, registry, *SHORT, "embedding.use=forgotten")
    message = (
        r"embedding \(forgotten\): 'forgotten' of plugin 'tests' is trained and has no method `objective\(batch\)`"
    )
    with pytest.raises(UserError, match=message):
        check_buildable(recipe, {})


def test_scene_types_without_a_labelled_image_are_refused_by_name(tmp_path: Path, registry: Registry) -> None:
    data = "data={use: unlabelled, size: [12, 16]}"
    recipe = engine_recipe(tmp_path, registry, *SHORT, data, "embedding.use=heg_s")
    stage(recipe, "pack", tmp_path / "pack", {})
    message = (
        r"embedding \(heg_s\): 'heg_s' of plugin 'embeddings' learns scene types, and no training "
        r"image of data set 'unlabelled' has one; label its images, or use a generator that needs none, as heg_r"
    )
    with pytest.raises(UserError, match=message):
        stage(recipe, "embedding", tmp_path / "embedding", {"pack": tmp_path / "pack"})
    without = engine_recipe(tmp_path, registry, *SHORT, data)  # heg_r
    stage(without, "embedding", tmp_path / "without", {"pack": tmp_path / "pack"})
    assert (tmp_path / "without" / WEIGHTS).exists()


def test_a_scene_that_the_data_does_not_name_is_refused_by_name(tmp_path: Path, registry: Registry) -> None:
    recipe = engine_recipe(tmp_path, registry, *SHORT, "data={use: mislabelled, size: [12, 16]}")
    message = r"data \(mislabelled\): split 'train': tiny/train/2: scene is 3, and the data set names 3 scene types"
    with pytest.raises(UserError, match=message):
        stage(recipe, "pack", tmp_path / "pack", {})
