"""The page of results says what the committed scores of its studies say."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

import cliffkit

DOCS = Path(__file__).parents[1] / "docs" / "why"
PAGE = DOCS / "results.md"
STUDIES = ("generators", "generators_again")


def scores_of(study: str) -> dict[str, dict[int, float]]:
    """abs_rel of each cell, by variant and seed."""
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    with (DOCS / "results" / study / "results.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["metric"] == "abs_rel" and row["value"]:
                scores[row["variant"]][int(row["seed"])] = float(row["value"])
    return scores


def tables() -> list[list[dict[str, str]]]:
    """The page's tables of verdicts: rows of cells by their heads."""
    blocks = re.findall(r"(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks]
    return [[dict(zip(head, row, strict=True)) for row in rows] for head, _, *rows in lines if head[0] == "variant"]


@pytest.mark.parametrize(("number", "study"), list(enumerate(STUDIES)))
def test_its_tables_have_the_means_and_differences_of_the_scores(number: int, study: str) -> None:
    scores, rows = scores_of(study), tables()[number]
    assert [row["verdict"] for row in rows].count("reference") == 1
    assert {row["variant"] for row in rows} == set(scores)
    reference = next(scores[row["variant"]] for row in rows if row["verdict"] == "reference")
    for row in rows:
        mine = scores[row["variant"]]
        assert row["abs_rel"] == f"{fmean(mine.values()):.4f}"
        if row["verdict"] != "reference":
            offset = 10000 if row["variant"] == "placebo" else 0
            gaps = [value - reference[seed - offset] for seed, value in mine.items()]
            assert float(row["difference"].replace("−", "-")) == pytest.approx(fmean(gaps), abs=0.00006)


def test_the_second_study_is_valid_and_every_file_it_names_is_there() -> None:
    assert cliffkit.validate(DOCS / "results" / "generators_again" / "generators_again.yaml") == []
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (DOCS / target).resolve().exists(), target


def test_the_cells_that_it_counts_are_those_of_the_scores() -> None:
    cells = sum(map(len, scores_of("generators").values()))
    assert f"| spent | {cells}, and 22 trials |" in PAGE.read_text(encoding="utf-8")
