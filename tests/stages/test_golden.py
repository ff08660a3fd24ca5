"""The numbers that each stage gives, listed with its version: when they change and the version does not, this fails.

A key holds the versions of the engine's stages, not their code. Were the code to change alone, results that were
stored before would pass for results of the new code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cliffkit.components.load import load_plugins
from cliffkit.jobs.plan import STAGE_VERSIONS
from cliffkit.recipe.check import load_recipe
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import REGIONS
from cliffkit.stages import STAGES
from cliffkit.stages.context import Context
from cliffkit.store.artifacts import (
    LOG,
    WEIGHTS,
    DepthFitFacts,
    FitFacts,
    FullSizeFacts,
    LevelDifferences,
    PackFacts,
    RegionScores,
    Scores,
)
from cliffkit.store.job import Job
from cliffkit.store.store import ARRAYS

from ..engine_fixtures import cpu
from . import golden_parts

RECIPE = """\
name: golden
seed: 3
data: {use: golden, size: [9, 12], crop: 0.75}
model:
  backbone: {use: pooled}
  pyramid: {use: mixed}
  fusion: {use: sum}
  head: {use: metres}
embedding: {use: recoder, weights: [2], warmup_steps: 2}
loss: [{use: mean, weight: 0.5}]
train:
  precision: fp32
  embedding: {steps: 3, batch: 4, validate_every: 1}
  depth: {steps: 3, batch: 4, micro_batch: 3, clip_norm: 1, ema: 0.5, validate_every: 1}
