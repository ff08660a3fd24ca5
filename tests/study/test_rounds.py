"""Who gets which seed is a function of nothing but the scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from cliffkit.statistics import EQUIVALENT, Design, Floats
from cliffkit.statistics.sequential import DECIDED, FINISHED, FUTILE
from cliffkit.study.rounds import FAILED, Course, Stop, play

DESIGN = Design(3, 8)
IMAGES = 30


def make_tables(*effects: float, noise: float = 0.01, seed: int = 0) -> Floats:
    """Scores of a reference and of variants that differ from it so much, (variants, seeds, images)."""
    random = np.random.default_rng(seed)
    shape = (len(effects) + 1, DESIGN.to_seeds, IMAGES)
    hard = 0.3 + 0.05 * random.standard_normal(IMAGES)
    return hard + noise * random.standard_normal(shape) + np.array([0, *effects])[:, None, None]


def played(tables: Floats, ended: np.ndarray | None = None, smallest: float | None = None) -> Course:
    """The course of a study whose cells have all ended, or those named."""
    return play(DESIGN, tables, np.ones(tables.shape[:2], bool) if ended is None else ended, 0, smallest)


def run(tables: Floats, order: np.random.Generator, smallest: float | None = None) -> Course:
    """Let cells that are needed end one by one, in any order, until none is left."""
    ended = np.zeros(tables.shape[:2], bool)
    while True:
        course = played(np.where(ended[..., None], tables, np.nan), ended, smallest)
        needed = [(i, k) for i, seeds in enumerate(course.given) for k in range(seeds) if not ended[i, k]]
        if not needed:
            return course
        ended[needed[order.integers(len(needed))]] = True


@pytest.mark.parametrize("seed", range(5))
def test_the_order_in_which_cells_end_changes_nothing(seed: int) -> None:
    tables = make_tables(0.02, 0.006, 0.003, 0.0, -0.01, seed=seed)
    courses = [run(tables, np.random.default_rng(order), 0.004) for order in range(4)]
    whole = played(tables, smallest=0.004)
    assert courses == [whole] * 4
    assert all(stop is not None for stop in whole.stops[1:])
    assert whole.given == whole.counted == whole.most


def test_each_variant_stops_for_its_own_reason() -> None:
    course = played(make_tables(0.05, 0.0, 0.0025, noise=0.02, seed=4))
    reference, clear, null, close = course.stops
    assert reference is None
    assert clear is not None
    assert clear.reason == DECIDED
    assert null == Stop(FUTILE, 3, 8)
    assert close is not None
    assert course.given == (max(clear.seeds, null.seeds, close.seeds), clear.seeds, null.seeds, close.seeds)
    assert clear.seeds < 8


def test_a_small_difference_is_equivalent_where_the_study_names_a_smallest() -> None:
    tables = make_tables(0.0005)
    assert played(tables, smallest=0.02).stops[1] == Stop(EQUIVALENT, 4, 8)
    alone = played(tables).stops[1]
    assert alone is not None
    assert alone.reason == FUTILE


def test_a_round_waits_for_all_of_its_cells_and_for_no_others() -> None:
    tables = make_tables(0.003, 0.0028, 0.0, seed=6)
    whole = played(tables)
    assert whole.given[1] > 4, "else this test shows nothing"
    ended = np.zeros((4, 8), bool)
    assert played(tables, ended).given == (3, 3, 3, 3)
    assert played(tables, ended).most == (8, 8, 8, 8)
    assert played(tables, ended).may_follow == 20
    ended[:, :3] = True
    second = played(tables, ended)
    assert max(second.given) == second.given[0] == 4
    ended[0, 3] = True
    assert played(tables, ended).given == second.given
    for i, seeds in enumerate(second.given):
        ended[i, :seeds] = True
    assert max(played(tables, ended).given) == 5


def test_scores_that_no_round_asked_for_change_nothing() -> None:
    tables = make_tables(0.05, 0.0)
    course = played(tables)
    assert max(course.given) < 8, "else this test shows nothing"
    other = tables.copy()
    for i, seeds in enumerate(course.given):
        other[i, seeds:] += 7.0
    assert played(other) == course


def test_seeds_count_in_their_order() -> None:
    """A later seed says nothing before the earlier ones have ended."""
    tables = make_tables(0.05)
    ended = np.ones((2, 8), bool)
    ended[1, 1] = False
    course = played(tables, ended)
    assert (course.given, course.counted, course.stops) == ((3, 3), (3, 1), (None, None))


def test_a_decision_of_others_may_decide_a_variant_that_stopped_and_never_undoes_one() -> None:
    """Holm's p falls with the other variants', so some variant that is equivalent comes to be decided."""
    late = 0
    for seed in range(20):
        tables = make_tables(0.004, 0.004, 0.004, 0.004, seed=seed)
        stops = []
        for seeds in range(3, 9):
            ended = np.zeros((5, 8), bool)
            ended[:, :seeds] = True
            stops.append(played(tables, ended, 0.007).stops)
        for earlier, later in itertools.pairwise(stops):
            for before, after in zip(earlier, later, strict=True):
                if before is not None:
                    assert after is not None
                    assert (after.seeds, after.of) == (before.seeds, before.of)
                    assert after.reason in (before.reason, DECIDED)
                    late += after.reason != before.reason
    assert late


def test_the_course_of_a_variant_alone_is_that_of_its_design() -> None:
    for seed in range(30):
        tables = make_tables(0.004, seed=seed)
        stop = played(tables).stops[1]
        assert stop is not None
        for seeds in range(3, stop.seeds + 1):
            word = DESIGN.decided(tables[1, :seeds] - tables[0, :seeds])
            assert (word == stop.reason) == (seeds == stop.seeds)


FAILURES: Mapping[str, tuple[list[tuple[int, int]], str]] = {
    "of a variant": ([(1, 0), (1, 3)], DECIDED),
    "of the reference": ([(0, 1)], DECIDED),
    "of all seeds of a variant": ([(1, k) for k in range(8)], FAILED),
    "of all seeds of the reference": ([(0, k) for k in range(8)], FAILED),
}


@pytest.mark.parametrize("whose", FAILURES)
def test_a_seed_that_failed_is_left_out(whose: str) -> None:
    cells, reason = FAILURES[whose]
    tables = make_tables(0.05, 0.05)
    for cell in cells:
        tables[cell] = np.nan
    course = played(tables)
    stop = course.stops[1]
    assert stop is not None
    assert stop.reason == reason
    if reason == FAILED:
        assert stop.seeds == 3, "it is given no more seeds"
    else:
        fewer = played(np.delete(tables, [k for _, k in cells], axis=1), np.ones((3, 8 - len(cells)), bool)).stops[1]
        assert fewer is not None
        assert stop.seeds == fewer.seeds + len(cells)
    if "variant" in whose:
        assert course.stops[2] == played(make_tables(0.05, 0.05)).stops[2], "the others go on"


def test_a_variant_whose_last_seeds_failed_is_finished() -> None:
    tables = make_tables(0.0035, noise=0.012, seed=8)
    assert played(tables).given == (8, 8), "else this test shows nothing"
    tables[1, 7] = np.nan
    assert played(tables).stops[1] == Stop(FINISHED, 8, 8)


def test_what_more_seeds_cannot_help_gets_none() -> None:
    """The same recipe under two names, one image, no image, a study of the reference alone."""
    tables = make_tables(0.0, 0.05)
    tables[1] = tables[0]
    assert played(tables).stops[1] == Stop(FUTILE, 3, 8)
    assert played(tables, smallest=0.001).stops[1] == Stop(EQUIVALENT, 3, 8)
    assert played(make_tables(0.5)[..., :1]).stops[1] == Stop(FUTILE, 3, 8)
    assert played(make_tables(0.5)[..., :0]).stops[1] == Stop(FAILED, 3, 8)
    assert played(make_tables()).given == (3,)
