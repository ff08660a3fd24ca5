"""`cliffkit store`: list, verify, clean."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cliffkit.cli.store import _size
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.jobs.run_folder import name_jobs
from cliffkit.store.store import Store
from cliffkit.verbs import store as verbs

from ..conftest import Finished, Invoke
from ..store_fixtures import flip
from ..study_fixtures import FinishedStudy


def listed(invoke: Invoke, runs: Path, *more: str) -> dict[str, dict[str, Any]]:
    """What `store list --json` says, by the name of the folder."""
    result = invoke("store", "list", "--runs", runs, "--json", *more)
    assert result.exit_code == 0, result.stderr
    return {Path(job["folder"]).name: job for job in json.loads(result.stdout)["jobs"]}


def test_every_job_has_its_size_its_time_and_who_names_it(own_run: Finished, invoke: Invoke) -> None:
    jobs = listed(invoke, own_run.runs)
    assert sorted(job["job"].partition("-")[0] for job in jobs.values()) == [
        "depth",
        "embedding",
        "evaluate",
        "images",
        "pack",
    ]
    for name, job in jobs.items():
        folder = own_run.runs / "jobs" / name
        assert job["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert job["changed"] == json.loads((folder / "job.json").read_text())["finished"]
        assert (job["state"], job["users"]) == ("done", [own_run.folder.name])
    sizes = [job["bytes"] for job in jobs.values()]
    assert sizes == sorted(sizes, reverse=True)
    oldest = listed(invoke, own_run.runs, "--sort", "age")
    assert next(iter(oldest)).startswith("pack-")
    text = invoke("store", "list", "--runs", own_run.runs).stdout
    assert f"5 jobs, {_size(sum(sizes))}" in text
    assert text.count(own_run.folder.name) == 5
    assert "-: no run" not in text


def test_a_column_without_users_is_explained(own_run: Finished, invoke: Invoke) -> None:
    shutil.rmtree(own_run.folder)
    *jobs, explained, total = invoke("store", "list", "--runs", own_run.runs).stdout.splitlines()
    assert [line.split()[-1] for line in jobs] == ["-"] * 5
    assert explained == "-: no run and no study names the job"
    assert total.startswith("5 jobs, ")


def test_verify_reads_every_file_and_changes_nothing(own_run: Finished, invoke: Invoke) -> None:
    sound = invoke("store", "verify", "--runs", own_run.runs)
    assert (sound.exit_code, sound.stderr) == (0, "")
    assert "5 jobs (" in sound.stdout
    assert "1 folder of runs and scores verified; every file is as it was written" in sound.stdout

    (pack,) = (own_run.runs / "jobs").glob("pack-*")
    flip(pack / "val" / "depth.npy")
    flip(own_run.folder / "environment.json")
    before = {path: path.read_bytes() for path in own_run.runs.rglob("*") if path.is_file()}
    damaged = invoke("store", "verify", "--runs", own_run.runs, "--json")
    assert damaged.exit_code == 2
    facts = json.loads(damaged.stdout)
    assert (facts["jobs"], facts["runs"]) == (5, 1)
    assert [(entry["folder"], entry["damage"].split()[0]) for entry in facts["damaged"]] == [
        (str(pack), "val/depth.npy"),
        (str(own_run.folder), "environment.json"),
    ]
    assert {path: path.read_bytes() for path in own_run.runs.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("gone", ["metrics.json", "SHA256SUMS", "weights.safetensors", "panel.png"])
def test_a_run_that_has_lost_a_file_is_damaged(own_run: Finished, invoke: Invoke, gone: str) -> None:
    (own_run.folder / gone).unlink()
    verified = invoke("store", "verify", "--runs", own_run.runs)
    assert verified.exit_code == 2
    assert f"damaged: {own_run.folder}: {gone} cannot be read: No such file or directory" in verified.stderr
    assert "run and ablate do damaged jobs again" in verified.stderr
    assert "5 jobs" in verified.stdout
    assert "and 1 folder of runs and scores verified\n" in verified.stdout
    invoke("run", own_run.recipe, "--runs", own_run.runs, "--device", "cpu")
    assert invoke("store", "verify", "--runs", own_run.runs).exit_code == 0


def test_clean_without_a_terminal_says_how_and_removes_nothing(own_run: Finished, invoke: Invoke) -> None:
    shutil.rmtree(own_run.folder)
    asked = invoke("store", "clean", "--runs", own_run.runs)
    assert (asked.exit_code, asked.stderr) == (0, "nothing is removed; add --yes to remove what is listed\n")
    assert len(listed(invoke, own_run.runs)) == 5


def test_logs_and_failures_of_jobs_that_are_gone_are_removed(own_run: Finished, invoke: Invoke) -> None:
    jobs = own_run.runs / "jobs"
    depth = next(path.name for path in jobs.glob("depth-*") if path.is_dir())
    for name in ("depth-0123", depth):
        for ending in (".log", ".failed.json"):
            (jobs / f"{name}{ending}").write_text("x")
    assert invoke("store", "clean", "--runs", own_run.runs).stdout.startswith("nothing to remove")
    assert {path.name for path in jobs.glob("*.log")} == {f"{depth}.log"}
    assert {path.name for path in jobs.glob("*.failed.json")} == {f"{depth}.failed.json"}


def test_clean_removes_what_nobody_names_and_only_that(own_run: Finished, invoke: Invoke) -> None:
    where = ("--runs", own_run.runs, "--device", "cpu")
    assert invoke("run", own_run.recipe, *where, "--set", "seed=1").exit_code == 0
    (other,) = set(own_run.runs.glob("tiny-*")) - {own_run.folder}
    assert invoke("store", "clean", "--runs", own_run.runs).stdout.startswith("nothing to remove")

    alone = {name for name, job in listed(invoke, own_run.runs).items() if job["users"] == [other.name]}
    assert {name.partition("-")[0] for name in alone} == {"depth", "evaluate"}
    shutil.rmtree(other)
    shown = invoke("store", "clean", "--runs", own_run.runs, "--json")
    facts = json.loads(shown.stdout)
    assert {Path(job["folder"]).name for job in facts["leftovers"]} == alone
    assert facts["removed"] == []
    assert alone <= listed(invoke, own_run.runs).keys(), "nothing is removed before it is asked for"

    removed = invoke("store", "clean", "--runs", own_run.runs, "--yes")
    assert "removed: 2 jobs" in removed.stdout
    assert listed(invoke, own_run.runs).keys().isdisjoint(alone)
    again = json.loads(invoke("run", own_run.recipe, *where, "--json").stdout)
    assert set(again["reused"]) == {"pack", "images", "embedding", "depth", "evaluate"}


def test_what_is_unfinished_or_in_work_stays(own_run: Finished, invoke: Invoke) -> None:
    store = Store(own_run.runs)
    shutil.rmtree(own_run.folder)
    partial = store.jobs / "depth-0123.partial"
    (partial / "checkpoint").mkdir(parents=True)
    leftovers = verbs.list_leftovers(own_run.runs)
    assert partial not in {job.folder for job in leftovers}
    with store.try_hold(leftovers[0].name) as is_held:
        assert is_held
        removed = verbs.remove(leftovers, own_run.runs)
    assert removed == leftovers[1:]
    assert leftovers[0].folder.is_dir()
    assert "removed: 2 jobs" in invoke("store", "clean", "--unfinished", "--yes", "--runs", own_run.runs).stdout
    assert listed(invoke, own_run.runs) == {}


def test_a_run_names_its_jobs_from_its_start_on(own_run: Finished, invoke: Invoke, registry: Registry) -> None:
    """Or the packs of a run that was stopped would be taken for leftovers."""
    where = ("--runs", own_run.runs, "--device", "cpu")
    failing = invoke("run", own_run.recipe, *where, "--set", "seed=2", "--set", "train.depth.lr=1e30")
    assert failing.exit_code == 2
    users = {name: set(job["users"]) for name, job in listed(invoke, own_run.runs).items()}
    (pack,) = (name for name in users if name.startswith("pack-"))
    assert len(users[pack]) == 2


def test_a_study_names_the_jobs_of_all_its_cells(finished_study: FinishedStudy, tmp_path: Path) -> None:
    runs = finished_study.copy(tmp_path / "runs")
    assert len(verbs.list_leftovers(runs)) == len(list((runs / "jobs").glob("*/job.json")))
    jobs = {job.name: job for cell in finished_study.cells for job in cell.jobs}
    name_jobs(runs / "studies" / "small", jobs.values())
    assert verbs.list_leftovers(runs) == []
    assert {job.users for job in verbs.list_jobs(runs)} == {("studies/small",)}


def test_names_that_cannot_be_read_are_no_leave_to_remove(own_run: Finished) -> None:
    (own_run.folder / "jobs.json").write_text("{")
    with pytest.raises(UserError, match=r"jobs\.json: Invalid JSON"):
        verbs.list_leftovers(own_run.runs)


def test_a_folder_without_jobs_is_no_store(tmp_path: Path, invoke: Invoke) -> None:
    for command in ("list", "verify", "clean"):
        result = invoke("store", command, "--runs", tmp_path)
        assert result.exit_code == 2
        assert "holds no finished jobs; name a folder of runs with --runs" in result.stderr
    assert not list(tmp_path.iterdir())
