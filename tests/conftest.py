"""What several test modules start from: plugins, a recipe of two seconds, one finished run of it, a command line."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from cliffkit.cli.main import cli
from cliffkit.components.load import Plugins, load_plugins
from cliffkit.components.registry import Registry

from .study_fixtures import FinishedStudy, Inline, run_small, small_study

TINY = """\
# A network of two seconds on six steps: what it predicts is worth nothing, how it comes about is all there.
name: tiny
seed: 0
data: {use: rooms, size: [32, 48], train: 24, val: 8, test: 6, height: 48, width: 64}
model:
  backbone: {use: handbuilt}
  pyramid: {use: symmetric, channels: 8}
  fusion: {use: cliff}
embedding: {use: heg_s, weights: [10, 15], warmup_steps: 2}
loss: [{use: l1}]
train:
  embedding: {steps: 6, batch: 4}
  depth: {steps: 6, batch: 4, validate_every: 3}
evaluate: [full]
"""

Invoke = Callable[..., Result]


@dataclass(frozen=True)
class Finished:
    """A run of the tiny recipe. Read it; a test that writes takes `own_run`."""

    runs: Path
    """The runs folder, with the store in it."""
    recipe: Path
    result: dict[str, Any]
    """What `cliffkit run --json` printed."""

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.runs / Path(self.result["run"]).name


@pytest.fixture(scope="session", autouse=True)
def _surroundings() -> Iterator[None]:
    """No settings of the caller's shell, and one thread: networks this small gain nothing by a second, and where
    others compute beside us its barriers cost thirtyfold."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CLIFFKIT_")]:
            patch.delenv(name)
        patch.setenv("OMP_NUM_THREADS", "1")  # of processes that tests start
        patch.setattr("cliffkit.study.forecast.busy_share", lambda: 0.0)  # tests run beside each other
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """The installed plugins."""
    return load_plugins()


@pytest.fixture(scope="session")
def registry(plugins: Plugins) -> Registry:
    """Every installed component."""
    return plugins.registry


@pytest.fixture(scope="session")
def invoke(plugins: Plugins) -> Invoke:
    """`cliffkit ARGUMENTS` in this process: the result has exit_code, stdout and stderr apart.

    An exception that a user would see as a traceback is raised here.
    """

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], obj=plugins)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture(scope="session")
def tiny() -> str:
    """The text of a recipe that trains and scores in two seconds, both stages trained."""
    return TINY


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> Path:
    """The tiny recipe as a file of the test's own."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, invoke: Invoke) -> Finished:
    """One finished run of the tiny recipe, made once for all tests."""
    root = tmp_path_factory.mktemp("finished")
    recipe = root / "tiny.yaml"
    recipe.write_text(TINY, encoding="utf-8")
    ran = invoke("run", recipe, "--runs", root / "runs", "--device", "cpu", "--json")
    assert ran.exit_code == 0, ran.stderr
    return Finished(root / "runs", recipe, json.loads(ran.stdout))


@pytest.fixture
def own_run(finished: Finished, tmp_path: Path) -> Finished:
    """A copy of the finished run, store and all, that the test may change."""
    shutil.copytree(finished.runs, tmp_path / "runs")
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY, encoding="utf-8")
    return Finished(tmp_path / "runs", recipe, finished.result)


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> FinishedStudy:
    """Two embeddings by two fusions under two seeds, run once for all tests."""
    root = tmp_path_factory.mktemp("study")
    study, cells = small_study(root, registry)
    executor = Inline()
    run_small(cells, root / "runs", executor)
    return FinishedStudy(study, cells, root / "runs", executor.given)


@pytest.fixture(scope="session")
def make_pairs() -> Callable[..., Path]:
    """`make_pairs(root, scene_types=())`: a folder of eight pairs, 32 x 48, four for training, two and two; its path.

    `scene_types`, where given, are dealt out in turn. `size` is (height, width).
    """

    def make(root: Path, scene_types: Sequence[str] = (), size: tuple[int, int] = (32, 48)) -> Path:
        height, width = size
        row, column = np.mgrid[:height, :width]
        lines = []
        for i, split in enumerate(("train",) * 4 + ("val",) * 2 + ("test",) * 2):
            for kind in ("rgb", "depth"):
                (root / kind).mkdir(parents=True, exist_ok=True)
            shade = (row * 3 + column * 2 + 20 * i) % 256
            Image.fromarray(np.stack([shade] * 3, axis=-1).astype(np.uint8)).save(root / f"rgb/{i}.png")
            Image.fromarray((1000 + 100 * i + 20 * row + 10 * column).astype(np.uint16)).save(root / f"depth/{i}.png")
            line = {"rgb": f"rgb/{i}.png", "depth": f"depth/{i}.png", "scene_id": f"scene{i}", "split": split}
            lines.append(line | ({"scene_type": scene_types[i % len(scene_types)]} if scene_types else {}))
        with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
        return root

    return make
