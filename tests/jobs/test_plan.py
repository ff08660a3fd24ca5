"""A job's key is the hash of what its result depends on and nothing else."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cliffkit.components.registry import Component
from cliffkit.data.splits import data_root
from cliffkit.errors import UserError
from cliffkit.jobs.plan import Planner, plan
from cliffkit.recipe import yamlstrict
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.override import override

STAGES = ("pack", "images", "embedding", "depth", "evaluate")


@pytest.fixture
def jobs(tiny, registry):
    """`jobs(*sets, roots={})`: the tiny recipe's jobs by stage, after `--set` of each of `sets`."""

    def load(*sets, roots=None):
        recipe = check_recipe(override(yamlstrict.parse(tiny, "tiny.yaml"), sets, registry), registry)
        return {job.stage: job for job in plan(recipe, roots or {})}

    return load


def keys(jobs):
    return {stage: job.key for stage, job in jobs.items()}


def changed(one, other):
    assert one.keys() == other.keys()
    return {stage for stage in one if one[stage].key != other[stage].key}


ALL = set(STAGES)
TRAINING = {"embedding", "depth", "evaluate"}
DEPTH = {"depth", "evaluate"}
PACKED = ALL - {"images"}
TEST = {"images", "evaluate"}
DEPENDS = [
    ("name=other", set()),
    ("evaluate=[eigen]", {"evaluate"}),
    ("evaluate=[full, eigen]", {"evaluate"}),
    ("evaluate=[full+flip]", {"evaluate"}),
    ("seed=1", DEPTH),
    ("model.fusion.use=add", DEPTH),
    ("model.fusion.upsample=transposed", DEPTH),
    ("model.pyramid.channels=16", DEPTH),
    ("model.backbone={use: timm, name: test_resnet}", DEPTH),
    ("loss.0.use=l2", DEPTH),
    ("loss.0.weight=2", DEPTH),
    ("loss=[{use: l1}, {use: silog}]", DEPTH),
    ("embedding.weights=[10, 14]", DEPTH),
    ("embedding.norm=l2", DEPTH),
    ("embedding.warmup_steps=3", DEPTH),
    ("train.depth.steps=7", DEPTH),
    ("train.depth.augment={flip: 0.25}", DEPTH),
    ("train.depth.select=rmse", DEPTH),
    ("train.depth.optimizer=sgd", DEPTH),
    ("train.depth.optimizer={use: adamw, eps: 1e-7}", DEPTH),
    ("train.depth.schedule=poly", DEPTH),
    ("train.depth.augment=[flip]", DEPTH),
    ("train.depth.groups={backbone: 0.1}", DEPTH),
    ("train.depth.freeze=[backbone]", DEPTH),
    ("train.embedding.schedule=constant", TRAINING),
    ("model.head={use: sigmoid}", DEPTH),
    ("train.embedding.steps=7", TRAINING),
    ("train.embedding.seed=1", TRAINING),
    ("embedding.use=heg_r", TRAINING),
    ("train.precision=fp32", TRAINING),
    ("train.deterministic=true", TRAINING),
    ("data.size=[32, 64]", PACKED),
    ("data.crop=0.9", PACKED),
    ("data.train=25", ALL),
    ("data.seed=1", ALL),
]


@pytest.mark.parametrize(("setting", "stages"), DEPENDS, ids=[case[0] for case in DEPENDS])
def test_a_change_reaches_the_stages_that_read_it_and_what_follows_from_them(jobs, setting, stages):
    assert changed(jobs(), jobs(setting)) == stages


@pytest.mark.parametrize(
    "setting",
    [
        "train.depth.lr=0.001",
        "train.depth.lr=1e-3",
        "train.depth.augment={flip: 0.5}",
        "train.depth.augment=[{use: flip, probability: 0.5}, color_jitter]",
        "train.depth.optimizer=adamw",
        "train.depth.schedule={use: cosine}",
        "train.depth.milestones=[]",
        "train.depth.init=null",
        "model.head={use: linear}",
        "embedding.weights=[10.0, 15.0]",
        "embedding.norm=l1",
        "loss.0.weight=1",
        "model.fusion.upsample=bilinear",
        "data.holes=false",
        "seed=0",
    ],
)
def test_a_default_written_out_changes_nothing(jobs, setting):
    assert changed(jobs(), jobs(setting)) == set()


@pytest.mark.parametrize("random", [(), ("embedding.trained=false",)], ids=["trained", "random"])
def test_a_generator_with_the_replicate_s_seed_is_the_one_with_that_number(jobs, random):
    def of(seed, generator):
        return keys(jobs(*random, f"seed={seed}", f"train.embedding.seed={generator}"))

    assert of(3, "replicate") == of(3, 3)
    assert changed(jobs(*random), jobs(*random, "train.embedding.seed=replicate")) == set()
    assert of(3, "replicate")["embedding"] != of(4, "replicate")["embedding"]
    assert of(3, 0)["embedding"] == of(4, 0)["embedding"]


