"""`cliffkit ablate` and `cliffkit report` as a user meets them."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cliffkit.components.registry import Registry
from cliffkit.display.board import BoardView, summary
from cliffkit.recipe.shipped import locate
from cliffkit.store.artifacts import JobProgress
from cliffkit.store.store import Store
from cliffkit.study.board import HOW_TO_RETRY, Board
from cliffkit.text import duration

from ..conftest import Invoke
from ..study_fixtures import BASE, STUDY, FinishedStudy, small_study, write_study

CORES = len(os.sched_getaffinity(0))
"""So many workers have a thread each, as the finished study had: its pace is known."""


@pytest.fixture
def done(finished_study: FinishedStudy, tmp_path: Path) -> list[str]:
    """The options of a study that is done, in a store of the test's own."""
    return [str(write_study(tmp_path)), "--runs", str(finished_study.copy(tmp_path / "runs")), "--device", "cpu"]


def test_a_study_that_is_done_is_told_and_reported(invoke: Invoke, done: list[str], tmp_path: Path) -> None:
    ran = invoke("ablate", *done)
    assert ran.exit_code == 0
    assert "Nothing to do" in ran.stderr
    folder = tmp_path / "runs" / "studies" / "small"
    for words in ("none + cliff", "heg_s + add", "against none + cliff", "main effect", "interaction",
                  "full: whole image", str(folder / "report.html")):  # fmt: skip
        assert words in ran.stdout
    for name in ("report.html", "report.md", "table.tex", "results.csv", "per_image.csv"):
        assert (folder / name).stat().st_size > 0
    runs = sorted(path.name.rsplit("-", 1)[0] for path in (folder / "cells").iterdir())
    assert len(runs) == 8
    assert runs[0] == "small.heg_s-add.s0"


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_form_of_a_step_that_needs_a_gpu_is_refused_once_before_any_work(
    invoke: Invoke, done: list[str], more: list[str]
) -> None:
    said = invoke("ablate", *done, "--set", "train.depth.speed=graphs", *more)
    assert said.exit_code == 2
    assert said.stderr.count("train.depth.speed: 'graphs' needs a CUDA GPU, and this run computes on cpu") == 1


