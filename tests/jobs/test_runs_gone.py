"""The runs folder is removed, or cannot be written any more, while a run is at work."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cliffkit.components.registry import Registry
from cliffkit.errors import UserError
from cliffkit.events import Event, JobStarted
from cliffkit.store import files

from ..engine_fixtures import bits, do, engine_recipe

SMALL = ("data.train=8", "data.val=2", "data.test=2")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    return do(engine_recipe(folder, registry, *SMALL), folder / "runs").folder


def at(stage: str, act: Callable[[], object]) -> Callable[[Event], None]:
    """Act when a stage begins."""

    def hear(event: Event) -> None:
        if isinstance(event, JobStarted) and event.stage == stage:
            act()

    return hear


@pytest.mark.parametrize("stage", ["pack", "images", "embedding", "depth", "evaluate"])
def test_a_runs_folder_that_is_removed_is_a_message_and_the_next_run_is_whole(
    tmp_path: Path, registry: Registry, unbroken: Path, stage: str
) -> None:
    recipe, runs = engine_recipe(tmp_path, registry, *SMALL), tmp_path / "runs"
    with pytest.raises(UserError, match=rf"^{tmp_path}.*(cannot be written|cannot be read|is gone)"):
        do(recipe, runs, at(stage, lambda: shutil.rmtree(runs)))
    assert bits(do(recipe, runs).folder) == bits(unbroken)


def test_a_runs_folder_that_becomes_read_only_is_a_message_and_the_run_goes_on_later(
    tmp_path: Path, registry: Registry, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, runs = engine_recipe(tmp_path, registry, *SMALL), tmp_path / "runs"

    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    message = "cannot be written: Read-only file system; see that its folder"
    with monkeypatch.context() as patch, pytest.raises(UserError, match=message):
        do(recipe, runs, at("depth", lambda: patch.setattr(files.os, "replace", refuse)))
    heard: list[Event] = []
    assert bits(do(recipe, runs, heard.append).folder) == bits(unbroken)
    assert [event.stage for event in heard if isinstance(event, JobStarted)] == ["depth", "evaluate"]