def test_stages_come_in_the_order_of_their_needs(jobs):
    planned = jobs()
    assert tuple(planned) == STAGES
    assert {stage: set(job.needs) for stage, job in planned.items()} == {
        "pack": set(),
        "images": set(),
        "embedding": {"pack"},
        "depth": {"pack", "embedding"},
        "evaluate": {"pack", "images", "depth"},
    }
    for job in planned.values():
        assert all(need is planned[stage] for stage, need in job.needs.items())


def test_without_a_trained_embedding_there_is_no_such_stage(jobs):
    planned = jobs("embedding.use=none")
    assert tuple(planned) == ("pack", "images", "depth", "evaluate")
    assert planned["pack"].key == jobs()["pack"].key
    trained_elsewhere = jobs("embedding.use=none", "train.embedding.steps=99")
    assert keys(planned) == keys(trained_elsewhere)  # what is not read does not count


def test_the_key_is_the_hash_of_what_it_shows(jobs):
    for job in jobs().values():
        text = json.dumps(json.loads(json.dumps(job.inputs)), sort_keys=True)
        assert job.key == hashlib.sha256(text.encode()).hexdigest()[:20]


def test_keys_of_one_recipe_differ(jobs):
    assert len(set(keys(jobs()).values())) == 5


def test_the_words_of_a_protocol_do_not_count(jobs):
    recipe = jobs()["depth"].recipe
    reworded = dataclasses.replace(
        recipe, protocols=tuple(dataclasses.replace(each, source="someone else") for each in recipe.protocols)
    )
    redefined = dataclasses.replace(
        recipe, protocols=tuple(dataclasses.replace(each, min_depth_m=0.5) for each in recipe.protocols)
    )
    assert plan(reworded, {})[-1].key == plan(recipe, {})[-1].key
    assert plan(redefined, {})[-1].key != plan(recipe, {})[-1].key


@pytest.mark.parametrize(
    ("part", "stages"),
    [
        ("dataset rooms", ALL),
        ("embedding heg_s", TRAINING),
        ("backbone handbuilt", DEPTH),
        ("pyramid symmetric", DEPTH),
        ("fusion cliff", DEPTH),
        ("loss l1", DEPTH),
        ("head linear", DEPTH),
        ("optimizer adamw", TRAINING),
        ("schedule cosine", TRAINING),
        ("augment flip", TRAINING),
        ("augment color_jitter", DEPTH),
    ],
)
def test_the_code_of_a_part_counts(jobs, monkeypatch, part, stages):
    before, identify = jobs(), Component.identity

    def other(component):
        identity = identify(component)
        return dataclasses.replace(identity, code="0") if f"{component.kind} {component.name}" == part else identity

    monkeypatch.setattr(Component, "identity", other)
    assert changed(before, jobs()) == stages


def test_the_plugin_that_gives_a_part_and_its_version_do_not_count(jobs):
    before = jobs()
    recipe = before["depth"].recipe
    component = dataclasses.replace(recipe.model["fusion"].component, plugin="another", version="2.0")
    fusion = dataclasses.replace(recipe.model["fusion"], component=component)
    other = dataclasses.replace(recipe, model={**recipe.model, "fusion": fusion})
    assert changed(before, {job.stage: job for job in plan(other, {})}) == set()


def test_a_stage_knows_the_code_that_it_computes_with(jobs):
    model = ["backbone", "pyramid", "fusion", "head"]
    parts = {stage: [part.component.kind for part in job.parts] for stage, job in jobs().items()}
    assert parts == {
        "pack": ["dataset"],
        "images": ["dataset"],
        "embedding": ["embedding", "optimizer", "schedule", "augment"],
        "depth": [*model, "embedding", "loss", "optimizer", "schedule", "augment", "augment"],
        "evaluate": model,
    }


class TestWhereDataLie:
    @pytest.fixture
    def pairs(self, tmp_path, make_pairs):
        return make_pairs(tmp_path / "here", scene_types=("attic", "bath"))

    def test_does_not_count(self, jobs, pairs, tmp_path, monkeypatch):
        here = jobs("data.use=pairs", roots={"pairs": pairs})
        shutil.copytree(pairs, tmp_path / "far" / "away")
        assert changed(here, jobs("data.use=pairs", roots={"pairs": tmp_path / "far" / "away"})) == set()
        monkeypatch.chdir(tmp_path)
        assert changed(here, jobs("data.use=pairs", roots={"pairs": Path("here")})) == set()
        monkeypatch.setenv("CLIFFKIT_DATA_PAIRS", str(pairs))
        assert changed(here, jobs("data.use=pairs")) == set()
        assert str(tmp_path) not in json.dumps([job.inputs for job in here.values()])

    @pytest.mark.parametrize(
        ("image", "stages"), [(0, PACKED), (4, PACKED), (6, {"images", "evaluate"})]
    )  # train, val, test
    def test_but_what_they_hold_does(self, jobs, pairs, image, stages):
        before = jobs("data.use=pairs", roots={"pairs": pairs})
        path = pairs / f"depth/{image}.png"
        depth = np.array(Image.open(path))
        depth[0, 0] += 1
        Image.fromarray(depth).save(path)
        assert changed(before, jobs("data.use=pairs", roots={"pairs": pairs})) == stages

    def test_is_said_by_name_else_by_a_variable(self, monkeypatch):
        assert data_root("my-data", {}) is None
        monkeypatch.setenv("CLIFFKIT_DATA_MY_DATA", "/there")
        assert data_root("my-data", {}) == Path("/there")
        assert data_root("my-data", {"my-data": Path("/here"), "other": Path("/x")}) == Path("/here")
        assert data_root("my-data", {"other": Path("/x")}) == Path("/there")

    def test_data_that_are_not_there_name_the_line(self, jobs, tmp_path):
        with pytest.raises(UserError, match=r"^--set data.use=pairs: data \(pairs\): pairs: no folder given"):
            jobs("data.use=pairs")
        with pytest.raises(UserError, match=r"^--set data.use=pairs: data \(pairs\): .*index\.csv: there is no"):
            jobs("data.use=pairs", roots={"pairs": tmp_path})


