"""Adaptive seeds in a store: who gets another seed, whatever broke off, arrived late, failed or was there before."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cliffkit
from cliffkit.cli.verdicts import study_json
from cliffkit.components.registry import Registry
from cliffkit.interfaces import Place
from cliffkit.jobs.worker import JobTask, Outcome
from cliffkit.report.checklist import Item, checklist
from cliffkit.report.sentences import row_sentence
from cliffkit.scoring.metrics import METRICS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, UNMEASURED, WORSE, Design, compare, estimate, holm
from cliffkit.statistics.sequential import DECIDED, FUTILE
from cliffkit.store.artifacts import PerImage
from cliffkit.store.store import Store
from cliffkit.study import chooser
from cliffkit.study.analysis import analyse
from cliffkit.study.board import Board
from cliffkit.study.cells import Cell
from cliffkit.study.chooser import Chooser
from cliffkit.study.reading import load_results
from cliffkit.study.results import Results, as_played
from cliffkit.study.rounds import NOT_NEEDED, Course, Stop, play, play_study
from cliffkit.study.run import run_cells
from cliffkit.study.study import Study
from cliffkit.verbs.findings import Findings
from cliffkit.verbs.study import report as write_report

from ..study_fixtures import BASE, STUDY, FinishedStudy, Inline, small_study, write_study

EFFECTS = {"own": 0.0, "clear": 0.05, "close": 0.0035, "null": 0.0, "near": 0.003}
"""Made-up difference of each variant from the reference."""

RATES = """\
name: rates
base: base.yaml
seeds: {from: 3, to: 6}
axes:
  rate: {own: {}, clear: {train.depth.lr: 1e-2}, close: {train.depth.lr: 4e-3}, null: {train.depth.lr: 2e-3}}