def test_json_is_one_object_with_the_verdicts(invoke: Invoke, done: list[str]) -> None:
    said = json.loads(invoke("ablate", *done, "--json").stdout)
    assert said["reference"] == "none + cliff"
    assert said["variants"][0]["verdict"] == "reference"
    assert {variant["variant"] for variant in said["variants"]} == {
        "none + cliff", "none + add", "heg_s + cliff", "heg_s + add",
    }  # fmt: skip
    for variant in said["variants"][1:]:
        difference = variant["difference"]
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert (difference["seeds"], difference["images"]) == (2, 5)
    assert [cell["state"] for cell in said["cells"]] == ["done"] * 8
    with Path(said["files"]["results.csv"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    mean = [float(row["value"]) for row in rows if (row["variant"], row["metric"]) == ("none + add", "abs_rel")]
    assert len(mean) == 2
    assert sum(mean) / 2 == pytest.approx(said["variants"][1]["mean"]["value"])


def test_report_trains_nothing_and_says_what_is_missing(invoke: Invoke, tmp_path: Path) -> None:
    study = write_study(tmp_path)
    ran = invoke("report", study, "--runs", tmp_path / "runs", "--device", "cpu")
    assert ran.exit_code == 0
    assert "none + cliff, seed 0: waiting" in ran.stdout
    assert "not measured" in ran.stdout
    assert not list((tmp_path / "runs" / "jobs").iterdir())


def test_one_comparison_would_have_seen_one_difference(
    invoke: Invoke, finished_study: FinishedStudy, tmp_path: Path
) -> None:
    study = write_study(tmp_path, f"{STUDY}exclude: [{{embedding: heg_s}}]\n")
    ran = invoke("report", study, "--runs", finished_study.copy(tmp_path / "runs"), "--device", "cpu")
    assert ran.exit_code == 0, ran.stderr
    assert re.search(r"would have seen a difference of [\d.e-]+ four times in five", ran.stdout)


def test_report_replaces_no_report_by_an_empty_one(
    invoke: Invoke, finished_study: FinishedStudy, tmp_path: Path
) -> None:
    runs = finished_study.copy(tmp_path / "runs")
    options = [write_study(tmp_path), "--runs", runs, "--device", "cpu"]
    assert invoke("report", *options).exit_code == 0
    folder = runs / "studies" / "small"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    ran = invoke("report", *options, "--set", "train.depth.steps=3")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert f"{folder / 'report.html'}: left as it is, since no cell of the study is done" in ran.stderr
    assert "give every --set that `cliffkit ablate` was given" in ran.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    for cell in finished_study.cells:
        shutil.rmtree(Store(runs).folder(cell.jobs[-1]))
    Store(runs).fail(finished_study.cells[0].jobs[-1], "no space left on device", "")
    assert invoke("report", *options).exit_code == 0, "that cells failed is news"
    assert "no space left on device" in (folder / "report.md").read_text()


def test_a_cell_can_predict_and_be_scored_again(invoke: Invoke, done: list[str], tmp_path: Path) -> None:
    assert invoke("ablate", *done).exit_code == 0
    cell = next((tmp_path / "runs" / "studies" / "small" / "cells").glob("small.none-add.s1-*"))
    scored = invoke("evaluate", cell, "--protocol", "eigen", "--device", "cpu", "--json")
    assert scored.exit_code == 0, scored.stderr
    assert set(json.loads(scored.stdout)["metrics"]) == {"eigen"}


def test_failed_cells_are_reported_beside_the_others(
    invoke: Invoke, finished_study: FinishedStudy, tmp_path: Path
) -> None:
    gone = [cell for cell in finished_study.cells if cell.variant.name == "heg_s + add"]
    runs = finished_study.copy(tmp_path / "runs", *(f"evaluate-{cell.jobs[-1].key}" for cell in gone))
    for cell in gone:
        Store(runs).fail(cell.jobs[-1], "no space left on device", "")
    options = [str(write_study(tmp_path)), "--runs", str(runs), "--device", "cpu"]
    ran = invoke("ablate", *options)
    assert ran.exit_code == 1
    assert "heg_s + add, seed 0: failed: evaluate: no space left on device" in ran.stdout
    assert "not measured" in ran.stdout
    assert f"2 cells failed before and are left alone; mend the cause: {HOW_TO_RETRY}" in ran.stderr
    assert ran.stderr.endswith(f"mend what made cells fail: {HOW_TO_RETRY}\n")
    again = invoke("ablate", *options, "--retry-failed", "--workers", "1")
    assert again.exit_code == 0, again.stderr
    assert "seed 0: failed" not in again.stdout


def test_dry_run_measures_and_runs_nothing(invoke: Invoke, tmp_path: Path, finished_study: FinishedStudy) -> None:
    study = write_study(tmp_path, STUDY.replace("[0, 1]", "[0, 1, 7]"))
    runs = finished_study.copy(tmp_path / "runs")
    before = sorted((runs / "jobs").iterdir())
    ran = invoke("ablate", study, "--runs", runs, "--device", "cpu", "--workers", CORES, "--dry-run", "--json")
    assert ran.exit_code == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["cells"], said["cells_done"], said["jobs"], said["jobs_done"]) == (12, 8, 27, 19)
    assert (said["jobs_shared"], said["jobs_to_do"], said["jobs_at_most"]) == (3, 8, 27)
    assert set(said["stages"]) == {"depth", "evaluate"}
    assert said["stages"]["depth"]["jobs"] == 4
    assert 0 < said["seconds"] < 600
    assert said["disk_bytes"] > 0
    assert said["memory_bytes"] > 100e6
    assert sorted((runs / "jobs").iterdir()) == before
    shown = invoke("ablate", study, "--runs", runs, "--device", "cpu", "--workers", CORES, "--dry-run").stdout
    assert "4 variants x 3 seeds = 12 cells, 8 done" in shown
    assert "expected: " in shown
    assert "jobs: 27, of which 3 shared by several cells; 19 done, 8 to do\n" in shown
    assert said["power"]["source"] == "own cells"
    assert [(plan["seeds"], plan["own"]) for plan in said["power"]["detectable"]] == [
        (3, True),
        (5, False),
        (10, False),
    ]
    assert f"  {said['power']['outlook']}\n" in shown
    assert "3 seeds will not see less than" in shown


def test_dry_run_finds_what_is_damaged_or_failed_and_leaves_it_as_it_is(
    invoke: Invoke, finished_study: FinishedStudy, tmp_path: Path
) -> None:
    cells = finished_study.cells
    store = Store(finished_study.copy(tmp_path / "runs", f"evaluate-{cells[2].jobs[-1].key}"))
    for job, name in ((cells[0].jobs[-1], "per_image.csv"), (cells[1].jobs[-1].needs["depth"], "weights.safetensors")):
        with (store.folder(job) / name).open("ab") as file:
            file.write(b"x")
    store.fail(cells[2].jobs[-1], "no space left on device", "")
    before = sorted(path for path in store.root.rglob("*") if not path.name.endswith(".lock"))

    options = [write_study(tmp_path), "--runs", store.root, "--device", "cpu", "--workers", CORES]
    ran = invoke("ablate", *options, "--dry-run", "--retry-failed", "--json")
    assert ran.exit_code == 0, ran.stderr
    assert f"evaluate {cells[0].jobs[-1].key[:8]} is damaged: per_image.csv has" in ran.stderr
    assert "`cliffkit ablate` does it again" in ran.stderr
    said = json.loads(ran.stdout)
    assert (said["cells_done"], said["cells_failed"], said["jobs_done"]) == (5, 0, 16)
    assert {stage: facts["jobs"] for stage, facts in said["stages"].items()} == {"depth": 1, "evaluate": 2}
    lines = invoke("ablate", *options, "--dry-run").stdout.splitlines()
    states = [next(line for line in lines if line.startswith(f"  {cell.name} ")).split()[-1] for cell in cells[:4]]
    assert states == ["waiting", "waiting", "failed", "done"]
    assert sorted(path for path in store.root.rglob("*") if not path.name.endswith(".lock")) == before


def test_what_lies_beyond_the_last_step_is_told_before_anything_runs(invoke: Invoke, tmp_path: Path) -> None:
    study = write_study(tmp_path)
    ran = invoke("ablate", study, "--runs", tmp_path / "runs", "--device", "cpu", "--set", "embedding.warmup_steps=9",
                 "--set", "model.backbone={use: timm, name: no_net}", "--set", "model.pyramid={use: fpn}")  # fmt: skip
    assert ran.exit_code == 2, "no network is built"
    assert ran.stderr.count("warning: embedding.warmup_steps is 9, and train.depth.steps 4: ") == 1


def test_every_variant_that_cannot_be_built_is_told_before_anything_runs(invoke: Invoke, tmp_path: Path) -> None:
    """Whether timm has a model only building it tells."""
    study = write_study(
        tmp_path,
        """\
name: s
base: base.yaml
axes:
  net:
    own: {}
    one: {model: {backbone: {use: timm, name: no_net}, pyramid: {use: fpn}}}
    two: {model: {backbone: {use: timm, name: no_such_net}, pyramid: {use: fpn}}}
""",
    )
    ran = invoke("ablate", study, "--runs", tmp_path / "runs", "--device", "cpu")
    assert ran.exit_code == 2
    assert "variant 'one': " in ran.stderr
    assert "study.yaml:7: model.backbone (timm): timm: there is no model 'no_such_net'" in ran.stderr
    assert not list((tmp_path / "runs" / "jobs").iterdir())


def test_a_part_that_many_variants_cannot_have_is_said_once(invoke: Invoke, tmp_path: Path) -> None:
    study = write_study(
        tmp_path,
        """\
name: s
base: base.yaml
axes:
  net:
    own: {}
    none: {model: {backbone: {use: timm, name: no_net}, pyramid: {use: fpn}}}
  loss: {l1: {}, l2: {loss: [{use: l2}]}, silog: {loss: [{use: silog}]}, berhu: {loss: [{use: berhu}]}}
""",
    )
    ran = invoke("ablate", study, "--runs", tmp_path / "runs", "--device", "cpu")
    assert ran.exit_code == 2
    assert ran.stderr.count("there is no model 'no_net'") == 1
    assert "variants 'none + l1', 'none + l2', 'none + silog' and 1 more: " in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.yaml"], "no.yaml: no such file"),
        (["study.yaml", "--executor", "lokal"], "no executor is called 'lokal'; did you mean 'local'?"),
        (["study.yaml", "--executor", "{use: local, address: auto}"], "--executor: address: unknown option; `local` "),
        (["study.yaml", "--executor", "{use: ray, cpus: 0}"], "--executor: cpus: 0: input should be greater than 0"),
        (["study.yaml", "--executor", "{use: ray"], "--executor: not YAML: "),
        (["study.yaml", "--set", "train.depht.steps=3"], "no such place in the recipe"),
        (["study.yaml", "--device", "cuda:99"], "cuda:99"),
        (["study.yaml", "--seeds", "3"], "seeds stand in the study's file, as `seeds: [0, 1, 2]`"),
    ],
)
def test_a_fault_of_the_user_is_one_message(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    ran = invoke("ablate", *arguments)
    assert ran.exit_code == 2
    assert message in ran.stderr


def test_a_store_of_a_newer_version_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "store.json").write_text('{"version": 99}')
    ran = invoke("ablate", write_study(tmp_path), "--runs", tmp_path / "runs")
    assert ran.exit_code == 2
    assert "written by a newer cliffkit" in ran.stderr


