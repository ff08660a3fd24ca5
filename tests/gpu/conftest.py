"""Tests that need a CUDA GPU: `python -m pytest -m gpu -n 0`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cliffkit.training.device import Device, open_device

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session")
def gpu() -> Device:
    """The first GPU in float32."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here")
    return open_device("cuda", "fp32")
