"""`cliffkit recipes`: what comes with cliffkit, by name."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

import cliffkit
from cliffkit.errors import RecipeError
from cliffkit.recipe.shipped import about, locate, shipped

from ..conftest import Invoke

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_are_listed_with_a_line_each(invoke: Invoke) -> None:
    rows = json.loads(invoke("recipes", "--json").stdout)["recipes"]
    assert {"name": "nyu/cliff_resnet50_hegR", "kind": "recipe"}.items() <= rows[6].items()
    studies = [row["name"] for row in rows if row["kind"] == "study"]
    assert studies == ["cliffnet", "generators", "nyu_dinov2", "nyu_fusions", "nyu_generators"]
    lines = invoke("recipes").stdout.splitlines()
    assert len(lines) == len(rows) == len(list((ROOT / "recipes").rglob("*.yaml")))
    assert all(row["about"] and row["about"] in line for row, line in zip(rows, lines, strict=True))


def test_are_about_something_without_a_comment(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    assert about(tmp_path / "mine.yaml") == "mine"


def test_every_command_takes_their_names(invoke: Invoke) -> None:
    assert json.loads(invoke("plan", "cliff_hegR", "--json").stdout)["name"] == "cliff_hegR"
    assert invoke("validate", "nyu/cliff_resnet50_hegR", "cliffnet").stdout.count(": good") == 2
    assert "pairs/cliff_hegR.yaml:7: data (pairs): pairs: no folder given" in invoke("run", "pairs/cliff_hegR").stderr


def test_a_file_of_the_user_s_goes_first(tmp_path: Path) -> None:
    (tmp_path / "cliff_hegR").write_text("name: mine\n")
    assert locate("cliff_hegR") == Path("cliff_hegR")
    (tmp_path / "cliffnet").mkdir()
    assert locate("cliffnet") == shipped()["cliffnet"]


@pytest.mark.parametrize("given", ["recipes/cliff_hegR.yaml", "cliff_hegR.yaml", "Cliff_hegr", "cliff_hegRR"])
def test_a_path_that_is_nearly_a_name_is_told_the_name(given: str) -> None:
    with pytest.raises(RecipeError) as error:
        locate(given)
    assert str(error.value) == f"{given}: no such file; did you mean 'cliff_hegR', which comes with cliffkit?"


def test_are_copied_with_their_comments(invoke: Invoke, tmp_path: Path) -> None:
    said = invoke("recipes", "copy", "cliff_hegR")
    assert said.stdout == "written: cliff_hegR.yaml\n"
    assert (tmp_path / "cliff_hegR.yaml").read_text() == (ROOT / "recipes" / "cliff_hegR.yaml").read_text()
    assert json.loads(invoke("recipes", "copy", "nyu/cliff_resnet50_hegS", "deep/mine.yaml", "--json").stdout) == {
        "written": ["deep/mine.yaml"]
    }
    assert cliffkit.validate("deep/mine.yaml") == []


def test_a_copied_study_has_its_base_beside_it(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("recipes", "copy", "cliffnet", "mine").exit_code == 0
    study = (tmp_path / "mine" / "cliffnet.yaml").read_text()
    assert study.startswith("# Does the hierarchical embedding loss help")
    assert "\nbase: handbuilt_cliff_hegR.yaml\n" in study
    assert cliffkit.validate("mine/cliffnet.yaml") == []
    assert invoke("recipes", "copy", "cliffnet", "mine").exit_code == 0


def test_nothing_is_written_over(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "handbuilt_cliff_hegR.yaml").write_text("mine")
    said = invoke("recipes", "copy", "cliffnet")
    assert said.exit_code == 2
    assert "handbuilt_cliff_hegR.yaml is there already and says something else" in said.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["handbuilt_cliff_hegR.yaml"]


def test_an_unknown_name_is_refused(invoke: Invoke) -> None:
    said = invoke("recipes", "copy", "cliff_hegr")
    assert said.exit_code == 2
    assert "no recipe called 'cliff_hegr' comes with cliffkit; did you mean 'cliff_heg" in said.stderr


@pytest.mark.parametrize("arguments", [("recipes", "copy", "cliffnet"), ("plugins", "new", "mine", "--kind", "loss")])
def test_half_a_file_on_a_full_disk_stands_in_nobody_s_way(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    write = Path.write_text

    def half(path: Path, text: str, encoding: str) -> int:
        write(path, text[: len(text) // 2], encoding=encoding)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        full = invoke(*arguments)
    assert full.exit_code == 2
    assert "cannot be written: No space left on device: " in full.stderr
    assert full.stderr.endswith("make room, and run again\n")
    assert not list(tmp_path.iterdir())
    assert invoke(*arguments).exit_code == 0
