"""What a job reads from outside is what its key was made of, or the job is not done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cliffkit
import cliffkit.verbs.run as run_module
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.events import Event, JobStarted, Notice
from cliffkit.jobs.execute import Means, run_jobs
from cliffkit.jobs.files import check_files, paths_in, replaced
from cliffkit.jobs.plan import plan
from cliffkit.store.store import Store

from ..conftest import Finished
from ..engine_fixtures import cpu, engine_recipe


@pytest.mark.parametrize("stage", ["pack", "images"])
def test_data_that_changed_after_planning_are_not_stored_under_the_old_key(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    recipe = engine_recipe(tmp_path, registry, "embedding.use=none")
    jobs, store = plan(recipe, {}), Store(tmp_path / "runs")

    def change(event: Event) -> None:
        if isinstance(event, JobStarted) and event.stage == stage:
            monkeypatch.setattr(recipe.data.component.load(), "fingerprint", lambda self: "other images")

    with pytest.raises(UserError, match=r"data \(rooms\): the (train|test) split has changed since .* run again"):
        run_jobs(jobs, Means(store, cpu(), {}, change))
    assert not any(store.done(job) for job in jobs if job.stage == stage)


def test_weights_that_changed_after_planning_are_refused(tmp_path: Path, registry: Registry) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"some weights")
    backbone = f"model.backbone={{use: timm, name: test_resnet, weights: {weights}}}"
    jobs = {job.stage: job for job in plan(engine_recipe(tmp_path, registry, backbone), {})}
    assert set(jobs["depth"].files) == {weights}
    assert not jobs["pack"].files
    check_files(jobs["depth"])
    weights.write_bytes(b"last weights")
    with pytest.raises(UserError, match=r"weights\.pt has changed since this job was planned; run again"):
        check_files(jobs["depth"])
    weights.unlink()
    with pytest.raises(UserError, match=r"weights\.pt cannot be read any more: No such file"):
        check_files(jobs["depth"])


def test_paths_are_found_wherever_an_option_holds_them() -> None:
    value = {"a": [Path("x"), 3], "b": (Path("y"), {"c": Path("z")}), "d": "no path"}
    assert list(paths_in(value)) == [Path("x"), Path("y"), Path("z")]
    assert replaced(value, lambda path: f"hash of {path}") == {
        "a": ["hash of x", 3],
        "b": ["hash of y", {"c": "hash of z"}],
        "d": "no path",
    }


def test_a_test_split_of_the_very_images_of_another_is_refused(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = engine_recipe(tmp_path, registry, "data.val=4", "data.test=4")
    rooms = recipe.data.component.load()
    monkeypatch.setattr(rooms, "fingerprint", lambda self: str(len(self)))
    assert plan(recipe, {}), "names differ: the fingerprint is a poor one"
    monkeypatch.setattr(rooms, "name", lambda self, index: f"{index}")
    with pytest.raises(UserError, match="the test split has the very images of the val split"):
        plan(recipe, {})


def test_test_images_of_one_name_are_refused(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = engine_recipe(tmp_path, registry)
    monkeypatch.setattr(recipe.data.component.load(), "name", lambda self, index: f"room {index // 2}")
    with pytest.raises(UserError, match="2 test images are called 'room 0'; give each image a name of its own"):
        plan(recipe, {})


def test_a_run_says_which_jobs_another_source_of_the_engine_did(
    own_run: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Event] = []
    again: dict[str, Any] = {"runs": own_run.runs, "device": "cpu", "progress": heard.append}
    cliffkit.run(own_run.recipe, **again)
    assert not [event for event in heard if isinstance(event, Notice)]
    monkeypatch.setattr(run_module, "engine_source", lambda: "edited")
    cliffkit.run(own_run.recipe, **again)
    (note,) = [event.text for event in heard if isinstance(event, Notice)]
    assert note.startswith("pack ")
    assert "done by another source of cliffkit's engine" in note