class TestFilesThatOptionsName:
    @pytest.fixture
    def weights(self, tmp_path):
        path = tmp_path / "weights.pt"
        path.write_bytes(b"some weights")
        return path

    @pytest.fixture
    def with_weights(self, jobs):
        return lambda path: jobs(f"model.backbone={{use: timm, name: test_resnet, weights: {path}}}")

    def test_count_by_what_they_hold(self, with_weights, weights, tmp_path):
        before = with_weights(weights)
        assert before["depth"].inputs["model"]["backbone"]["weights"] == hashlib.sha256(b"some weights").hexdigest()
        moved = shutil.copy(weights, tmp_path / "other_name.pt")
        assert changed(before, with_weights(moved)) == set()
        weights.write_bytes(b"other weights")
        assert changed(before, with_weights(weights)) == DEPTH

    def test_are_read_once_for_all_recipes_of_a_planner(self, with_weights, weights, monkeypatch):
        recipe = with_weights(weights)["depth"].recipe
        backbone = dataclasses.replace(recipe.model["backbone"], place="elsewhere")
        other = dataclasses.replace(recipe, model={**recipe.model, "backbone": backbone})
        read = []
        digest = hashlib.file_digest
        monkeypatch.setattr(hashlib, "file_digest", lambda *of: read.append(of) or digest(*of))
        planner = Planner({})
        assert keys({job.stage: job for job in planner.plan(recipe)}) == keys(with_weights(weights))
        assert planner.plan(other)[-1].key == planner.plan(recipe)[-1].key
        assert len(read) == 2  # the planner's, and that of `with_weights`

    def test_may_lie_in_the_home_folder(self, with_weights, weights, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert changed(with_weights(weights), with_weights("~/weights.pt")) == set()

    @pytest.mark.parametrize("path", ["missing.pt", ""])
    def test_must_be_there(self, with_weights, tmp_path, path):
        with pytest.raises(
            UserError, match=r"model\.backbone \(timm\): .* cannot be read: .*; give the path of a file"
        ):
            with_weights(tmp_path / path)


class TestWeightsToStartFrom:
    @pytest.fixture
    def run(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "weights.safetensors").write_bytes(b"some weights")
        return tmp_path / "run"

    def test_count_by_what_they_hold_not_by_where_they_lie(self, jobs, run, tmp_path):
        started = jobs(f"train.depth.init={run}")
        assert changed(jobs(), started) == DEPTH
        assert started["depth"].inputs["train"]["init"] == hashlib.sha256(b"some weights").hexdigest()
        assert str(tmp_path) not in json.dumps(started["depth"].inputs)
        moved = shutil.copy(run / "weights.safetensors", tmp_path / "other.safetensors")
        assert changed(started, jobs(f"train.depth.init={moved}")) == set()
        (run / "weights.safetensors").write_bytes(b"other weights")
        assert changed(started, jobs(f"train.depth.init={run}")) == DEPTH

    def test_are_each_stage_s_own(self, jobs, run):
        assert changed(jobs(), jobs(f"train.embedding.init={run / 'weights.safetensors'}")) == TRAINING

    def test_must_be_there(self, jobs, tmp_path):
        with pytest.raises(
            UserError, match=r"^train\.depth\.init: .*no_run cannot be read: .*; give the path of a file"
        ):
            jobs(f"train.depth.init={tmp_path / 'no_run'}")


def test_an_empty_split_is_refused(jobs, monkeypatch):
    recipe = jobs()["pack"].recipe
    rooms = recipe.data.component.load()
    monkeypatch.setattr(rooms, "__len__", lambda self: 0 if self._split == "val" else 6)
    with pytest.raises(UserError, match=r"^tiny\.yaml:4: data \(rooms\): the val split is empty"):
        plan(recipe, {})


def test_every_interpreter_gives_the_same_keys(jobs, tiny_recipe):
    script = (
        "import sys; from pathlib import Path; from cliffkit.components.load import load_plugins;"
        "from cliffkit.recipe.check import load_recipe; from cliffkit.jobs.plan import plan;"
        "recipe = load_recipe(Path(sys.argv[1]), load_plugins().registry);"
        "print({job.stage: job.key for job in plan(recipe, {})})"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script, str(tiny_recipe)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert said == [str(keys(jobs()))] * 2
