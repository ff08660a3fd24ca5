"""The first sentence of a report says what was found, in right grammar, whatever was found."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cliffkit.components.registry import Registry
from cliffkit.report.summary import summary
from cliffkit.report.wording import half, number, table_digits
from cliffkit.statistics import NOISE
from cliffkit.study.analysis import analyse
from cliffkit.study.results import Results
from cliffkit.study.study import Study

from ..report_fixtures import make_results, make_study

TWO = {"fusion": {"cliff": {}, "add": {"model.fusion": {"use": "add"}}}}
RATES = {"lr": {f"rate {i}": {"train.depth.lr": 0.01 + i / 100} if i else {} for i in range(9)}}
ADAPTIVE = {"seeds": {"from": 3, "to": 8}}
ON = "Compared with heg_s + cliff on 24 test images of rooms (abs_rel under protocol full) and 3 seeds"


def _everything_waits(study: Study) -> dict[str, Any]:
    return {"waiting": [(variant.name, seed) for variant in study.variants for seed in study.seeds]}


def _reference_waits(study: Study) -> dict[str, Any]:
    return {"waiting": [(study.reference.name, seed) for seed in study.seeds]}


def _one_waits(study: Study) -> dict[str, Any]:
    """A cell of the variant that would be better without it."""
    return {"waiting": [("none + add", 2)]}


def _some_failed(study: Study) -> dict[str, Any]:
    twice, thrice = study.variants[1].name, study.variants[2].name
    return {"failed": dict.fromkeys([(twice, 0), (twice, 1), *((thrice, seed) for seed in study.seeds)], "a reason")}


def _reference_failed_once(study: Study) -> dict[str, Any]:
    return {"failed": {(study.reference.name, 1): "a reason"}}


def _results(folder: Path, registry: Registry, tiny: str, how: Mapping[str, Any]) -> Results:
    made = dict(how)
    cells: Callable[[Study], dict[str, Any]] = made.pop("cells", lambda study: {})
    study = make_study(folder, registry, tiny, **made)
    return make_results(study, folder / "runs", **cells(study))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, f"{ON}, none + add lowered abs_rel from 0.1106 to 0.0957 (difference −0.0149, 95 % interval −0.0165 to "),
        ({}, "; none + concat raised abs_rel from 0.1106 to 0.1315 (difference +0.0208, 95 % interval +0.0139 to "),
        (
            {},
            "; heg_s + add, heg_s + concat and none + cliff could not be told apart from the reference, and the study ",
        ),
        ({"compare": {"metric": "delta1"}}, "none + add raised delta1 from 0.7221 to 0.7550 (difference +0.0329, "),
        (
            {"compare": {"metric": "rmse"}},
            "from 0.3319 to 0.2871 m (difference −0.0448 m, 95 % interval −0.0496 to −0.0401 m,",
        ),
        (
            {"compare": {"smallest": 0.012}},
            "; heg_s + concat (difference +0.0057, 95 % interval −0.0004 to +0.0117) and none + cliff (difference ",
        ),
        (
            {"compare": {"smallest": 0.012}},
            " to +0.0131) were equivalent within ±0.012 by two one-sided tests; heg_s + add could not be told ",
        ),
        (
            {"axes": RATES, "compare": {"smallest": 0.03}},
            "8 variants were equivalent within ±0.03 by two one-sided tests (widest 95 % interval ",
        ),
        (
            {"axes": TWO},
            "add lowered abs_rel from 0.112 to 0.096 (difference −0.017, 95 % interval −0.029 to −0.005, p = 0.027).",
        ),
        (
            {"axes": TWO, "seeds": [1]},
            "and one seed, the difference of −0.0200 may be the luck of one training, since one ",
        ),
        (
            {"seeds": [7]},
            "and one seed, differences of −0.0144 to +0.0199 may be the luck of one training, since one seed ",
        ),
        ({"axes": RATES}, "none of the 8 variants could be told apart from the reference, and the study would have "),
        (
            {"axes": RATES, "compare": {"smallest": 0.01}},
            "; the other 7 variants could not be told apart from the reference, and the study ",
        ),
        ({"cells": _everything_waits}, "Nothing is measured yet: none of 18 cells is done."),
        ({"cells": _reference_waits}, "Nothing can be compared yet: no variant shares a seed and a scored image with "),
        (
            {"cells": lambda study: {"images": 1}},
            "on one test image of rooms (abs_rel under protocol full) and 3 seeds, ",
        ),
        ({"cells": lambda study: {"images": 1}}, "nothing can be concluded: one image says nothing of others."),
        ({"cells": _some_failed}, "and 1 to 3 seeds (13 of 18 cells are done), "),
        (
            {"cells": _some_failed},
            "; the difference of none + add of −0.0166 may be the luck of one training, since one ",
        ),
        ({"cells": _some_failed}, "; none + concat was not measured; none + add (2 of 3) is judged without the seeds "),
        ({"cells": _reference_failed_once}, "; heg_s + cliff (1 of 3) is judged without the seeds that failed."),
        (ADAPTIVE, "rooms (abs_rel under protocol full) and 4 to 5 seeds, none + add lowered abs_rel from 0.1116 to "),
        (ADAPTIVE, "to −0.0104, Holm's sequential p = 0.013, decided at 5 of 8 seeds) and heg_s + add from 0.1116 to "),
        (
            ADAPTIVE,
            "; none + cliff could not be told apart from the reference (hopeless after 4 of 8 seeds, 95 % inter",
        ),
        ({"cells": _one_waits}, "So far, compared with heg_s + cliff on 24 test images "),
        ({"cells": _one_waits}, "; none + add is not decided yet."),
        ({**ADAPTIVE, "cells": _one_waits}, "(17 of 18 cells are done), none of the 5 variants is decided yet."),
    ],
)
def test_the_sentence_of_every_outcome(
    registry: Registry, tiny: str, tmp_path: Path, how: Mapping[str, Any], words: str
) -> None:
    results = _results(tmp_path, registry, tiny, how)
    told = summary(results, analyse(results))
    assert words in told
    assert re.fullmatch(r"[A-Z].*[^ .]\.", told), "one sentence, with a full stop at its end"
    assert "  " not in told
    assert "None" not in told


def test_with_adaptive_seeds_the_power_of_the_design_is_not_quoted(
    registry: Registry, tiny: str, tmp_path: Path
) -> None:
    """A comparison that stopped after two seeds has not the power of the four that were planned."""
    seeds = {"from": 2, "to": 4}
    results = _results(tmp_path, registry, tiny, {"axes": RATES, "seeds": seeds, "compare": {"smallest": 0.001}})
    analysis = analyse(results)
    rows = analysis.first(results).rows[1:]
    ends = {str(row.stop) for row in rows if row.word == NOISE}
    told = summary(results, analysis)
    assert "would have seen" not in told
    assert ends
    assert all(end in told for end in ends)
    widest = max((row for row in rows if row.difference), key=lambda row: half(row.difference))
    decimals = table_digits(analysis.first(results))
    assert f"widest 95 % interval {number(widest.difference.low, decimals, sign=True)} to " in told


def test_a_damaged_cell_leaves_its_variant_undecided(registry: Registry, tiny: str, tmp_path: Path) -> None:
    """A cell that failed for good leaves the verdict of the others; a damaged one is done again."""
    results = _results(tmp_path, registry, tiny, {"axes": TWO})
    cells = [*results.cells[:-1], replace(results.cells[-1], state="failed", damaged=True)]
    told = summary(replace(results, cells=tuple(cells)), analyse(results))
    assert told.startswith("So far, compared with ")
    assert told.endswith("(5 of 6 cells are done), add is not decided yet.")


def test_the_placebo_is_no_finding(registry: Registry, tiny: str, tmp_path: Path) -> None:
    results = _results(tmp_path, registry, tiny, {"placebo": True})
    assert "placebo" not in summary(results, analyse(results))


def test_means_are_of_the_cells_that_both_have(registry: Registry, tiny: str, tmp_path: Path) -> None:
    """Seed 0 of the better variant failed, so the reference's mean is told without its own seed 0."""
    results = _results(tmp_path, registry, tiny, {"axes": TWO, "cells": lambda study: {"failed": {("add", 0): "why"}}})
    results.scores["full"][0, 0] += 1  # of the reference, at that seed
    reference, own = results.table("full", "abs_rel")
    told = summary(results, analyse(results))
    numbers = re.search(r"from (\S+) to (\S+) \(difference −(\S+),", told)
    assert numbers is not None, told
    start, end, gap = map(float, numbers.groups())
    assert start == pytest.approx(np.mean(reference[1:]), abs=6e-4)
    assert end == pytest.approx(np.mean(own[1:]), abs=6e-4)
    assert gap == pytest.approx(np.mean(reference[1:] - own[1:]), abs=6e-4)
