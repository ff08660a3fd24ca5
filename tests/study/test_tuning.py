"""The same small search inside every variant, on the validation split; a study's cells train with what it chose."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import cliffkit
from cliffkit.components.registry import Registry
from cliffkit.display.board import summary
from cliffkit.errors import RecipeError
from cliffkit.jobs.plan import plan
from cliffkit.recipe.check import check_recipe
from cliffkit.recipe.override import override
from cliffkit.recipe.schema import MAX_SEED
from cliffkit.recipe.yamlstrict import parse
from cliffkit.report.checklist import checklist
from cliffkit.report.remarks import published
from cliffkit.report.tuning import equally_tuned, tuning_sentence
from cliffkit.report.write import write_report
from cliffkit.store.artifacts import DepthFitFacts, PerImage
from cliffkit.store.store import Store
from cliffkit.study.analysis import analyse
from cliffkit.study.board import Board
from cliffkit.study.cells import Cell, plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.reading import load_results
from cliffkit.study.study import Study
from cliffkit.study.trials import choose, plan_trials
from cliffkit.study.tuning import Choice

from ..study_fixtures import BASE, Inline, run_small, write_study

STUDY = """\
name: small
base: base.yaml
seeds: [0, 1]
axes:
  embedding: {none: {embedding: {use: none}}, filters: {}}
