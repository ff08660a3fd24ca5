"""What a worker measures of itself."""

from __future__ import annotations

import pytest
import torch

from cliffkit.interfaces import Place
from cliffkit.jobs import worker


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_memory_is_told_in_bytes_whatever_the_system_counts(
    monkeypatch: pytest.MonkeyPatch, platform: str, unit: int
) -> None:
    class Usage:
        ru_maxrss = 7

    monkeypatch.setattr("cliffkit.jobs.worker.resource.getrusage", lambda who: Usage)
    monkeypatch.setattr("cliffkit.jobs.worker.sys.platform", platform)
    assert worker.peak_memory(Place("cpu", 1)) == 7 * unit


def test_memory_on_a_gpu_is_what_torch_took_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", {"cuda:1": 99}.__getitem__)
    assert worker.peak_memory(Place("cuda:1", 1)) == 99
