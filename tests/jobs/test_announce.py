"""Events reach the caller and every plugin; a plugin that fails to hear them is named once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cliffkit.components.load import Plugins, load_plugins
from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.events import Event, JobSkipped, JobStarted, Notice, Progress, RunFacts
from cliffkit.hookspecs import hookimpl
from cliffkit.interfaces import Place
from cliffkit.jobs import worker
from cliffkit.jobs.announce import announcer, telling_store
from cliffkit.jobs.plan import plan
from cliffkit.store.artifacts import JobProgress
from cliffkit.store.job import Job
from cliffkit.store.store import Store

from ..engine_fixtures import engine_recipe


class Listener:
    def __init__(self) -> None:
        self.heard: list[Event] = []

    @hookimpl
    def cliffkit_event(self, event: Event) -> None:
        self.heard.append(event)


class Deaf:
    @hookimpl
    def cliffkit_event(self, event: Event) -> None:
        raise OSError("no disk")


NAMED = "plugin 'deaf' failed to hear an event: cliffkit_event: OSError: no disk"


@pytest.fixture
def loaded() -> Plugins:
    """The installed plugins, one that listens and one that fails to."""
    loaded = load_plugins()
    loaded.manager.register(Listener(), name="listener")
    loaded.manager.register(Deaf(), name="deaf")
    return loaded


def test_every_event_is_heard_and_a_plugin_that_fails_is_named_once(loaded: Plugins) -> None:
    told: list[Event] = []
    emit = announcer(loaded, told.append)
    events = [JobStarted("pack", "a"), JobSkipped("depth", "b"), Notice("c")]
    for event in events:
        emit(event)
    assert told == [events[0], Notice(NAMED), *events[1:]]
    listener = loaded.manager.get_plugin("listener")
    assert isinstance(listener, Listener)
    assert listener.heard == events


def test_a_worker_prints_it_once_a_job(
    tmp_path: Path,
    registry: Registry,
    loaded: Plugins,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(worker, "_plugins", lambda: loaded)
    job = plan(engine_recipe(tmp_path, registry), {})[0]
    store = Store(tmp_path / "runs")
    run = RunFacts("small.add.s1", "0123", "add", 1, "small", tmp_path / "small.add.s1-0123", store.root)
    assert worker.do_job(worker.JobTask(job, store.root, {}, run=run), Place("cpu", 1)).state == "done"
    assert capsys.readouterr().err == f"{NAMED}\n"
    listener = loaded.manager.get_plugin("listener")
    assert isinstance(listener, Listener)
    assert [type(event).__name__ for event in listener.heard][-1] == "JobFinished"
    assert len(listener.heard) > 2
    assert [event.run for event in listener.heard] == [run] * len(listener.heard)


def test_other_processes_see_how_far_a_job_is_now_and_then_with_every_notice(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = plan(engine_recipe(tmp_path, registry), {})[0]
    store, heard = Store(tmp_path / "runs"), []
    clock = iter((10.0, 10.0, 10.2, 10.6, 10.6))
    monkeypatch.setattr("cliffkit.jobs.announce.time.monotonic", lambda: next(clock))
    tell = telling_store(job, store, heard.append)
    events = [
        Progress("pack", 1, 4, "image", {}),
        Notice("1 image has no depth"),
        Progress("pack", 2, 4, "image", {}),
        Progress("pack", 3, 4, "image", {"loss": 0.5}),
    ]
    tell(events[0])
    tell(events[1])
    tell(events[2])
    assert store.progress(job) == JobProgress("pack", 1, 4, "image", {}, ()), "too soon for another"
    tell(events[3])
    assert store.progress(job) == JobProgress("pack", 3, 4, "image", {"loss": 0.5}, ("1 image has no depth",))
    assert heard == events


def test_a_record_of_progress_that_cannot_be_written_ends_nothing(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, store = plan(engine_recipe(tmp_path, registry), {})[0], Store(tmp_path / "runs")

    def no_room(store: Store, job: Job, progress: JobProgress) -> None:
        raise UserError("progress.json: cannot be written: No space left on device")

    monkeypatch.setattr(Store, "tell_progress", no_room)
    heard: list[Event] = []
    progress = Progress("pack", 1, 2, "image", {})
    telling_store(job, store, heard.append)(progress)
    assert heard == [progress]
