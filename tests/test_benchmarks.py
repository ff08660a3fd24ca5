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
def page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    return runpy.run_path(str(FOLDER / "page.py"))


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
    harness: dict[str, Any], page: dict[str, Any], tmp_path: Path
) -> None:
    def row(what: str, target: str = ">= 3") -> Any:
        return harness["row"](what, "that", [(1.0, 2.0)], target)

    measured = page["Measured"]()
    measured = measured.with_rows("rooms", "Abacus", "1 core.", [row("kept")])
    measured = measured.with_rows("study", "Abacus", "1 core.", [row("both"), row("there")])
    measured = measured.with_rows("study", "Babbage", "2 cores.", [row("old")])
    measured = measured.with_rows("study", "Babbage", "3 cores.", [row("both", ">= 1")])
    measured.write(tmp_path / "measured.json")
    assert page["Measured"].read(tmp_path / "measured.json").tables() == measured.tables()

    text = measured.tables()
    assert "- Abacus: 1 core.\n- Babbage: 3 cores.\n" in text
    assert "| kept | that | >= 3 | **2**<br>1,000 against 2,000 ms, 1 pairs |" in text
    assert "| there | that | >= 3 | **2**<br>1,000 against 2,000 ms, 1 pairs |  |" in text, "a column per machine"
    both = "2<br>1,000 against 2,000 ms, 1 pairs"
    assert f"| both | that | >= 1 | {both} | {both} |" in text, "the newest aim judges old figures too"
    assert "old" not in text
    assert "2 of 4 aims are reached" in text


def test_the_page_shows_what_was_measured(page: dict[str, Any], runner: dict[str, Any]) -> None:
    measured = page["Measured"].read(runner["MEASURED"])
    assert f"{page['BEGIN']}\n{measured.tables()}\n{page['END']}" in runner["PAGE"].read_text(encoding="utf-8")


def test_a_benchmark_that_fails_costs_no_other_its_figures(
    harness: dict[str, Any], page: dict[str, Any], runner: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tables = tmp_path / "page.md"
    tables.write_text(f"before\n{page['BEGIN']}\n{page['END']}\nafter\n")
    row = harness["row"]("new", "that", [(1.0, 2.0)], ">= 3")
    known = runner["main"].__globals__
    monkeypatch.setitem(known, "in_own_process", {"data": None, "rooms": [row]}.get)
    monkeypatch.setitem(known, "MEASURED", tmp_path / "measured.json")
    monkeypatch.setitem(known, "PAGE", tables)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "data", "rooms", "--write"])
    with pytest.raises(SystemExit, match="not measured, for the reasons above: data"):
        runner["main"]()
    text = tables.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "### `rooms`" in text
    assert "| new | that | >= 3 | **2**<br>" in text


def test_an_unknown_benchmark_is_told_with_those_there_are() -> None:
    said = subprocess.run([sys.executable, str(FOLDER), "romms"], capture_output=True, text=True)
    assert said.returncode == 2
    assert "no benchmark is called romms; there are authors, data, " in said.stderr
