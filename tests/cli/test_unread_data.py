"""A folder that `--data` names for a data set that nothing reads is told in a line on stderr, and stops nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ..conftest import Finished, Invoke
from ..study_fixtures import FinishedStudy, write_study

NOTE = "data: nyu: its folder is not read; the data set is "


def lines(stderr: str, data: str) -> int:
    """How often it is told that the folder of nyu is not read."""
    return " ".join(stderr.split()).count(NOTE + data)


@pytest.fixture
def commands(
    own_run: Finished, finished_study: FinishedStudy, make_pairs: Callable[..., Path], tmp_path: Path
) -> dict[str, tuple[list[object], str]]:
    """Commands by what they are called here, each with the data set that it reads."""
    pairs = make_pairs(tmp_path / "pairs")
    for i in (6, 7):
        (tmp_path / "theirs/rgb").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / f"theirs/rgb/{i}.npy", np.full((32, 48), 2, np.float32))
    study = [write_study(tmp_path), "--runs", finished_study.copy(tmp_path / "study"), "--device", "cpu"]
    given = ["--dataset", "pairs", "--data", f"pairs={pairs}", "--protocol", "full"]
    scored = shutil.copytree(own_run.folder, tmp_path / "moved")
    return {
        "plan": (["plan", own_run.recipe, "--runs", own_run.runs], "rooms"),
        "run": (["run", own_run.recipe, "--runs", own_run.runs, "--device", "cpu", "--json"], "rooms"),
        "ablate": (["ablate", *study], "rooms"),
        "ablate --dry-run": (["ablate", *study, "--dry-run"], "rooms"),
        "score": (["score", tmp_path / "theirs", *given, "-o", tmp_path / "scores", "--json"], "pairs"),
        "evaluate on other data": (["evaluate", own_run.folder, *given, "--device", "cpu", "--json"], "pairs"),
        # two folders, since one of another data set alone would be what is scored
        "evaluate": (
            ["evaluate", scored, "--protocol", "eigen", "--data", f"rooms={tmp_path}", "--device", "cpu", "--json"],
            "rooms",
        ),
    }


@pytest.mark.parametrize(
    "name", ["plan", "run", "ablate", "ablate --dry-run", "score", "evaluate on other data", "evaluate"]
)
def test_a_folder_that_is_not_read_is_told_once_on_stderr(
    invoke: Invoke, commands: dict[str, tuple[list[object], str]], tmp_path: Path, name: str
) -> None:
    command, data = commands[name]
    ran = invoke(*command, "--data", f"nyu={tmp_path}")
    assert ran.exit_code == 0, ran.stderr
    assert lines(ran.stderr, data) == 1, ran.stderr
    if "--json" in command:
        json.loads(ran.stdout)
    silent = invoke(*command)
    assert lines(silent.stderr, data) == 0