evaluate: [whole, {use: part, flip: true, align: median}]
"""
EXACT = ("model.pyramid.use=unchanged", "model.head.use=steps")
PARTS = {
    "dataset": {"golden": golden_parts.Rooms},
    "backbone": {"pooled": golden_parts.Pooled},
    "pyramid": {"mixed": golden_parts.Mixed, "unchanged": golden_parts.Unchanged},
    "fusion": {"sum": golden_parts.Sum},
    "head": {"metres": golden_parts.Metres, "steps": golden_parts.Steps},
    "embedding": {"recoder": golden_parts.Recoder},
    "loss": {"mean": golden_parts.Mean},
    "protocol": {"whole": golden_parts.whole, "part": golden_parts.part},
}

Numbers = Mapping[str, float | str]

GOLDEN: Mapping[str, tuple[int, Numbers]] = {
    "pack": (
        2,
        {
            "train arrays": "5c9955619ca9581c",
            "train median_m": 4.00005,
            "val arrays": "737e42efdd19d047",
            "val median_m": 3.8750500000000003,
        },
    ),
    "images": (1, {"files": "533250fc91fc1f61", "fingerprint": "test"}),
    "embedding": (
        4,
        {
            "best_step": 3,
            "best_score": 19.499991989135744,
            "mean difference": 0.319667277395816,
            "mean square": 0.29285355239529853,
            "step 1 lr": 0.001,
            "step 1 objective": 19.02376937866211,
            "step 2 lr": 0.00075,
            "step 2 objective": 19.460567474365234,
            "step 3 lr": 0.0002500000000000001,
            "step 3 objective": 21.277496337890625,
            "decode.bias": 0.27738797664642334,
            "decode.weight": -0.24583205580711365,
            "encode.bias": -0.2576756179332733,
            "encode.weight": -0.3038601279258728,
        },
    ),
    "depth": (
        5,
        {
            "best_step": 3,
            "best_score": 0.9827100723899692,
            "parameters": 69,
            "step 1 embedding": 0.0,
            "step 1 lr": 0.001,
            "step 1 mean": 2.026177167892456,
            "step 2 embedding": 0.898665189743042,
            "step 2 lr": 0.00075,
            "step 2 mean": 2.0159857273101807,
            "step 3 embedding": 1.7870166301727295,
            "step 3 lr": 0.0002500000000000001,
            "step 3 mean": 2.0662944316864014,
            "head.metres.bias": -0.14485235512256622,
            "head.metres.weight": -0.000417147995904088,
            "pyramid.mix.0.bias": -0.30643296241760254,
            "pyramid.mix.0.weight": 0.03397202491760254,
            "pyramid.mix.1.bias": 0.046043239533901215,
            "pyramid.mix.1.weight": 0.3511575162410736,
        },
    ),
    "evaluate": (
        3,
        {
            "baseline_depth_m": 4.00005,
            "whole: abs_rel": 0.6089212720077496,
            "whole: sq_rel": 1.2713286964925323,
            "whole: rmse": 2.0483253846267613,
            "whole: rmse_log": 0.6346380945644309,
            "whole: log10": 0.23380227231521195,
            "whole: silog": 62.62939869371436,
            "whole: delta1": 0.20343165232160393,
            "whole: delta2": 0.4209437749596274,
            "whole: delta3": 0.6538031297865778,
            "whole: n": 10,
            "whole: absent": 0,
            "whole: constant abs_rel": 0.7809044550922939,
            "whole: constant rmse": 1.8505120576844825,
            "whole: constant n": 10,
            "part+flip+median: abs_rel": 1.7766072304865432,
            "part+flip+median: sq_rel": 6.376156090736851,
            "part+flip+median: rmse": 2.4291002223664635,
            "part+flip+median: rmse_log": 0.9378676696198358,
            "part+flip+median: log10": 0.2836924639873303,
            "part+flip+median: silog": 90.55996250996978,
            "part+flip+median: delta1": 0.25578992330759465,
            "part+flip+median: delta2": 0.4601077594892081,
            "part+flip+median: delta3": 0.6956289600346306,
            "part+flip+median: n": 10,
            "part+flip+median: absent": 0,
            "part+flip+median: constant abs_rel": 1.7560173324551418,
            "part+flip+median: constant rmse": 2.384412963926915,
            "part+flip+median: constant n": 10,
            "whole: below 1 m abs_rel": 2.934456706047058,
            "whole: 1 to 2 m abs_rel": 1.1279264092445374,
            "whole: 2 to 4 m abs_rel": 0.1970171868801117,
            "whole: 4 to 8 m abs_rel": 0.4486352622509003,
            "whole: boundary abs_rel": 0.6094539642333985,
            "whole: inside abs_rel": 0.5686370664172702,
            "whole: below 1 m images": 10,
            "whole: 1 to 2 m images": 10,
            "whole: 2 to 4 m images": 10,
            "whole: 4 to 8 m images": 10,
            "whole: 8 to 16 m images": 0,
            "whole: 16 to 32 m images": 0,
            "whole: from 32 m images": 0,
            "whole: boundary images": 10,
            "whole: inside images": 9,
            "part+flip+median: below 1 m abs_rel": 14.467320823669434,
            "part+flip+median: 1 to 2 m abs_rel": 1.9837556600570678,
            "part+flip+median: 2 to 4 m abs_rel": 0.5009501174092292,
            "part+flip+median: 4 to 8 m abs_rel": 0.3261313736438751,
            "part+flip+median: 8 to 16 m abs_rel": 0.4788953910271327,
            "part+flip+median: boundary abs_rel": 1.8002519011497498,
            "part+flip+median: inside abs_rel": 0.3773354530334473,
            "part+flip+median: below 1 m images": 10,
            "part+flip+median: 1 to 2 m images": 10,
            "part+flip+median: 2 to 4 m images": 10,
            "part+flip+median: 4 to 8 m images": 10,
            "part+flip+median: 8 to 16 m images": 6,
            "part+flip+median: 16 to 32 m images": 0,
            "part+flip+median: from 32 m images": 0,
            "part+flip+median: boundary images": 10,
            "part+flip+median: inside images": 5,
        },
    ),
}
"""By stage: the version, and what it gives."""

TOLERANCE = {
    "pack": (0.0, 0.0),
    "images": (0.0, 0.0),
    "embedding": (1e-5, 1e-7),
    "depth": (1e-5, 1e-7),
    "evaluate": (1e-9, 0.0),
}
"""Relative and absolute. Convolutions add in another order on other processors."""


def hold(stage: str, found: Numbers, golden: Mapping[str, tuple[int, Numbers]] = GOLDEN) -> None:
    """Compare what a stage gives with the list; say what to do where they differ."""
    version, listed = golden[stage]
    new = json.dumps(found, indent=4)
    place = f"list the new numbers in {Path(__file__).name}: {new}"
    if version != STAGE_VERSIONS[stage]:
        pytest.fail(f"stage '{stage}' is of version {STAGE_VERSIONS[stage]}, its numbers of {version}; {place}")
    if found.keys() != listed.keys() or any(not alike(found[name], listed[name], stage) for name in found):
        pytest.fail(
            f"stage '{stage}' gives other numbers than those listed for its version {version}. Where that is meant, "
            f"raise STAGE_VERSIONS['{stage}'] in jobs/plan.py, so that no stored result passes for one of the new "
            f"code, and {place}\nWhere an optimiser, a schedule or an augmentation changed and no stage did, "
            "the numbers alone are new: those parts are known by their own code."
        )


def alike(found: float | str, listed: float | str, stage: str) -> bool:
    """Tell whether two numbers are equal to the stage's tolerance, or two hashes are the same."""
    if isinstance(found, str) or isinstance(listed, str):
        return found == listed
    relative, absolute = TOLERANCE[stage]
    return found == pytest.approx(listed, rel=relative, abs=absolute)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each stage, done."""
    root = tmp_path_factory.mktemp("golden")
    registry = load_plugins().registry
    registry.from_plugin("golden", "1")
    for kind, parts in PARTS.items():
        for name, part in parts.items():
            registry.add(kind, name, f"{part.__module__}:{part.__name__}")
    (root / "golden.yaml").write_text(RECIPE, encoding="utf-8")

    done: dict[str, Path] = {}
    for stage in STAGES:
        changes = EXACT if stage == "evaluate" else ()
        recipe = load_recipe(root / "golden.yaml", registry, changes)
        if stage == "evaluate":  # of a network without weights, whose depth has the same bits everywhere
            save_file({}, done["depth"] / WEIGHTS)
        done[stage] = root / stage
        done[stage].mkdir()
        job = Job(stage, "golden", {"test": "golden"}, {}, recipe)
        STAGES[stage](job, Context(done[stage], dict(done), cpu(), {}, lambda event: None))
        if stage == "depth":
            (done[stage] / WEIGHTS).rename(root / WEIGHTS)
    return {**done, "": root}


def test_pack_gives_the_listed_arrays(folders: dict[str, Path]) -> None:
    found: dict[str, float | str] = {}
    for split in ("train", "val"):
        digest = hashlib.sha256()
        for path in sorted((folders["pack"] / split).glob("*.npy")):
            array = np.load(path)
            digest.update(f"{path.name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
        facts = PackFacts.read(folders["pack"] / split)
        found |= {f"{split} arrays": digest.hexdigest()[:16], f"{split} median_m": facts.median_m}
    hold("pack", found)


def test_images_gives_the_listed_files(folders: dict[str, Path]) -> None:
    names = sorted(path.name for path in folders["images"].iterdir() if path.suffix in ARRAYS)
    content = b"".join(name.encode() + (folders["images"] / name).read_bytes() for name in names)
    facts = FullSizeFacts.read(folders["images"])
    hold("images", {"files": hashlib.sha256(content).hexdigest()[:16], "fingerprint": facts.fingerprint})


def test_embedding_gives_the_listed_weights(folders: dict[str, Path]) -> None:
    weights = load_file(folders["embedding"] / WEIGHTS)
    facts = FitFacts.read(folders["embedding"])
    found = {"best_step": facts.best_step, "best_score": facts.best_score}
    differences = LevelDifferences.read(folders["embedding"])
    found |= {"mean difference": differences.l1[0], "mean square": differences.l2[0]}
    hold("embedding", {**found, **losses(folders["embedding"]), **some(weights)})


def test_depth_gives_the_listed_weights(folders: dict[str, Path]) -> None:
    facts = DepthFitFacts.read(folders["depth"])
    found = {"best_step": facts.best_step, "best_score": facts.best_score, "parameters": facts.parameters}
    hold("depth", {**found, **losses(folders["depth"]), **some(load_file(folders[""] / WEIGHTS))})


def test_evaluate_gives_the_listed_scores(folders: dict[str, Path]) -> None:
    scores = Scores.read(folders["evaluate"])
    found = {"baseline_depth_m": scores.baseline_depth_m}
    for name, scored in scores.protocols.items():
        found |= {f"{name}: {metric}": value for metric, value in scored.metrics.items()}
        found |= {f"{name}: constant {metric}": scored.baseline[metric] for metric in ("abs_rel", "rmse", "n")}
    regions = RegionScores.read(folders["evaluate"])
    for name, table in regions.scores.items():
        means = {
            region.name: table[:, k, METRICS.index("abs_rel")].astype(np.float64) for k, region in enumerate(REGIONS)
        }
        there = {region: values[~np.isnan(values)] for region, values in means.items()}
        found |= {f"{name}: {region} abs_rel": float(values.mean()) for region, values in there.items() if values.size}
        found |= {f"{name}: {region} images": values.size for region, values in there.items()}
    hold("evaluate", found)


def some(weights: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """The first weight of every tensor."""
    return {name: float(tensor.flatten()[0]) for name, tensor in sorted(weights.items())}


def losses(folder: Path) -> dict[str, float]:
    """Every term of every step's loss, and the rate."""
    lines = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    skipped = ("stage", "step", "loss")
    terms = [(line["step"], set(line) - {*skipped}, line) for line in lines if "loss" in line]
    return {f"step {step} {name}": line[name] for step, names, line in terms for name in sorted(names)}


