"""What a fit does where memory ends: smaller passes, the same effective batch, told and kept."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cliffkit.errors import UserError
from cliffkit.events import Event, Notice, Progress
from cliffkit.interfaces import Sample
from cliffkit.store.artifacts import FitFacts
from cliffkit.training.fit import fit
from cliffkit.training.gradients import is_out_of_memory
from cliffkit.training.job import FitJob, Goal
from cliffkit.training.tensors import weights_of

from ..engine_fixtures import Tiny, ToyObjective, cpu, packed, settings, toy

CPU = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."


class Stopped(BaseException):
    """The process ends here."""


class Narrow(nn.Module):
    """An objective for which memory ends where a pass has more than `most` images, from step `since` on."""

    def __init__(self, objective: ToyObjective, most: int, error: BaseException, since: int = 0) -> None:
        super().__init__()
        self.objective, self.most, self.error, self.since = objective, most, error, since
        self.passes: list[int] = []

    def forward(self, sample: Sample, step: int) -> dict[str, Tensor]:
        if len(sample.image) > self.most and step >= self.since:
            raise self.error
        self.passes.append(len(sample.image))
        terms: dict[str, Tensor] = self.objective(sample, step)
        return terms


def trained(
    folder: Path, most: int = 99, error: BaseException | None = None, **options: object
) -> tuple[FitFacts, Narrow, list[Event]]:
    folder.mkdir()
    _, objective = toy()
    narrow = Narrow(objective, most, error or torch.OutOfMemoryError("CUDA out of memory."))
    heard: list[Event] = []
    goal = Goal("score", False, lambda: {"score": 1.0})
    pack, fitting = packed(Tiny(count=12), folder / "pack"), settings(steps=3, batch=7, **options)
    fitted = fit(FitJob(narrow, narrow, pack, fitting, goal, "depth", 0, folder, cpu(), heard.append))
    return fitted, narrow, heard


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError(CPU),
        MemoryError(),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["gpu", "cpu", "python", "driver", "library"],
)
def test_out_of_memory_halves_the_micro_batch_until_it_fits(tmp_path: Path, error: BaseException) -> None:
    fitted, narrow, heard = trained(tmp_path / "narrow", 3, error)
    assert narrow.passes == [2, 2, 2, 1] * 3, "7 to 4 to 2: the batch is whole, no pass above three"
    assert fitted.micro_batch == 2
    said = [event.text for event in heard if isinstance(event, Notice)]
    assert len(said) == 2
    assert "going on with 2, the batch stays 7" in said[-1]


def test_the_weights_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    wide, alone, _ = trained(tmp_path / "wide")
    assert wide.micro_batch is None
    _, narrow, _ = trained(tmp_path / "narrow", 2)
    for name, value in weights_of(alone).items():
        torch.testing.assert_close(weights_of(narrow)[name], value, rtol=1e-4, atol=1e-6)


def test_a_micro_batch_of_the_recipe_is_halved_too(tmp_path: Path) -> None:
    fitted, narrow, _ = trained(tmp_path / "narrow", 3, micro_batch=5)
    assert fitted.micro_batch == 3
    assert narrow.passes == [3, 3, 1] * 3


def test_one_image_that_does_not_fit_is_the_user_s_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stage depth: out of memory at 1 images .* lower train.depth.micro_batch"):
        trained(tmp_path / "none", 0)


def test_an_error_that_came_of_it_says_so_too() -> None:
    """As a recording that memory ended, which fails again when it is closed."""
    second = RuntimeError("operation failed due to a previous error during capture")
    assert not is_out_of_memory(second)
    second.__context__ = torch.OutOfMemoryError("CUDA out of memory.")
    assert is_out_of_memory(second)


def test_other_errors_are_not_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        trained(tmp_path / "other", 3, RuntimeError("shapes do not match"))


def test_a_fit_that_goes_on_keeps_the_smaller_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cliffkit.training.fit.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("cliffkit.training.fit.CHECKPOINT_SHARE", math.inf)
    monkeypatch.setattr("cliffkit.training.fit.LOG_EVERY", 1)
    folder = tmp_path / "broken"
    folder.mkdir()
    pack = packed(Tiny(count=12), folder / "pack")

    def begin(stop_at: int | None) -> Narrow:
        _, objective = toy()
        narrow = Narrow(objective, 3, torch.OutOfMemoryError("CUDA out of memory."))

        def emit(event: Event) -> None:
            if isinstance(event, Progress) and event.done == stop_at:
                raise Stopped

        goal = Goal("score", False, lambda: {"score": 1.0})
        fit(FitJob(narrow, narrow, pack, settings(steps=4, batch=7), goal, "depth", 0, folder, cpu(), emit))
        return narrow

    with pytest.raises(Stopped):
        begin(3)
    assert json.loads((folder / "checkpoint" / "state.json").read_text())["state"]["micro_batch"] == 2
    narrow = begin(None)
    assert narrow.passes == [2, 2, 2, 1] * 2