def test_the_built_in_study_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("cliffnet").read_text().startswith("# ")


def test_without_a_terminal_every_cell_that_ends_is_a_line(
    tmp_path: Path, registry: Registry, finished_study: FinishedStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = finished_study.cells
    board = Board(cells, Store(finished_study.copy(tmp_path / "runs", f"evaluate-{cells[2].jobs[-1].key}")))
    with BoardView("small") as view:
        view.show(board)
        assert capsys.readouterr().err == "small: 7 of 8 cells done\n", "what ended before is no news"
        board.put(board.jobs[cells[2].jobs[-1].key], "failed", "a \x1b[31mreason\u202e")
        view.show(board)
        view.show(board)
    lines = capsys.readouterr().err.splitlines()
    assert lines.count(f"{cells[2].name}: failed evaluate: a \\x1b[31mreason\\u202e") == 1
    assert not any(line.startswith(cells[0].name) for line in lines)
    assert summary(board, "small") == "small: 7 of 8 cells done, 1 failed"


def test_what_a_worker_has_to_say_is_said_once(
    tmp_path: Path, finished_study: FinishedStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = finished_study.cells
    job = cells[2].jobs[-2]
    board = Board(cells, Store(finished_study.copy(tmp_path / "runs", f"depth-{job.key}", "evaluate-")))
    board.put(board.jobs[job.key], "running")
    notice = "out of memory at 4 images per forward pass; going on with 2"
    board.store.tell_progress(job, JobProgress("depth", 2, 4, "step", {}, (notice,)))
    with BoardView("small") as view:
        view.show(board)
        first = capsys.readouterr().err
        view.show(board)
    assert "small: 0 of 8 cells done, 1 running\n  depth of heg_s + cliff, seed 0: depth " in first, "said at once"
    assert (first + capsys.readouterr().err).count(f"depth of heg_s + cliff, seed 0: {notice}") == 1


def test_a_reason_is_told_once_and_then_named_by_its_first_cell(
    tmp_path: Path, finished_study: FinishedStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = finished_study.cells[:3]
    board = Board(cells, Store(finished_study.copy(tmp_path / "runs", "evaluate-")))
    with BoardView("small") as view:
        view.show(board)
        assert capsys.readouterr().err == "small: 0 of 3 cells done\n"
        for cell, reason in zip(cells, ("no", "no", "other"), strict=True):
            board.put(board.jobs[cell.jobs[-1].key], "failed", reason)
            view.show(board)
    lines = [line for line in capsys.readouterr().err.splitlines() if ": failed" in line]
    assert lines == [
        f"{cells[0].name}: failed evaluate: no",
        f"{cells[1].name}: failed for the same reason as {cells[0].name}",
        f"{cells[2].name}: failed evaluate: other",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.52, "4.5 s"),
        (12.3, "12 s"),
        (89, "89 s"),
        (120, "2 min"),
        (5000, "83 min"),
        (7500, "2 h 05 min"),
        (98000, "1 d 3 h 13 min"),
    ],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_help_teaches(invoke: Invoke) -> None:
    said = invoke("ablate", "--help").stdout
    for words in ("cliffkit ablate STUDY.yaml --dry-run", "goes on where it was", "--retry-failed", "measured once"):
        assert words in said


def test_ctrl_c_stops_at_once_and_says_how_to_go_on(tmp_path: Path) -> None:
    study = write_study(
        tmp_path, base=BASE.replace("steps: 4, batch: 4, validate", "steps: 100000, batch: 4, validate")
    )
    options = ["--runs", str(tmp_path / "runs"), "--workers", "1", "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, "-m", "cliffkit", "ablate", str(study), *options],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where the tests run in a shell's background
    ) as process:  # fmt: skip
        give_up = time.monotonic() + 90
        while not list(tmp_path.glob("runs/jobs/depth-*/progress.json")) and time.monotonic() < give_up:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the same command goes on" in errors
    assert "Traceback" not in errors


def test_cells_are_named_for_people(registry: Registry, tmp_path: Path) -> None:
    _, cells = small_study(tmp_path, registry)
    assert cells[0].name == "none + cliff, seed 0"
    assert cells[0].recipe.name == "small.none-cliff.s0"
