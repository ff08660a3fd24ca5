"""Embedding generators without training, random ones, and the scale on which all of them weigh alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cliffkit.components.registry import Registry
from cliffkit.data.pack import Pack, write_pack
from cliffkit.errors import RecipeError, UserError
from cliffkit.jobs.plan import plan
from cliffkit.method.assemble import build_embedding, hierarchical_loss
from cliffkit.method.differences import AT_ONCE, divisors, measure, pairs
from cliffkit.method.drawn import drawn
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.stages import STAGES, leaves
from cliffkit.stages.context import Context
from cliffkit.store.artifacts import WEIGHTS, DepthFitFacts, JobRecord, LevelDifferences, RunMetrics
from cliffkit.store.job import Job
from cliffkit.verbs.finished import Run
from cliffkit_embeddings.heg_r import HegR

from ..engine_fixtures import Tiny, cpu, do, engine_recipe, packed, parts

SHORT = ("train.depth={steps: 3, batch: 4, validate_every: 1}", "train.embedding={steps: 2, batch: 4}")

GENERATORS = {
    "heg_r": "{use: heg_r, weights: [1, 1]",
    "heg_s": "{use: heg_s, weights: [1, 1]",
    "random heg_r": "{use: heg_r, weights: [1, 1], trained: false",
    "random heg_s": "{use: heg_s, weights: [1, 1], trained: false",
    "filters": "{use: filters",
    "normals": "{use: normals",
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return parts()


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """Twenty-four training maps without a hole, and four to validate on."""
    folder = tmp_path_factory.mktemp("pack")
    recipe = engine_recipe(folder, registry, *SHORT, "data.holes=false")
    job = plan(recipe, {})[0]
    STAGES["pack"](job, Context(folder, {}, cpu(), {}, lambda event: None))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Run:
    """A finished run with a random generator on unit scale. Read it."""
    root = tmp_path_factory.mktemp("random")
    embedding = "embedding={use: heg_r, weights: [1, 2], warmup_steps: 0, trained: false, scale: unit}"
    return do(engine_recipe(root, registry, SHORT[0], embedding), root / "runs")


def job_of(tmp_path: Path, registry: Registry, *changes: str) -> Job:
    recipe = engine_recipe(tmp_path, registry, *SHORT, *changes)
    return next(job for job in plan(recipe, {}) if job.stage == "embedding")


def prepared(tmp_path: Path, registry: Registry, pack: Path, *changes: str) -> Path:
    """The folder that stage `embedding` leaves."""
    job = job_of(tmp_path, registry, *changes)
    STAGES["embedding"](job, Context(tmp_path, {"pack": pack}, cpu(), {}, lambda event: None))
    assert all((tmp_path / name).is_file() for name in leaves(job))
    return tmp_path


@pytest.mark.parametrize(
    ("written", "weights"),
    [
        ("{use: filters}", [1, 1, 1, 1]),
        ("{use: normals}", [1, 1, 1]),
        ("{use: filters, kernel: sobel, scales: 2, weights: [3, 0]}", [3, 0]),
        ("{use: heg_r}", [10, 15]),
    ],
)
def test_weights_that_are_not_written_are_the_generators(
    tmp_path: Path, registry: Registry, written: str, weights: list[float]
) -> None:
    recipe = engine_recipe(tmp_path, registry, *SHORT, f"embedding={written}")
    assert recipe.embedding is not None
    assert recipe.embedding.engine["weights"] == weights
    assert recipe.to_dict()["embedding"]["weights"] == weights


@pytest.mark.parametrize("name", ["filters", "normals"])
def test_a_generator_without_weights_needs_no_stage_and_joins_the_loss(
    tmp_path: Path, registry: Registry, name: str
) -> None:
    recipe = engine_recipe(tmp_path, registry, *SHORT, f"embedding={{use: {name}, warmup_steps: 0}}")
    run = do(recipe, tmp_path / "runs")
    assert list(run.record.jobs) == ["pack", "images", "depth", "evaluate"]
    assert '"embedding": ' in (run.folder / "log.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(("seed", "number"), [("0", 0), ("7", 7), ("replicate", 5)])
def test_a_generator_that_is_not_trained_keeps_the_weights_that_it_starts_with(
    tmp_path: Path, registry: Registry, pack: Path, seed: str, number: int
) -> None:
    changes = ("seed=5", "embedding.trained=false", f"train.embedding={{steps: 2, seed: {seed}}}")
    folder = prepared(tmp_path, registry, pack, *changes)
    start = drawn(number, "embedding", lambda: HegR(0)).state_dict()
    kept = load_file(folder / WEIGHTS)
    assert kept.keys() == start.keys()
    assert all(torch.equal(kept[name], value) for name, value in start.items())
    assert not (folder / "fit.json").exists()


def test_whether_a_generator_is_trained_and_its_seed_are_in_the_key_and_its_steps_are_not(
    tmp_path: Path, registry: Registry
) -> None:
    def key(*changes: str) -> str:
        return job_of(tmp_path, registry, *changes).key

    random = "embedding.trained=false"
    assert len({key(), key(random), key(random, "train.embedding={steps: 2, seed: 1}")}) == 3
    assert key(random) == key(random, "train.embedding={steps: 9, lr: 0.5}")
    assert key() == key("embedding.weights=[0, 1]")


def test_a_random_generator_needs_no_training_in_the_recipe_and_no_labels(tmp_path: Path, registry: Registry) -> None:
    changes = (SHORT[0], "embedding={use: heg_s, trained: false}", "train.embedding=null")
    recipe = engine_recipe(tmp_path, registry, *changes)
    assert recipe.train.embedding is None
    assert [job.stage for job in plan(recipe, {})] == ["pack", "images", "embedding", "depth", "evaluate"]


def test_weights_to_start_from_are_refused_for_a_generator_that_is_not_trained(
    tmp_path: Path, registry: Registry
) -> None:
    file = tmp_path / "start.safetensors"
    file.touch()
    with pytest.raises(RecipeError, match=r"train\.embedding\.init: embedding\.trained is false.*leave `init` out"):
        engine_recipe(tmp_path, registry, "embedding.trained=false", f"train.embedding={{steps: 1, init: {file}}}")


@pytest.mark.parametrize("written", GENERATORS.values(), ids=GENERATORS)
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_on_unit_scale_two_random_training_maps_differ_by_one_in_every_level(
    tmp_path: Path, registry: Registry, pack: Path, written: str, norm: str
) -> None:
    change = f"embedding={written}, norm: {norm}, scale: unit, warmup_steps: 0}}"
    folder = prepared(tmp_path, registry, pack, change)
    recipe = engine_recipe(tmp_path, registry, *SHORT, change)
    assert recipe.embedding is not None
    maps = Pack(pack / "train")
    scene_types = len(maps.facts.scene_types)
    loss = hierarchical_loss(recipe, scene_types, folder)
    assert loss is not None
    everything = list(pairs(maps, 0))
    assert sum(len(one.image) for one, _ in everything) == 12
    for k in range(loss.embedding.levels):
        weights = [float(i == k) for i in range(loss.embedding.levels)]
        embedding = build_embedding(recipe.embedding, scene_types, 0, folder / WEIGHTS)
        level = HierarchicalEmbeddingLoss(embedding, weights, norm, 0, loss.divisors)  # type: ignore[arg-type]
        values = [float(level(one.depth, other, 0)) for one, other in everything]
        share = [len(one.image) / 12 for one, _ in everything]
        assert np.dot(values, share) == pytest.approx(1, rel=1e-4)


def test_unit_scale_needs_a_stage_also_where_nothing_is_trained_and_never_trains_anew(
    tmp_path: Path, registry: Registry
) -> None:
    def keys(*changes: str) -> dict[str, str]:
        return {job.stage: job.key for job in plan(engine_recipe(tmp_path, registry, *SHORT, *changes), {})}

    plain, unit = keys(), keys("embedding.scale=unit")
    assert plain["embedding"] == unit["embedding"]
    assert plain["depth"] != unit["depth"]
    assert list(keys("embedding={use: filters}")) == ["pack", "images", "depth", "evaluate"]
    assert list(keys("embedding={use: filters, scale: unit}")) == ["pack", "images", "embedding", "depth", "evaluate"]


def test_differences_are_means_over_what_is_valid_in_both_maps(tmp_path: Path) -> None:
    """Pair by pair in float64, of a generator whose features are the filled depth itself."""

    class Depth(HegR):
        levels = 1

        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

        def forward(self, depth: torch.Tensor) -> list[torch.Tensor]:
            return [depth]

    pack = packed(Tiny(count=9), tmp_path)
    differences = measure(Depth(), pack, 3, torch.device("cpu"))
    assert differences.pairs == 4
    errors = []
    for one, other in pairs(pack, 3):
        both = (one.valid & other.valid).numpy()
        errors += [np.abs(one.depth.double().numpy() - other.depth.double().numpy())[both]]
    error = np.concatenate(errors)
    assert differences.l1 == pytest.approx([error.mean()], rel=1e-5)
    assert differences.l2 == pytest.approx([(error**2).mean()], rel=1e-5)


def test_pairs_are_a_function_of_the_seed_and_no_map_is_in_two(tmp_path: Path) -> None:
    pack = packed(Tiny(count=2 * AT_ONCE + 5, height=2, width=2), tmp_path, (2, 2))

    def drawn(seed: int) -> list[tuple[float, ...]]:
        halves = [half.image for chunk in pairs(pack, seed) for half in chunk]
        return [tuple(image.flatten().tolist()) for half in halves for image in half]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) == len(drawn(1)) == 2 * AT_ONCE + 4


def test_a_single_training_map_makes_no_pair_and_unit_scale_says_so(tmp_path: Path, registry: Registry) -> None:
    differences = measure(HegR(0), packed(Tiny(count=1), tmp_path), 0, torch.device("cpu"))
    assert (differences.pairs, differences.l1) == (0, (0.0, 0.0))
    embedding = engine_recipe(tmp_path, registry, "embedding.scale=unit").embedding
    assert embedding is not None
    with pytest.raises(UserError, match=r"engine\.yaml:.*level 0 of 'heg_r' is the same on all of 0 training maps"):
        divisors(embedding, differences)


def test_a_level_of_weight_0_needs_no_difference(tmp_path: Path, registry: Registry) -> None:
    embedding = engine_recipe(tmp_path, registry, "embedding={use: heg_r, weights: [0, 2], scale: unit}").embedding
    assert embedding is not None
    assert divisors(embedding, LevelDifferences(4, (0.0, 0.25), (0.0, 0.5))) == (1.0, 0.25)


def test_features_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    heg = HegR(0)
    with torch.no_grad():
        heg.full_size[0][0].weight.fill_(torch.inf)
    with pytest.raises(UserError, match=r"HegR: the features of two training maps differ by .*, which is not finite"):
        measure(heg, packed(Tiny(), tmp_path), 0, torch.device("cpu"))


def test_the_divisors_of_a_run_stand_in_its_record_and_their_file_has_a_checksum(run: Run) -> None:
    jobs = run.folder.parent / "jobs"
    folder = jobs / f"embedding-{run.record.jobs['embedding']}"
    differences = LevelDifferences.read(folder)
    assert min(differences.l1) > 0
    assert LevelDifferences.FILE in JobRecord.read(folder).files
    assert DepthFitFacts.read(jobs / f"depth-{run.record.jobs['depth']}").divisors == differences.l1
    assert RunMetrics.read(run.folder).divisors == differences.l1
    lines = (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["stage"] for line in lines} == {"depth"}


def test_the_loss_of_a_run_is_divided(tmp_path: Path, registry: Registry, run: Run) -> None:
    """The first step of two runs that differ in scale alone: terms of one are those of the other, level by level."""
    plain = engine_recipe(
        tmp_path, registry, SHORT[0],
        "embedding={use: heg_r, weights: [WEIGHTS], warmup_steps: 0, trained: false}".replace(
            "WEIGHTS", ", ".join(str(w / d) for w, d in zip((1, 2), run.record.divisors, strict=True))
        ),
    )  # fmt: skip
    other = do(plain, tmp_path / "runs")
    assert other.record.jobs["embedding"] == run.record.jobs["embedding"]
    assert other.record.divisors == ()
    first = [json.loads((folder / "log.jsonl").read_text().splitlines()[0]) for folder in (run.folder, other.folder)]
    assert first[0]["embedding"] == pytest.approx(first[1]["embedding"], rel=1e-5)


class FirstOfTiny(Tiny):
    """`Tiny` without its last image."""

    def __len__(self) -> int:
        return self.count - 1


@pytest.mark.parametrize("embedding", ["{use: heg_s, weights: [1, 1]}", "{use: heg_r, weights: [1, 1]}"])
def test_a_generator_learns_nothing_from_an_image_without_a_valid_pixel(
    tmp_path: Path, registry: Registry, embedding: str
) -> None:
    weights = []
    for name, dataset in (("with", Tiny(empty=(11,))), ("without", FirstOfTiny())):
        pack = tmp_path / name / "pack"
        write_pack(dataset, pack / "train", (12, 16), 1.0, lambda done: None)
        changes = (f"embedding={embedding}", "train.embedding={steps: 4, batch: 6}")
        weights.append(load_file(prepared(tmp_path / name, registry, pack, *changes) / WEIGHTS))
    assert len(Pack(tmp_path / "with" / "pack" / "train")) == 12
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