"""


def made_up(cell: Cell) -> np.ndarray:
    """Scores of a cell, (images, metrics), a function of its variant and seed."""
    name = cell.variant.name
    random = np.random.default_rng([cell.seed, *map(ord, name)])
    abs_rel = 0.3 + 0.004 * np.arange(30) + EFFECTS[name] + 0.01 * random.standard_normal(30)
    return np.repeat(abs_rel[:, None], len(METRICS), axis=1)


class Pretending:
    """Lets jobs end in any order, `slots` at once, with made-up scores and without training. Some cells fail."""

    def __init__(self, cells: Sequence[Cell], store: Store, order: int = 0, slots: int = 3, broken: str = "") -> None:
        self.slots, self.choices, self.place = slots, [slots], Place("cpu", 1)
        self._by_key = {cell.jobs[-1].key: cell for cell in cells}
        self._store, self._broken, self._random = store, broken, np.random.default_rng(order)
        self._waiting: list[tuple[Future[Outcome], JobTask]] = []
        self.evaluated: list[str] = []

    def submit(self, work: object, task: JobTask) -> Future[Outcome]:
        self._waiting.append((Future(), task))
        return self._waiting[-1][0]

    def end_one(self, board: Board) -> None:
        """Let some job that was begun end."""
        if not self._waiting:
            return
        future, task = self._waiting.pop(self._random.integers(len(self._waiting)))
        job, cell = task.job, self._by_key.get(task.job.key)
        if cell is not None and cell.name == self._broken:
            self._store.fail(job, "broken", "")
            future.set_result(Outcome("failed", "broken"))
            return
        with self._store.claim(job):
            if self._store.done(job):  # by another process
                future.set_result(Outcome("done"))
                return
            folder = self._store.working(job)
            if cell is not None:
                self.evaluated.append(cell.name)
                PerImage(tuple(f"image {i}" for i in range(30)), {"full": made_up(cell)}).write(folder)
            self._store.finish(job, 0.0, sorted(path.name for path in folder.iterdir()))
        future.set_result(Outcome("done"))


Pretend = Callable[..., tuple[Board, Pretending]]


@pytest.fixture
def pretend(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """`pretend(text, runs, ...)`: run a study in a store as `ablate` does, without training."""
    monkeypatch.setattr("cliffkit.study.run.learn_from", lambda *of: None)

    @functools.cache
    def planned(text: str) -> tuple[Study, list[Cell]]:
        return small_study(tmp_path, registry, text)

    def run(
        text: str, runs: str, most: int = 10_000, meanwhile: Callable[[], None] | None = None, **how: object
    ) -> tuple[Board, Pretending]:
        study, cells = planned(text)
        store = Store(tmp_path / runs)
        board = Board(cells, store, None if study.adaptive is None else Chooser(study, cells, store))
        executor = Pretending(cells, store, **how)  # type: ignore[arg-type]
        looks, waits = iter(range(most)), [meanwhile] if meanwhile else []

        def show(board: Board) -> None:
            executor.end_one(board)
            if waits and len(executor.evaluated) == 2:
                waits.pop()()
            if next(looks, None) is None:
                raise KeyboardInterrupt

        run_cells(board, executor, {}, show)  # type: ignore[arg-type]
        return board, executor

    return run


def ended(board: Board) -> dict[str, int]:
    """How many cells of each variant are needed."""
    names = [cell.variant.name for cell in board.needed]
    assert all(board.cell_state(cell) in ("done", "failed") for cell in board.needed)
    return {name: names.count(name) for name in dict.fromkeys(names)}


def test_the_order_of_arrivals_workers_and_breaks_change_nothing(pretend: Pretend) -> None:
    whole, executor = pretend(RATES, "whole", slots=1)
    expected = ended(whole)
    assert set(expected.values()) > {3}, "else this test shows nothing"
    assert len(executor.evaluated) == sum(expected.values()) < 4 * 6
    assert whole.may_follow == 0
    for order in range(3):
        assert ended(pretend(RATES, f"order{order}", order=order, slots=5)[0]) == expected
    for most in (5, 9, 13):
        with pytest.raises(KeyboardInterrupt):
            pretend(RATES, "broken", most=most, order=most)
    board, _ = pretend(RATES, "broken")
    assert ended(board) == expected


@pytest.mark.parametrize("broken", ["", "clear, seed 1"], ids=["all done", "one fails"])
def test_scores_are_compared_when_a_round_has_ended_not_whenever_a_cell_has(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    compared: list[Course] = []

    def playing(*given: Any) -> Course:
        compared.append(play_study(*given))
        return compared[-1]

    monkeypatch.setattr(chooser, "play_study", playing)
    _, executor = pretend(RATES, "runs", slots=5, broken=broken)
    assert 2 < len(compared) <= 2 + 4 < len(executor.evaluated), "twice at the start, then once a round"
    course = compared[-1]
    pretend(RATES, "runs", broken=broken)
    assert compared[-1] == course, "what a fresh look at the store finds"


def test_another_ablate_may_work_on_the_same_rounds(pretend: Pretend) -> None:
    expected = ended(pretend(RATES, "alone")[0])
    others: list[Pretending] = []

    def work() -> None:
        other, executor = pretend(RATES, "shared", order=1)
        assert ended(other) == expected
        others.append(executor)

    board, executor = pretend(RATES, "shared", meanwhile=work)
    assert ended(board) == expected
    names = [*executor.evaluated, *others[0].evaluated]
    assert len(names) == len(set(names)) == sum(expected.values())
    assert executor.evaluated


def test_cells_that_are_not_needed_are_called_so_and_left_alone(pretend: Pretend) -> None:
    board, _ = pretend(RATES, "runs")
    states = [board.cell_state(cell) for cell in board.cells]
    assert states.count(NOT_NEEDED) == 24 - states.count("done") > 0
    assert board.to_do() == board.most_to_do() == []
    _, again = pretend(RATES, "runs")
    assert again.evaluated == []


def test_seeds_of_a_larger_study_are_there_and_change_nothing(pretend: Pretend) -> None:
    expected = ended(pretend(RATES, "alone")[0])
    everything, _ = pretend(RATES.replace("{from: 3, to: 6}", "[0, 1, 2, 3, 4, 5]"), "shared")
    assert everything.count("done") == 24
    board, executor = pretend(RATES, "shared")
    assert (ended(board), executor.evaluated) == (expected, [])
    assert {board.cell_state(cell) for cell in board.cells} == {"done", NOT_NEEDED}


def test_a_variant_that_is_added_later_is_run_alone_and_joins_the_count(pretend: Pretend) -> None:
    pretend(RATES, "later")
    more = RATES.replace("null: {", "near: {train.depth.lr: 3e-3}, null: {")
    board, executor = pretend(more, "later")
    assert ended(board) == ended(pretend(more, "at once")[0])
    assert {name.split(",")[0] for name in executor.evaluated} >= {"near"}
    assert sum(name.startswith("near") for name in executor.evaluated) == ended(board)["near"]


def test_a_larger_end_gives_seeds_by_its_own_bounds(pretend: Pretend) -> None:
    pretend(RATES, "longer")
    longer = RATES.replace("to: 6", "to: 9")
    board, _ = pretend(longer, "longer")
    assert ended(board) == ended(pretend(longer, "at once")[0])


def test_a_cell_that_fails_holds_nobody_up_and_joins_when_it_is_mended(pretend: Pretend) -> None:
    expected = ended(pretend(RATES, "whole")[0])
    board, _ = pretend(RATES, "runs", broken="clear, seed 1")
    assert board.count("failed") == 1
    assert {**ended(board), "clear": 0} == {**expected, "clear": 0}
    assert ended(board)["clear"] == expected["clear"] + 1, "a seed in the place of the one that failed"
    board.retry()
    assert [board.cell_state(cell) for cell in board.cells].count("waiting") == 1
    mended, executor = pretend(RATES, "runs")
    assert executor.evaluated == ["clear, seed 1"]
    assert ended(mended) == expected


def test_a_larger_end_on_the_same_cells_is_said_and_kept(tmp_path: Path, finished_study: FinishedStudy) -> None:
    runs = finished_study.copy(tmp_path / "runs")

    def reported(seeds: str) -> tuple[str, ...]:
        file = write_study(tmp_path, adaptive(seeds=seeds))
        notes = write_report(file, runs=runs, device="cpu", progress=False).study.notes
        assert any("after 2 seeds intervals are very wide" in note for note in notes) == ("from: 2" in seeds)
        return tuple(note for note in notes if "very wide" not in note)

    assert reported("{from: 2, to: 2}") == ()
    assert reported("{from: 2, to: 2}") == ()
    (note,) = reported("{from: 2, to: 3}")
    assert note.startswith(
        "seeds: {from: 2, to: 3} is a new design, for cells that were reported under {from: 2, to: 2}"
    )
    assert "is a new design" in (runs / "studies" / "small" / "report.md").read_text().replace("\\", "")
    (note,) = reported("{from: 2, to: 2}")
    assert "reported under {from: 2, to: 3} before" in note
    assert len(reported("[0, 1]")) == 1, "after looks that allowed for no such seeds"


def test_a_list_of_seeds_that_grows_after_a_report_with_verdicts_is_said(
    tmp_path: Path, finished_study: FinishedStudy
) -> None:
    runs = finished_study.copy(tmp_path / "runs")

    def reported(seeds: str) -> tuple[str, ...]:
        file = write_study(tmp_path, adaptive(seeds=seeds))
        return write_report(file, runs=runs, device="cpu", progress=False).study.notes

    for seeds in ("[0]", "[0, 1]", "[0, 1]"):
        assert reported(seeds) == (), "one seed gives no verdict at which to stop"
    (note,) = reported("[0, 1, 2]")
    assert note.startswith("seeds: [0, 1, 2] follows a report under [0, 1]. Each report errs in 5 % by itself;")
    page = (runs / "studies" / "small" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert page.count("follows a report under [0, 1]") == 2, "above the numbers and in the checklist"
    assert reported("[0, 1]") == (), "what the first report had was chosen before"


def test_choices_that_are_not_those_of_the_first_report_are_said(tmp_path: Path, finished_study: FinishedStudy) -> None:
    runs = finished_study.copy(tmp_path / "runs")

    def reported(compare: str) -> Findings:
        start = STUDY.index("compare:")
        file = write_study(tmp_path, STUDY[:start] + f"compare: {compare}\n")
        return write_report(file, runs=runs, device="cpu", progress=False)

    def beforehand(findings: Findings) -> Item:
        items = checklist(findings.results, findings.analysis)
        return next(item for item in items if item.name == "Choices before results")

    first = "{reference: {embedding: none}}"
    for _ in range(2):
        found = reported(first)
        assert found.study.notes == ()
        assert beforehand(found).is_met
    found = reported("{metric: rmse, smallest: 0.05, reference: {embedding: none}}")
    (note,) = found.study.notes
    assert note.startswith(
        "compare.metric is rmse and was abs_rel, compare.smallest is 0.05 and was none in the first "
    )
    assert not beforehand(found).is_met
    assert "Compare.metric is rmse" in beforehand(found).words
    (note,) = reported("{reference: {embedding: heg_s}}").study.notes
    assert note.startswith("compare.reference is heg_s + cliff and was none + cliff in the first report")
    assert reported(first).study.notes == ()

    kept = runs / "studies" / "small" / "designs.json"
    facts = json.loads(kept.read_text(encoding="utf-8"))
    assert len(facts.pop("compared")) == 3
    kept.write_text(json.dumps(facts), encoding="utf-8")  # as earlier versions wrote it
    assert reported("{metric: rmse, reference: {embedding: none}}").study.notes == ()


# ---- results


def adaptive(text: str = STUDY, seeds: str = "{from: 2, to: 4}") -> str:
    return text.replace("[0, 1]", seeds)


def with_scores(results: Results, abs_rel: np.ndarray, study: Study) -> Results:
    """The results of a study whose cells all score so, (variants, seeds, images)."""
    scores = np.repeat(abs_rel[..., None], len(METRICS), axis=-1)
    images = tuple(f"image {i}" for i in range(abs_rel.shape[2]))
    done = results.cells[0]
    cells = tuple(
        replace(done, cell=Cell(variant, seed, variant.recipe, done.cell.jobs), reason="")
        for variant in study.variants
        for seed in study.seeds
    )
    return as_played(replace(results, study=study, images=images, cells=cells, scores={"full": scores}, regions=None))


@pytest.fixture
def study(tmp_path: Path, registry: Registry) -> Study:
    return small_study(tmp_path, registry, adaptive(seeds="{from: 3, to: 8}"))[0]


@pytest.fixture(scope="module")
def results(finished_study: FinishedStudy) -> Results:
    return load_results(finished_study.study, finished_study.cells, Store(finished_study.runs))


def test_results_leave_out_what_no_round_asked_for(
    tmp_path: Path, registry: Registry, finished_study: FinishedStudy
) -> None:
    study, cells = small_study(tmp_path, registry, adaptive())
    loaded = load_results(study, cells, Store(finished_study.runs))
    assert loaded.course is not None
    board = Board(cells, Store(finished_study.runs), Chooser(study, cells, Store(finished_study.runs)))
    states = {result.cell.name: result.state for result in loaded.cells}
    assert states == {cell.name: board.cell_state(cell) for cell in cells}
    assert set(states.values()) >= {"done", NOT_NEEDED}
    assert max(loaded.course.given) >= 2
    single = small_study(tmp_path, registry, adaptive(seeds="{from: 2, to: 2}"))[0]
    whole = load_results(single, finished_study.cells, Store(finished_study.runs))
    assert whole.course is not None
    assert whole.course.given == whole.course.counted == (2, 2, 2, 2)


def test_verdicts_rest_on_the_seeds_that_were_asked_for_alone(results: Results, study: Study) -> None:
    random = np.random.default_rng(3)
    abs_rel = 0.3 + 0.01 * random.standard_normal((4, 8, 40)) + np.array([0, 0.03, 0.0, -0.0035])[:, None, None]
    found = with_scores(results, abs_rel, study)
    design, first = Design(3, 8), analyse(found).first(found)
    course = play(design, abs_rel, np.ones((4, 8), bool), 0)
    assert found.course == course
    given = np.arange(8) < np.array(course.given)[:, None]
    gaps = list(np.where(given[..., None], abs_rel - abs_rel[0], np.nan))
    assert [row.difference for row in first.rows[1:]] == [design.interval(gap) for gap in gaps[1:]]
    assert [row.p_adjusted for row in first.rows[1:]] == holm([design.p(gap) for gap in gaps[1:]])
    assert [row.word for row in first.rows] == [None, WORSE, NOISE, BETTER]
    assert [row.stop and row.stop.reason for row in first.rows] == [None, DECIDED, FUTILE, DECIDED]
    assert row_sentence(first.rows[1], "abs_rel").endswith(f"; decided at {course.given[1]} of 8 seeds")
    assert row_sentence(first.rows[2], "abs_rel").endswith(f"; hopeless after {course.given[2]} of 8 seeds")
    means = [row.mean for row in first.rows]
    assert [mean.seeds for mean in means if mean] == list(course.given)

    changed = abs_rel.copy()
    for i, seeds in enumerate(course.given):
        changed[i, seeds:] = 9.0
    again = with_scores(results, changed, study)
    assert analyse(again).first(again) == first


def test_effects_rest_on_seeds_that_all_their_variants_have(results: Results, study: Study) -> None:
    random = np.random.default_rng(3)
    abs_rel = 0.3 + 0.01 * random.standard_normal((4, 8, 40)) + np.array([0, 0.03, 0.0, 0.027])[:, None, None]
    found = with_scores(results, abs_rel, study)
    assert found.course is not None
    common = min(found.course.given)
    assert common < max(found.course.given), "else this test shows nothing"
    analysis = analyse(found)
    effect = next(effect for effect in analysis.main if effect.axes == ("fusion",))
    gap = (abs_rel[1] - abs_rel[0] + abs_rel[3] - abs_rel[2])[:common] / 2
    wanted = Design(3, 8).interval(gap)
    assert wanted is not None
    assert effect.estimate is not None
    assert (effect.estimate.seeds, effect.word) == (common, WORSE)
    assert effect.estimate.low == pytest.approx(wanted.low)
    assert effect.estimate.high == pytest.approx(wanted.high)
    assert all(f"over the {common} of 8 seeds" in row_sentence(row, "abs_rel") for row in analysis.interactions)


def test_equivalent_closes_a_comparison_downwards(results: Results, study: Study) -> None:
    random = np.random.default_rng(5)
    abs_rel = 0.3 + 0.01 * random.standard_normal((4, 8, 40)) + np.array([0, 0.03, 0.0005, 0.0])[:, None, None]
    found = with_scores(results, abs_rel, replace(study, smallest=0.012))
    row = analyse(found).first(found).rows[2]
    assert row.word == EQUIVALENT
    assert row.stop is not None
    assert row.stop.reason == EQUIVALENT
    assert row_sentence(row, "abs_rel").startswith("equivalent within ±0.012, by two one-sided tests: ")
    assert f"; found at {row.stop.seeds} of 8 seeds" in row_sentence(row, "abs_rel")


def test_what_is_not_looked_at_yet_is_not_measured(results: Results, study: Study) -> None:
    found = with_scores(results, np.full((4, 8, 40), 0.3), study)
    waiting = replace(found.cells[9], state="waiting", scores=None)
    cells = tuple(waiting if i == 9 else cell for i, cell in enumerate(found.cells))
    found = as_played(replace(found, cells=cells))
    row = analyse(found).first(found).rows[1]
    assert (row.word, row.stop, row.p_adjusted) == (UNMEASURED, Stop("go on", 1, 8), None)
    assert row_sentence(row, "abs_rel") == "not measured: goes on, so far 1 of 8 seeds"


def test_a_list_of_seeds_is_judged_as_ever(results: Results, study: Study) -> None:
    """To the last bit."""
    random = np.random.default_rng(3)
    abs_rel = 0.3 + 0.01 * random.standard_normal((4, 8, 40)) + np.array([0, 0.03, 0.0, -0.0035])[:, None, None]
    fixed = replace(study, adaptive=None)
    scores = {"full": np.repeat(abs_rel[..., None], len(METRICS), axis=-1)}
    found = replace(results, study=fixed, scores=scores, regions=None)
    rows = analyse(found).first(found).rows
    assert [row.difference for row in rows[1:]] == [compare(table, abs_rel[0]) for table in abs_rel[1:]]
    assert [row.mean for row in rows] == [estimate(table) for table in abs_rel]
    assert [row.stop for row in rows] == [None] * 4


# ---- real processes

TWO = adaptive(
    STUDY.replace("{none: {embedding: {use: none}}, heg_s: {}}", "{none: {embedding: {use: none}}}"), "{from: 2, to: 3}"
)


def command(study: Path, runs: Path) -> list[str]:
    code = "from cliffkit.cli.main import main; main()"
    where = ["--runs", str(runs), "--device", "cpu", "--workers", str(len(os.sched_getaffinity(0))), "--json"]
    return [sys.executable, "-c", code, "ablate", str(study), *where]


def outcome(said: Mapping[str, object]) -> str:
    """What a study says, but for where and when."""
    return json.dumps({name: value for name, value in said.items() if name not in ("files", "time")})


def test_a_study_that_was_killed_goes_on_and_says_what_an_unbroken_one_says(tmp_path: Path, registry: Registry) -> None:
    study, cells = small_study(tmp_path, registry, TWO, BASE)
    store = Store(tmp_path / "unbroken")
    run_cells(Board(cells, store, Chooser(study, cells, store)), Inline(), {}, lambda board: None)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = command(tmp_path / "study.yaml", tmp_path / "runs")
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        give_up, jobs = time.monotonic() + 60, tmp_path / "runs" / "jobs"
        while not list(jobs.glob("evaluate-*/job.json")) and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    last = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert last.returncode == 0, last.stderr
    unbroken = cliffkit.load_study(tmp_path / "study.yaml", runs=tmp_path / "unbroken", device="cpu")
    expected = json.loads(json.dumps(study_json(unbroken.results, unbroken.analysis, {})))
    assert outcome(json.loads(last.stdout)) == outcome(expected)