# the comparison itself


@pytest.mark.parametrize(("stage", "off"), [("pack", 1e-15), ("depth", 1e-4), ("evaluate", 1e-8)])
def test_a_number_that_changed_is_told_with_what_to_do(stage: str, off: float) -> None:
    listed = {"a": 0.5, "b": 0.25}
    golden = {stage: (STAGE_VERSIONS[stage], listed)}
    hold(stage, dict(listed), golden)
    hold(stage, {**listed, "a": 0.5 * (1 + TOLERANCE[stage][0] / 2)}, golden)
    what = rf"stage '{stage}' gives other numbers .* raise STAGE_VERSIONS\['{stage}'\] .* list the new numbers"
    for found in ({**listed, "a": 0.5 * (1 + off)}, {"a": 0.5}, {**listed, "c": 1.0}):
        with pytest.raises(pytest.fail.Exception, match=what):
            hold(stage, found, golden)


def test_numbers_of_another_version_are_told_even_where_they_are_equal() -> None:
    version = STAGE_VERSIONS["pack"]
    with pytest.raises(pytest.fail.Exception, match=f"of version {version}, its numbers of {version - 1}; list"):
        hold("pack", {"a": 0.5}, {"pack": (version - 1, {"a": 0.5})})


def test_every_stage_has_its_numbers() -> None:
    assert GOLDEN.keys() == TOLERANCE.keys() == STAGE_VERSIONS.keys() == set(STAGES)
