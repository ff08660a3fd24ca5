"""After a plain `pip install` of the wheel, in an empty folder: shipped recipes are there by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ..environment import Environment

ROOT = Path(__file__).parents[2]
PACKAGED = ("cliffkit", "plugins", "recipes", "pyproject.toml", "README.md", "LICENSE")
LEFT_OUT = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*", "examples")
QUICK = " ".join(
    f"--set {path}={value}"
    for path, value in {
        "data.size": "[32,48]", "data.height": 48, "data.width": 64, "data.train": 8, "data.val": 4, "data.test": 4,
        "train.depth.steps": 2, "train.depth.batch": 2, "train.depth.warmup_steps": 0,
    }.items()
)  # fmt: skip

QUICK_EMBEDDING = "--set train.embedding.steps=2 --set train.embedding.batch=2"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with cliffkit installed from a wheel, built from a copy of the repository."""
    folder = tmp_path_factory.mktemp("installed")
    for name in PACKAGED:
        source, target = ROOT / name, folder / "repository" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=LEFT_OUT)
        else:
            shutil.copy(source, target)
    made = Environment.make(folder / "venv", with_cliffkit=False)
    made.bash(f"pip wheel '{folder}/repository' -w wheels && pip install wheels/*.whl", folder)
    shutil.rmtree(folder / "repository")
    return made


def test_shipped_recipes_run_by_name(environment: Environment, tmp_path: Path) -> None:
    listed = json.loads(environment.bash("cliffkit recipes --json", tmp_path).stdout)["recipes"]
    assert all(Path(row["path"]).is_relative_to(environment.folder) for row in listed)
    assert {row["name"] for row in listed} == {
        path.relative_to(ROOT / "recipes").with_suffix("").as_posix().removeprefix("studies/")
        for path in (ROOT / "recipes").rglob("*.yaml")
    }
    assert {row["name"] for row in listed if row["kind"] == "study"} == {
        path.stem for path in (ROOT / "recipes" / "studies").iterdir()
    }

    names = " ".join(row["name"] for row in listed)
    validated = environment.bash(f"cliffkit validate {names}", tmp_path).stdout
    assert validated == "".join(f"{row['name']}: good\n" for row in listed)
    assert not list(tmp_path.iterdir())

    ran = json.loads(
        environment.bash(f"python -m cliffkit run cliff_hegR {QUICK} {QUICK_EMBEDDING} --json", tmp_path).stdout
    )
    assert (tmp_path / ran["run"] / "metrics.json").is_file()


def test_the_shipped_study_is_reported_by_name(environment: Environment, tmp_path: Path) -> None:
    command = f"cliffkit report cliffnet {QUICK}"
    said = environment.bash(f"{command} --json", tmp_path).stdout
    assert json.loads(said)["study"] == "cliffnet"
    page = (tmp_path / "runs" / "studies" / "cliffnet" / "report.md").read_text()
    assert "cliffkit ablate cliffnet --set " in page
    copied = environment.bash("cliffkit recipes copy cliffnet && cliffkit validate cliffnet.yaml", tmp_path).stdout
    assert copied.endswith("cliffnet.yaml: good\n")
