"""A report says where the noise of its verdicts comes from, and what would halve it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from cliffkit.components.registry import Registry
from cliffkit.report.noise import noise_rows, noise_sentences
from cliffkit.report.write import write_report
from cliffkit.statistics import Noise, Variance, noise_of
from cliffkit.study.analysis import analyse
from cliffkit.study.noise import NoiseSummary
from cliffkit.study.results import Results
from cliffkit.verbs.findings import Findings

from ..report_fixtures import make_results, make_study


@pytest.fixture
def results(tmp_path: Path, registry: Registry, tiny: str) -> Results:
    return make_results(make_study(tmp_path / "study", registry, tiny), tmp_path)


def summary(*variances: float, curves: int = 0, improving: int = 0) -> NoiseSummary:
    return NoiseSummary(Noise(Variance(*variances), 3, 100), curves, improving)


def test_the_sentences_name_the_parts_and_what_halves_the_standard_error() -> None:
    shares, halving, steps = noise_sentences(summary(0.03, 0.0, 1.0, curves=9, improving=4))
    assert "75 % from seeds, 0 % from images, 25 % from both together" in shares
    assert "at 3 seeds and 100 images" in shares
    assert halving == "12 seeds would halve the standard error; no number of images alone would."
    assert steps.startswith("In 4 of 9 cells the validation score still improved by more than 1 % in the last 20 %")


def test_shares_sum_to_a_hundred_and_the_median_of_seeds_is_told_as_one() -> None:
    uneven = replace(summary(3 * 0.3455, 54.65, 300 * 0.108), uneven=True)  # 34.55 %, 54.65 %, 10.8 %
    told = noise_sentences(uneven)[0]
    assert "34 % from seeds, 55 % from images, 11 % from both together" in told
    assert "at 3 seeds, the median, and 100 images" in told


def test_of_steps_nothing_is_said_where_training_was_finished() -> None:
    assert len(noise_sentences(summary(0.03, 0.0, 1.0, curves=9))) == 2


def test_numbers_that_no_study_has_are_not_written_out() -> None:
    assert noise_sentences(summary(0.03, 0.3329, 0.0))[1].startswith("No realistic number of seeds alone would halve")
    assert noise_sentences(summary(0.74997, 75.001, 0.0))[1].endswith("; no realistic number of images alone would.")
    assert noise_sentences(summary(0.0, 1.0, 0.0))[1] == (
        "No number of seeds alone would halve the standard error; 400 images would."
    )
    assert noise_sentences(summary(0.0, 0.0, 0.0)) == ["The differences do not vary between seeds and images."]
    assert noise_sentences(None) == []


def test_the_table_has_the_noise_of_each_difference_and_the_csv_of_every_metric(
    results: Results, tmp_path: Path
) -> None:
    analysis = analyse(results)
    first = analysis.first(results)
    rows = noise_rows(first)
    assert set(rows) == {row.variant.name for row in first.rows if row.word is not None}
    files = write_report(results, analysis, tmp_path / "report", gallery=None, command="", progress=lambda text: None)
    with files["noise.csv"].open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * 9 * 5
    by_place = {(line["protocol"], line["metric"], line["variant"]): line for line in lines}
    for row in first.rows:
        if row.difference is None:
            continue
        noise = noise_of(row.difference)
        assert noise is not None
        line = by_place[first.protocol, first.metric, row.variant.name]
        assert float(line["seed_variance"]) == noise.variance.seeds
        assert float(line["rest_share"]) == noise.shares["rest"]
        assert line["seeds_to_halve"] == str(noise.seeds_to_halve or "")
        assert rows[row.variant.name][0] == f"{100 * noise.shares['seeds']:.0f} %"
    for name in ("report.html", "report.md"):
        text = files[name].read_text(encoding="utf-8")
        assert "Where the noise comes from" in text
        assert "would halve the standard error" in text


def test_findings_have_the_noise_of_each_difference(results: Results, tmp_path: Path) -> None:
    findings = Findings(results, analyse(results), tmp_path, {})
    assert len(findings.noise) == 5
    assert set(findings.noise.column("seeds")) == {3}
    row = findings.noise[0]
    assert row["seeds_share"] + row["images_share"] + row["rest_share"] == pytest.approx(1)


def test_one_seed_has_no_section_of_noise(tmp_path: Path, registry: Registry, tiny: str) -> None:
    alone = make_results(make_study(tmp_path / "one", registry, tiny, seeds=[0]), tmp_path)
    analysis = analyse(alone)
    files = write_report(alone, analysis, tmp_path / "report", gallery=None, command="", progress=lambda text: None)
    assert "Where the noise comes from" not in files["report.html"].read_text(encoding="utf-8")
    assert files["noise.csv"].read_text(encoding="utf-8").count("\n") == 1
    assert len(Findings(alone, analysis, tmp_path, {}).noise) == 0
