"""Embedding generators without training: a whole run with each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cliffkit.components.registry import Registry

from ..engine_fixtures import do, engine_recipe, parts

SHORT = ("train.depth={steps: 3, batch: 4, validate_every: 1}",)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return parts()


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
def test_a_generator_without_training_needs_no_stage_and_joins_the_loss(
    tmp_path: Path, registry: Registry, name: str
) -> None:
    recipe = engine_recipe(tmp_path, registry, *SHORT, f"embedding={{use: {name}, warmup_steps: 0}}")
    run = do(recipe, tmp_path / "runs")
    assert list(run.record.jobs) == ["pack", "depth", "evaluate"]
    assert '"embedding": ' in (run.folder / "log.jsonl").read_text(encoding="utf-8")
