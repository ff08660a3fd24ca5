"""Tutorials of docs/start: a reader who follows them gets where they say, here with few images and steps.

The first plugin's page is followed in components/test_example_plugin.py. `just tutorials` follows the others at full
size and keeps the answers that the pages show. Dry runs measure for a minute, so a check of the study stands for them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .environment import Environment
from .pages import blocks, follow
from .plugins.layout_files import save, write_kitti

START = Path(__file__).parents[1] / "docs" / "start"
TINY_FIT = "--set train.depth.steps=4 --set train.depth.batch=2 --set train.depth.warmup_steps=0"
TINY_DATA = "--set data.size=[32,48] --set data.train=8 --set data.val=4 --set data.test=4"
TINY_RUN = f"{TINY_FIT} {TINY_DATA} --set train.embedding.steps=2 --set train.embedding.batch=2"


def page(name: str) -> str:
    return (START / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment.make(tmp_path_factory.mktemp("tutorials") / "venv", with_cliffkit=True)


def followed(name: str, folder: Path, environment: Environment, changes: dict[str, str]) -> str:
    """The page with the answers that its commands give after some changes."""
    return str(follow(page(name), folder, lambda script, where: environment.bash(script, where).stdout, changes))


def test_a_first_run_is_trained_predicted_changed_and_scored_again(environment: Environment, tmp_path: Path) -> None:
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "photo.jpg")
    told = followed(
        "first_run", tmp_path, environment, {"cliffkit run cliff_hegR": f"cliffkit run cliff_hegR {TINY_RUN}"}
    )
    answers = [block.text for block in blocks(told) if block.language == "text"]
    assert ["abs_rel" in answer for answer in answers] == [True] * 3
    assert (tmp_path / "depth" / "photo.npy").exists()
    assert len(list((tmp_path / "runs").glob("*_hegR-*/panel.png"))) >= 2


def test_a_first_study_is_planned_run_reported_and_its_networks_are_judged(
    environment: Environment, tmp_path: Path
) -> None:
    tiny = {
        "--set train.depth.steps=400 --set train.depth.validate_every=100 --set data.train=800 --set data.test=300": (
            f"{TINY_FIT} {TINY_DATA} --device cpu"
        ),
        "cliffkit ablate first.yaml --dry-run": "cliffkit validate first.yaml #",
        "seeds: [0, 1, 2]": "seeds: [0, 1]",
    }
    told = followed("first_study", tmp_path, environment, tiny)
    answers = [block.text for block in blocks(told) if block.language == "text"]
    assert answers[0] == "first.yaml: good\n"
    assert answers[1] == "first.yaml: good\n"
    assert "resnet10 + cliff" in answers[2]
    assert "report.html" in answers[3]

    few = {
        "test=60": "test=4",
        "height=96, width=128": "height=32, width=48",
        "for seed in 0 1 2": "for seed in 0 1",
        ",theirs/2": "",
        ",ours/2": "",
    }
    told = followed("judge", tmp_path, environment, few)
    answers = [block.text for block in blocks(told) if block.language == "text"]
    assert "4 images" in answers[0]
    assert "full+median" in answers[1]
    assert "theirs" in answers[2]
    assert (tmp_path / "scores" / "comparison" / "report.html").exists()


def test_kitti_gets_from_disk_to_table(environment: Environment, tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti")
    changes = {
        "/data/kitti": str(tmp_path / "kitti"),
        "size: [192, 640]": "size: [32, 64]",
        "resnet18, pretrained: true": "test_resnet",
        "steps: 20000, batch: 8": "steps: 2, batch: 2",
        "warmup_steps: 500, ": "",
        "validate_every: 1000": "validate_every: 2",
        "{from: 3, to: 6}": "[0, 1]",
        ", concat: {model.fusion: {use: concat}}": "",
        "cliffkit ablate kitti_fusions.yaml --dry-run": "cliffkit validate kitti_fusions.yaml",
    }
    for line in (tmp_path / "kitti" / "eigen_test_files_with_gt.txt").read_text().splitlines():
        image, truth, _ = line.split()
        if truth != "None":
            save(tmp_path / "predictions" / image, np.full((20, 60), 256 * 12, np.uint16))

    variables = f"export CLIFFKIT_DATA_KITTI={tmp_path / 'kitti'}\n"
    asked: dict[str, str] = {}

    def bash(script: str, folder: Path) -> str:
        asked[script] = environment.bash(variables + script, folder).stdout
        return asked[script]

    follow(page("kitti"), tmp_path, bash, changes)
    said = "".join(asked.values())
    for words in ("3 images", "kitti.yaml: good", "garg", "kitti_eigen", "kitti_improved", "toprule"):
        assert words in said
    assert (tmp_path / "kitti.png").exists()
    assert (tmp_path / "runs" / "studies" / "kitti_fusions" / "report.html").exists()
