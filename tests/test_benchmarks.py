"""The benchmarks' arithmetic and table; what they measure is never asserted."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture
def harness() -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / "harness.py"))


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    return runpy.run_path(str(FOLDER / "__main__.py"), run_name="benchmarks")


def test_a_ratio_is_ours_over_theirs_or_the_speed_up(harness: dict[str, Any]) -> None:
    pairs = [(1.0, 2.0), (1.0, 4.0), (2.0, 6.0)]
    slower, faster = (harness["row"]("a", "b", pairs, target) for target in ("<= 0.3", ">= 3"))
    assert (slower.ratio, faster.ratio) == (pytest.approx(1 / 3), 3)
    assert (slower.reached, faster.reached) == (False, True)
    assert harness["row"]("a", "b", pairs, "").reached is None
    assert faster.spread == (2.5, 3.5)


def test_what_is_measured_anew_replaces_its_rows_and_no_others(
    harness: dict[str, Any], runner: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    here, elsewhere = harness["processor"](), "Abacus, no bf16"
    rows = f"| `rooms` | {here} | kept |\n| `study` | {elsewhere} | there |\n| `study` | {here} | old |\n"
    page.write_text(f"before\n{runner['BEGIN']}\n{rows}\n- {elsewhere}: 1 core.\n{runner['END']}\nafter\n")
    monkeypatch.setitem(runner["write"].__globals__, "PAGE", page)
    runner["write"]({"study": [harness["row"]("new", "that", [(1.0, 2.0)], ">= 3")]})
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert f"| `rooms` | {here} | kept |" in text
    assert f"| `study` | {elsewhere} | there |" in text, "a row of another machine stays"
    assert f"| `study` | {here} | new | that | 2 | 2-2 | >= 3 | **no** |" in text
    assert "| old |" not in text
    assert f"- {elsewhere}: 1 core.\n" in text
    assert text.count(f"- {here}: ") == 1


def test_an_unknown_benchmark_is_told_with_those_there_are() -> None:
    said = subprocess.run([sys.executable, str(FOLDER), "romms"], capture_output=True, text=True)
    assert said.returncode == 2
    assert "no benchmark is called romms; there are authors, data, " in said.stderr
