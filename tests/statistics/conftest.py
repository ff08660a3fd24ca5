from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def calibration() -> ModuleType:
    """The script that makes the tables of the docs."""
    spec = importlib.util.spec_from_file_location(
        "calibration", Path(__file__).parents[1] / "scripts" / "calibration.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "calibration", module)  # its dataclasses look themselves up there
        spec.loader.exec_module(module)
    return module