compare: {reference: {embedding: none}}
placebo: true
tune: {train.depth.lr: [1e-5, 1e-2], embedding.weights: [[1, 1], [3, 3]]}
"""
FILTERS = BASE.replace("heg_s, weights: [2, 3]", "filters, scales: 2, weights: [2, 3]")


def study_of(folder: Path, registry: Registry, text: str = STUDY, base: str = FILTERS) -> Study:
    return load_study(write_study(folder, text, base), registry)


def choices_of(study: Study, trials: Sequence[Cell], runs: Path) -> dict[str, Choice]:
    by_levels = choose(study, trials, Store(runs))
    return {variant.name: by_levels[variant.levels] for variant in study.variants}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> tuple[Study, list[Cell], Path]:
    """The study, its trials, and a store in which they are done."""
    root = tmp_path_factory.mktemp("searched")
    study = study_of(root, registry)
    trials = plan_trials(study, {})
    run_small(trials, root / "runs")
    return study, trials, root / "runs"


# ---- the plan


def test_every_variant_has_as_many_trials_under_seeds_of_their_own(tmp_path: Path, registry: Registry) -> None:
    study = study_of(tmp_path, registry)
    trials = plan_trials(study, {})
    seeds = {name: [t.recipe.seed for t in trials if t.variant.name.startswith(name)] for name in ("none", "filters")}
    assert seeds == {"none": [20_000, 20_001] * 2, "filters": [20_000] * 4}
    assert study.placebo is not None
    taken = {cell.recipe.seed for cell in plan_cells(study, {})}
    assert not taken & {trial.recipe.seed for trial in trials}
    assert [job.stage for job in trials[-1].jobs] == ["pack", "depth"], "no trial looks at the test split"


@pytest.mark.parametrize("seeds", ["[20000]", "[20003, 30001]"])
def test_seeds_of_the_study_move_those_of_its_trials(tmp_path: Path, registry: Registry, seeds: str) -> None:
    study = study_of(tmp_path, registry, STUDY.replace("[0, 1]", seeds))
    taken = {cell.recipe.seed for cell in plan_cells(study, {})}
    assert not taken & {trial.recipe.seed for trial in plan_trials(study, {})}


def test_a_trial_is_the_run_of_its_recipe(tmp_path: Path, registry: Registry) -> None:
    last = plan_trials(study_of(tmp_path, registry), {})[-1]
    sets = ["train.depth.lr=1e-2", "embedding.weights=[3, 3]", "seed=20000"]
    recipe = check_recipe(override(parse(FILTERS, "base.yaml"), sets, registry), registry)
    jobs = {job.stage: job.key for job in plan(recipe, {})}
    assert [job.key for job in last.jobs] == [jobs["pack"], jobs["depth"]]


def test_a_variant_with_nothing_to_try_needs_no_trial(tmp_path: Path, registry: Registry) -> None:
    study = study_of(tmp_path, registry, STUDY.replace("train.depth.lr: [1e-5, 1e-2], ", ""))
    trials = plan_trials(study, {})
    assert [trial.variant.levels for trial in trials] == [("filters",)] * 2
    choices = choices_of(study, trials, tmp_path / "runs")
    assert (choices["none"].trials, choices["none"].describe()) == (0, "nothing to tune")
    assert choices["none"].recipe == study.reference.recipe
    assert choices["filters"].chosen is None


# ---- the choice


def test_the_values_with_the_best_validation_score_are_chosen(searched: tuple[Study, list[Cell], Path]) -> None:
    study, trials, runs = searched
    choices = choices_of(study, trials, runs)
    scores = [DepthFitFacts.read(Store(runs).folder(trial.jobs[-1])).best_score for trial in trials]
    means = [(scores[0] + scores[1]) / 2, (scores[2] + scores[3]) / 2]
    assert [tried.score for tried in choices["none"].tried] == pytest.approx(means)
    assert [tried.score for tried in choices["filters"].tried] == scores[4:]
    assert means[1] < means[0], "a rate of 1e-5 learns nothing in four steps"
    for choice, values in ((choices["none"], means), (choices["filters"], scores[4:])):
        assert choice.chosen is choice.tried[values.index(min(values))].trial
        assert choice.chosen.values["train.depth.lr"] == 1e-2
    assert choices["placebo"] == choices["none"]


def test_cells_are_planned_with_what_was_chosen_and_only_the_seed_is_the_cell_s(
    searched: tuple[Study, list[Cell], Path],
) -> None:
    study, trials, runs = searched
    choices = choose(study, trials, Store(runs))
    for cell in plan_cells(study, {}, choices):
        chosen = choices[cell.variant.levels].chosen
        assert chosen is not None
        assert replace(cell.recipe, name="", seed=0) == replace(chosen.recipe, name="", seed=0)
        assert cell.recipe.seed == cell.variant.recipe.seed + cell.seed


def test_nothing_is_chosen_before_the_last_trial_is_done(
    searched: tuple[Study, list[Cell], Path], tmp_path: Path
) -> None:
    study, trials, runs = searched
    shutil.copytree(runs, tmp_path / "runs")
    shutil.rmtree(Store(tmp_path / "runs").folder(trials[5].jobs[-1]))
    choices = choices_of(study, trials, tmp_path / "runs")
    assert [tried.state for tried in choices["filters"].tried] == ["done", "waiting", "done", "done"]
    assert (choices["filters"].chosen, choices["filters"].is_failed) == (None, False)
    assert choices["none"].chosen is not None


def test_of_equal_scores_the_first_counts_and_for_some_metrics_more_is_better(
    searched: tuple[Study, list[Cell], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, trials, runs = searched
    scores = iter([0.5, 0.5, 0.5, 0.5, 0.1, 0.4, 0.4, 0.2])

    def read(folder: Path) -> DepthFitFacts:
        return DepthFitFacts(1, next(scores), 1.0, 0.0, None, "delta1", 10)

    monkeypatch.setattr(DepthFitFacts, "read", read)
    select = [replace(v, recipe=_selecting(v.recipe, "delta1")) for v in study.variants]
    choices = choose(replace(study, variants=tuple(select)), trials, Store(runs))
    assert choices[("none",)].chosen is choices[("none",)].tried[0].trial
    assert choices[("filters",)].chosen is choices[("filters",)].tried[1].trial


def _selecting(recipe, metric):
    depth = recipe.train.depth
    return replace(recipe, train=replace(recipe.train, depth=depth.changed({"select": metric})))


def test_a_trial_that_failed_is_said_and_a_variant_whose_trials_all_failed_fails(
    searched: tuple[Study, list[Cell], Path], tmp_path: Path
) -> None:
    study, trials, runs = searched
    store = Store(shutil.copytree(runs, tmp_path / "runs"))
    for trial in (trials[2], *trials[4:]):
        shutil.rmtree(store.folder(trial.jobs[-1]))
        store.fail(trial.jobs[-1], "the training diverged", "")
    choices = choices_of(study, trials, store.root)
    assert [tried.state for tried in choices["none"].tried] == ["done", "failed"]
    assert choices["none"].describe().endswith("on val, 1 failed")
    assert choices["filters"].is_failed
    cells = plan_cells(study, {}, choose(study, trials, store))
    results = load_results(study, cells, store)
    states = {(cell.cell.variant.name, cell.state) for cell in results.cells}
    assert states == {("none", "waiting"), ("filters", "failed"), ("placebo", "waiting")}
    assert {cell.reason for cell in results.cells if cell.state == "failed"} == {
        "every trial of `tune` failed: depth: the training diverged"
    }


def test_a_cell_whose_values_are_not_chosen_is_not_done_whatever_the_store_has(
    searched: tuple[Study, list[Cell], Path], tmp_path: Path
) -> None:
    study, _, _ = searched
    cells = plan_cells(study, {})
    run_small(cells[:1], tmp_path / "runs")
    assert Board(cells, Store(tmp_path / "runs")).cell_state(cells[0]) == "done"
    assert {cell.state for cell in load_results(study, cells, Store(tmp_path / "runs")).cells} == {"waiting"}


# ---- the verbs


def test_a_study_is_searched_and_run_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, runs = write_study(tmp_path, STUDY, FILTERS), tmp_path / "runs"
    monkeypatch.setattr("cliffkit.verbs.study.open_executor", lambda *options: Inline())
    assert cliffkit.load_study(path, runs=runs).results.done == 0
    outlook = cliffkit.forecast(path, runs=runs, progress=False)
    assert outlook.trials is not None
    assert (len(outlook.trials.cells), len(outlook.board.cells)) == (8, 6)
    assert outlook.expected.by_stage["depth"][0] == 14
    assert (outlook.jobs.needed, outlook.jobs.done) == (outlook.jobs.to_do, 0)
    assert outlook.jobs.to_do == sum(number for number, _ in outlook.expected.by_stage.values())
    assert summary(outlook.trials, "small") == "small: 0 of 8 trials done"

    said: list[str] = []
    findings = cliffkit.ablate(path, runs=runs, device="cpu", progress=lambda event: said.append(str(event)))
    assert findings.results.done == 6
    power = [i for i, text in enumerate(said) if "will not see" in text]
    assert len(power) == 1, "what the study can see is said once"
    assert power[0] < min(i for i, text in enumerate(said) if "CellFinished" in text), "before the first trial"
    assert any("filters: train.depth.lr=0.01, embedding.weights=" in text for text in said)
    slow = [row for row in findings.tuning if row["train.depth.lr"] == 1e-5]
    assert [(row["variant"], row["seeds"], row["chosen"]) for row in slow] == [
        ("none", 2, False), ("filters", 1, False), ("filters", 1, False),
    ]  # fmt: skip
    made = {path.name for path in (runs / "jobs").iterdir()}
    assert cliffkit.ablate(path, runs=runs, device="cpu", progress=False).table() == findings.table()
    assert cliffkit.load_study(path, runs=runs).tuning == findings.tuning
    assert {path.name for path in (runs / "jobs").iterdir()} == made
    named = (runs / "studies" / "small" / "jobs.json").read_text()
    assert all(name in named for name in made if name.startswith(("depth", "evaluate"))), "`store clean` keeps trials"


def test_of_two_at_once_one_is_killed_and_the_other_chooses_as_one_alone(
    tmp_path: Path, searched: tuple[Study, list[Cell], Path]
) -> None:
    study, trials, runs = searched
    path, jobs = write_study(tmp_path, STUDY, FILTERS), tmp_path / "runs" / "jobs"
    code = "from cliffkit.cli.main import main; main()"
    workers = str(len(os.sched_getaffinity(0)))  # a thread each, as in the search alone: threads change the last bits
    where = ["--runs", str(tmp_path / "runs"), "--device", "cpu", "--workers", workers]

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code, "ablate", str(path), *where]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)

    with start() as killed, start() as other:
        give_up = time.monotonic() + 60
        while len(list(jobs.glob("depth-*"))) < 3 and killed.poll() is None and time.monotonic() < give_up:
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
        assert other.wait() == 0
    for name, choice in choices_of(study, trials, tmp_path / "runs").items():
        assert choice.tried == choices_of(study, trials, runs)[name].tried
    cells = plan_cells(study, {}, choose(study, trials, Store(runs)))
    assert load_results(study, cells, Store(tmp_path / "runs")).done == 6


# ---- faults


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{train.depth.lr: [1e-5, 1e-2], embedding.weights: [[1, 1], [3, 3]]}", "[1]"), "tune: write {PATH: [VALUE"),
        (("[1e-5, 1e-2]", "[1e-5]"), "8: tune.train.depth.lr: [1e-05] is nothing to choose from"),
        (("[1e-5, 1e-2]", "[1e-5, 1e-5]"), "8: tune.train.depth.lr.1: 1e-05 stands twice"),
        (("[1e-5, 1e-2]", "[1e-5, -1]"), "8: train.depth.lr: -1: input should be greater than 0 (in variant 'none')"),
        (("[1e-5, 1e-2]", "[fast, -1]"), "8: train.depth.lr: 'fast'"),
        (("[1e-5, 1e-2]", "[fast, -1]"), "8: train.depth.lr: -1: input should be greater than 0 (in variant 'none')"),
        (("axes:\n", "axes:\n  train.depth.lr: {x: {}, y: {data.val: 3}}\n"),
         "9: tune.train.depth.lr: an axis is called train.depth.lr too"),
        (("train.depth.lr", "train.depth.rate"), "8: tune.train.depth.rate: no variant's recipe has such a place"),
        (("train.depth.lr", "data.size"), "8: tune.data.size: a search tries values of model, embedding, loss, train"),
        (("train.depth.lr: [1e-5, 1e-2]", "train.depth: [{select: rmse}, {lr: 1}]"),
         "8: tune.train.depth: train.depth.select decides by which score"),
        (("train.depth.lr: [1e-5, 1e-2]", "embedding.use: [heg_s, heg_r]"),
         "8: tune.embedding.use: axis 'embedding' sets embedding.use too"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_search_is_a_fault(
    tmp_path: Path, registry: Registry, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        study_of(tmp_path, registry, STUDY.replace(*change))
    assert message in str(caught.value)


def test_seeds_of_trials_that_are_too_large_are_a_fault(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(RecipeError, match="tune: the seeds of trials are more than"):
        study_of(tmp_path, registry, base=FILTERS + f"seed: {MAX_SEED - 15_000}\n")


def test_too_many_trials_are_counted_before_they_are_made(tmp_path: Path, registry: Registry) -> None:
    rates, weights = [i / 1000 for i in range(1, 300)], [[i, 1] for i in range(300)]
    text = STUDY.replace("[1e-5, 1e-2]", str(rates)).replace("[[1, 1], [3, 3]]", str(weights))
    with pytest.raises(RecipeError, match="89700 trials x 2 variants, and a study has 100000 at most"):
        study_of(tmp_path, registry, text)


def test_trials_run_once_whatever_shares_them(searched: tuple[Study, list[Cell], Path], tmp_path: Path) -> None:
    _, trials, runs = searched
    again = Inline()
    run_small(trials, shutil.copytree(runs, tmp_path / "runs"), again)
    assert again.given == []
    assert not list((runs / "jobs").glob("evaluate-*"))
    assert PerImage.FILE not in {path.name for path in runs.rglob("*")}


# ---- the report


def test_the_report_has_every_trial_and_says_whether_chances_were_equal(
    searched: tuple[Study, list[Cell], Path], tmp_path: Path
) -> None:
    study, trials, runs = searched
    store = Store(shutil.copytree(runs, tmp_path / "runs"))
    cells = plan_cells(study, {}, choose(study, trials, store))
    results = load_results(study, cells, store)
    assert equally_tuned(results) is True
    assert tuning_sentence(results) == (
        "Values were chosen inside each variant by abs_rel on the validation split, under seeds 20000, 20001, which no "
        "cell has. Every variant had 4 trials."
    )
    files = write_report(
        results, analyse(results), tmp_path / "report", gallery="none", command="ablate", progress=lambda text: None
    )
    page, text = (files[name].read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    checks = {item.name: item for item in checklist(results, analyse(results))}
    assert checks["Equal tuning"].is_met
    for place in (page, text):
        assert "Every variant had 4 trials" in place
    assert text.count("| **chosen** |") == 2
    assert page.count("train.depth.lr=1e-05") == 3
    with files["results.csv"].open(encoding="utf-8") as file:
        rows = {(row["variant"], row["train.depth.lr"], row["embedding.weights"]) for row in csv.DictReader(file)}
    assert {("none", "0.01", ""), ("placebo", "0.01", "")} < rows
    assert len(rows) == 3

    fit = trials[0].jobs[-1]
    shutil.rmtree(store.folder(fit))
    store.fail(fit, "the training diverged", "")
    results = load_results(study, plan_cells(study, {}, choose(study, trials, store)), store)
    assert equally_tuned(results) is False
    assert "unequal chances: 2 in none; 4 in filters" in tuning_sentence(results)


def test_a_study_without_a_search_says_nothing_of_one(tmp_path: Path, registry: Registry) -> None:
    study = study_of(tmp_path, registry, STUDY[: STUDY.index("tune")])
    results = load_results(study, plan_cells(study, {}), Store(tmp_path / "runs"))
    assert (equally_tuned(results), tuning_sentence(results), results.choices) == (None, "", {})
    checks = {item.name: item for item in checklist(results, analyse(results))}
    assert "`tune` tries the same values" in checks["Equal tuning"].words
    begun = study_of(tmp_path, registry)
    results = load_results(begun, plan_cells(begun, {}), Store(tmp_path / "runs"))
    assert equally_tuned(results) is False
    assert tuning_sentence(results).endswith("No trial is done yet.")


def test_a_published_number_is_not_that_of_values_that_a_search_chose(tmp_path: Path, registry: Registry) -> None:
    base = FILTERS + "published: [{metric: abs_rel, protocol: full, value: 0.1, source: 'a paper, table 1'}]\n"
    for text, kept in ((STUDY[: STUDY.index("tune")], True), (STUDY, False)):
        study = study_of(tmp_path, registry, text, base)
        results = load_results(study, plan_cells(study, {}), Store(tmp_path / "runs"))
        assert bool(published(results, "full", "abs_rel")) == kept
