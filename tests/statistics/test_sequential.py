from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliffkit.statistics import (
    BETTER,
    EQUIVALENT,
    NOISE,
    THESE_WEIGHTS,
    UNMEASURED,
    Design,
    Estimate,
    Floats,
    Look,
    Variance,
    detectable,
    equivalent,
    estimate,
    verdict,
)
from cliffkit.statistics.sequential import DECIDED, FINISHED, FUTILE, GO_ON
from cliffkit.statistics.spending import bounds, spent

NAN = math.nan

DESIGN = Design(3, 10)


def _table(seeds: int, images: int = 20, seed: int = 0, effect: float = 0.0, seed_sd: float = 1.0) -> Floats:
    rng = np.random.default_rng(seed)
    table = effect + seed_sd * rng.standard_normal((seeds, 1)) + 0.3 * rng.standard_normal((1, images))
    return np.asarray(table + rng.standard_normal((seeds, images)))


def _some(result: Estimate | None) -> Estimate:
    assert result is not None
    return result


# --- bounds


def test_the_bounds_are_those_published_for_t() -> None:
    # Published to two or three digits, from a simulation that spends both sides at once. Half a unit of the last digit
    # is up to 1.4 %, a million simulated studies are off by 1 % at the early looks.
    published = (0.00035, 0.00164, 0.00422, 0.00788, 0.0125, 0.0178, 0.0236, 0.0294)
    assert bounds(3, 10, (0.05,), sides=1)[:, 0] == pytest.approx(published, rel=0.025)


@pytest.mark.parametrize(("first", "last", "alpha"), [(3, 10, 0.05), (2, 6, 0.1), (4, 9, 0.02)])
def test_the_looks_spend_alpha(first: int, last: int, alpha: float) -> None:
    # Student's t of 200,000 simulated studies; a standard error is at most 0.07 points.
    studies, limits = 200_000, bounds(first, last, (alpha,))[:, 0]
    values = np.random.default_rng(4).standard_normal((studies, last))
    stopped = np.zeros(studies, bool)
    for seeds, limit in zip(range(first, last + 1), limits, strict=True):
        values_so_far = values[:, :seeds]
        x, zero = values_so_far.var(axis=1, ddof=1), np.zeros(studies)
        look = Look(values_so_far.mean(axis=1), x, zero, zero, seeds, 1)
        stopped |= Design(first, last, alpha).nominal(look) <= limit
        wanted = float(spent(np.array(alpha), seeds / last))
        assert stopped.mean() == pytest.approx(wanted, abs=4 * math.sqrt(wanted / studies) + 1e-5)
    assert float(spent(np.array(alpha), 1.0)) == pytest.approx(alpha)


def test_one_look_is_the_fixed_test() -> None:
    table = _table(5, effect=1.0)
    fixed, design = _some(estimate(table)), Design(5, 5)
    assert design.bounds == pytest.approx({5: 0.05})
    assert design.p(table) == pytest.approx(fixed.p, rel=0.01)
    interval = _some(design.interval(table))
    assert (interval.low, interval.high) == pytest.approx((fixed.low, fixed.high))


@given(first=st.integers(2, 5), more=st.integers(0, 6), alpha=st.floats(0.001, 0.3))
@settings(max_examples=15, deadline=None)
def test_later_and_larger_alphas_have_larger_bounds(first: int, more: int, alpha: float) -> None:
    limits = list(Design(first, first + more, alpha).bounds.values())
    assert limits == sorted(limits)
    assert limits[-1] <= alpha * (1 + 1e-9)
    wider = Design(first, first + more, 1.5 * alpha).bounds.values()
    assert all(one < other for one, other in zip(limits, wider, strict=True))


@pytest.mark.parametrize(("first", "last", "alpha"), [(1, 5, 0.05), (4, 3, 0.05), (3, 10, 0.0), (3, 10, 1.0)])
def test_a_design_that_makes_no_sense_is_refused(first: int, last: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="give"):
        Design(first, last, alpha)


# --- the sequential p


@given(seed=st.integers(0, 1000), effect=st.floats(0, 4), alpha=st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=60, deadline=None)
def test_p_never_grows_and_falls_to_alpha_where_a_look_crosses(seed: int, effect: float, alpha: float) -> None:
    design, table = Design(3, 8, alpha), _table(8, seed=seed, effect=effect)
    p = [design.p(table[:seeds]) for seeds in range(9)]
    assert p == sorted(p, reverse=True)
    assert p[:3] == [1, 1, 1]
    crossed = False
    for seeds in range(3, 9):
        interval = _some(design.interval(table[:seeds]))
        crossed |= bool(design.nominal(Look.at(table[:seeds])) <= design.bounds[seeds])
        assert (p[seeds] <= alpha) == crossed
        assert interval.p == p[seeds]
        if interval.low > 0 or interval.high < 0:
            assert crossed


def test_p_is_the_smallest_alpha_that_rejects() -> None:
    table = _table(7, seed=3, effect=1.2)
    p = DESIGN.p(table)
    assert 0.001 < p < 0.999
    assert Design(3, 10, p * 1.02).p(table) <= p * 1.02
    assert Design(3, 10, p * 0.98).p(table) > p * 0.98


def test_p_far_in_the_tail_is_still_ordered() -> None:
    far = [DESIGN.p(_table(4, seed_sd=0.01) + effect) for effect in (5, 50, 500, 5000)]
    assert far == sorted(far, reverse=True)
    assert len(set(far)) == len(far)
    assert all(0 < p < 0.01 for p in far)


def test_neither_the_order_of_images_nor_the_sign_nor_the_unit_matters() -> None:
    table = _table(6, seed=9, effect=0.8)
    shuffled = table[:, np.random.default_rng(1).permutation(table.shape[1])]
    for other in (shuffled, -table, 1e-3 * table):
        assert DESIGN.p(other) == pytest.approx(DESIGN.p(table))
        assert DESIGN.futile(other) == DESIGN.futile(table)


def test_the_order_of_seeds_matters() -> None:
    table = _table(3, seed_sd=0.01) + 5
    late = np.vstack([table, table + np.array([[1.0], [-4.0], [3.0]])])
    assert DESIGN.p(late) < DESIGN.p(late[::-1])


def test_more_seeds_than_declared_are_another_design() -> None:
    for call in (DESIGN.p, DESIGN.futile, DESIGN.interval, DESIGN.decided):
        with pytest.raises(ValueError, match="new design"):
            call(_table(11))


def test_absent_values_are_left_out_at_each_look() -> None:
    table = _table(5, effect=2.0)
    holes = np.vstack([table[:2], np.full((1, 20), NAN), table[2:]])
    assert DESIGN.p(holes) == DESIGN.p(table)
    assert DESIGN.p(np.vstack([table[:2], np.full((3, 20), NAN)])) == 1
    holes = table.copy()
    holes[4, :7] = NAN  # the last seed lacks images: the looks before it keep them
    assert DESIGN.p(holes) <= DESIGN.p(table[:4])
    interval = _some(DESIGN.interval(holes))
    assert (interval.seeds, interval.images, interval.dropped) == (5, 13, 7)
    nothing = np.full((5, 20), NAN)
    assert (DESIGN.p(nothing), DESIGN.futile(nothing), DESIGN.interval(nothing)) == (1, False, None)
    with pytest.raises(ValueError, match="infinite"):
        DESIGN.p(np.full((4, 3), math.inf))


def test_differences_without_noise() -> None:
    assert DESIGN.p(np.full((3, 5), 0.5)) == 0
    assert DESIGN.decided(np.full((3, 5), 0.5)) == DECIDED
    assert DESIGN.p(np.zeros((3, 5))) == 1
    assert DESIGN.decided(np.zeros((3, 5))) == FUTILE
    assert DESIGN.decided(np.zeros((3, 5)), smallest=0.01) == EQUIVALENT


# --- when to stop


def test_a_hopeless_comparison_is_futile_and_a_promising_one_is_not() -> None:
    hopeless, promising = _table(6, seed=1), _table(6, seed=1)
    hopeless -= hopeless.mean()
    promising += 1.0 - promising.mean()
    assert DESIGN.futile(hopeless)
    assert not DESIGN.futile(promising)
    assert DESIGN.futile(promising, power=0.99)
    assert not DESIGN.futile(hopeless[:2])


def test_the_last_look_is_never_futile() -> None:
    table = _table(10)
    table -= table.mean()
    assert not DESIGN.futile(table)
    assert DESIGN.decided(table) == FINISHED


def test_where_images_hide_a_difference_more_seeds_are_hopeless() -> None:
    # Seeds agree, images do not: ten seeds would see nothing that three do not.
    rng = np.random.default_rng(2)
    table = rng.standard_normal((1, 50)) + 0.01 * rng.standard_normal((10, 50))
    table += 0.1 - table.mean()
    assert DESIGN.futile(table[:3])


def test_the_states_of_a_comparison() -> None:
    winner, promising = _table(6, effect=4.0), _table(5, seed=1)
    promising += 0.9 - promising.mean()
    assert [DESIGN.decided(winner[:seeds]) for seeds in (0, 2, 6)] == [GO_ON, GO_ON, DECIDED]
    assert DESIGN.decided(winner, p_adjusted=0.06) == GO_ON
    assert DESIGN.decided(promising) == GO_ON
    assert DESIGN.decided(promising, p_adjusted=0.04) == DECIDED


def test_with_a_smallest_effect_a_comparison_goes_on_to_be_called_equivalent() -> None:
    table = _table(10, seed=1, seed_sd=0.2)
    table -= table.mean()
    assert DESIGN.decided(table[:4]) == FUTILE
    assert DESIGN.decided(table[:4], smallest=0.35) == GO_ON
    assert DESIGN.decided(table, smallest=0.35) == EQUIVALENT
    assert DESIGN.decided(table[:4], smallest=0.01) == FUTILE  # far too small to be seen


def test_the_repeated_interval_is_wider_than_that_of_a_fixed_study() -> None:
    for seeds in (3, 6, 10):
        table = _table(seeds)
        repeated, fixed = _some(DESIGN.interval(table)), _some(estimate(table))
        assert repeated.value == fixed.value
        assert repeated.high - repeated.low > fixed.high - fixed.low
        assert (repeated.confidence, repeated.seeds, repeated.images) == (0.95, seeds, 20)
    assert DESIGN.interval(_table(2)) is None


# --- equivalent


def test_equivalent_where_the_90_percent_interval_lies_within() -> None:
    table = _table(8, seed=2, seed_sd=0.1)
    at_90 = _some(estimate(table, confidence=0.9))
    reach = max(abs(at_90.low), abs(at_90.high))
    assert equivalent(_some(estimate(table)), reach * 1.001)
    assert not equivalent(_some(estimate(table)), reach * 0.999)
    for smallest in (0.0, -1.0, NAN, math.inf):
        with pytest.raises(ValueError, match="above 0"):
            equivalent(_some(estimate(table)), smallest)
        with pytest.raises(ValueError, match="above 0"):
            DESIGN.equivalent(table, smallest)


def test_one_seed_or_one_image_is_never_equivalent() -> None:
    one_seed, one_image = np.full((1, 9), 0.01), np.full((4, 1), 0.01)
    assert not equivalent(_some(estimate(one_seed)), 1.0)
    assert not equivalent(_some(estimate(one_image)), 1.0)
    assert not DESIGN.equivalent(one_image, 1.0)
    assert verdict(estimate(one_seed), higher_is_better=True, smallest=1.0) == THESE_WEIGHTS
    assert verdict(estimate(one_image), higher_is_better=True, smallest=1.0) == UNMEASURED


def test_a_difference_that_is_real_but_small_is_called_by_its_side() -> None:
    small = _some(estimate(_table(8, 400, seed_sd=0.001) * 0.01 + 0.1))
    assert equivalent(small, 1.0)
    assert verdict(small, higher_is_better=True, smallest=1.0) == BETTER
    assert verdict(small, higher_is_better=True, smallest=1.0, p_adjusted=0.2) == EQUIVALENT
    quiet = replace(small, p=0.5)
    assert verdict(quiet, higher_is_better=True) == NOISE
    assert verdict(quiet, higher_is_better=True, smallest=0.01) == NOISE
    assert verdict(quiet, higher_is_better=True, smallest=1.0) == EQUIVALENT
    assert verdict(quiet, higher_is_better=True, smallest=1.0, is_equivalent=False) == NOISE
    assert verdict(quiet, higher_is_better=True, is_equivalent=True) == EQUIVALENT


# --- what a study will see


def test_a_plan_for_fixed_seeds_is_that_of_the_estimate() -> None:
    known = _some(estimate(_table(4, 30)))
    assert detectable(known.variance, 4, 30) == pytest.approx(known.detectable(), rel=0.05)
    variance = Variance(0.5, 0.2, 1.0)
    expected = replace(known, variance=variance, seeds=6, images=50).detectable(0.9)
    assert detectable(variance, 6, 50, power=0.9) == pytest.approx(expected)
    assert detectable(variance, 1, 50) == math.inf
    for seeds, images in ((0, 5), (3, 0)):
        with pytest.raises(ValueError, match="at least one"):
            detectable(variance, seeds, images)
    with pytest.raises(ValueError, match="at least 2"):
        detectable(variance, DESIGN, 1)


def test_a_plan_for_a_design_lies_between_those_of_its_first_and_last_seeds() -> None:
    for variance in (Variance(1, 0, 0), Variance(0, 1, 1), Variance(0.01, 0, 1)):
        least = detectable(variance, DESIGN, 100)
        assert detectable(variance, 10, 100) < least < detectable(variance, 3, 100)
        assert least == detectable(variance, DESIGN, 100)
    assert detectable(Variance(0, 0, 0), DESIGN, 100) == 0


# --- calibration, on few studies; docs/why/statistics.md has the whole


def test_a_design_holds_its_promises(calibration: ModuleType) -> None:
    rng = np.random.default_rng(6)
    # 3000 studies: a standard error is 0.4 points at 5 %, 0.9 at 70.
    for noise in ((1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.1, 0.0, 1.0)):
        run = calibration.adaptive(calibration.Noise(*noise), DESIGN, 50, 3000, rng)
        assert run[0].decided < 0.062
        assert run[0].seeds < 5.7
        assert min(outcome.coverage for outcome in run) > 0.93
        assert run[1].fixed - run[1].decided < 0.1


def test_a_planned_difference_is_decided_four_times_in_five(calibration: ModuleType) -> None:
    sds, rng = (0.3, 0.5, 1.0), np.random.default_rng(8)
    least = detectable(Variance(*(sd**2 for sd in sds)), DESIGN, 50)
    scale = math.sqrt(sds[0] ** 2 + sds[2] ** 2 / 50)
    run = calibration.adaptive(calibration.Noise(*sds), DESIGN, 50, 3000, rng, shifts=(least / scale,))
    assert run[0].decided == pytest.approx(0.8, abs=0.04)


def test_a_difference_of_the_smallest_size_is_rarely_called_equivalent(calibration: ModuleType) -> None:
    rng = np.random.default_rng(9)
    for sds in ((1.0, 0.0, 0.0), (1.0, 1.0, 0.0)):
        fixed, sequential = calibration.false_equivalence(calibration.Noise(*sds), DESIGN, 50, 3.0, 3000, rng)
        # Both should be near 5 %, and a standard error is 0.4 points.
        assert 0.02 < fixed < 0.067
        assert 0.005 < sequential < 0.067


def test_holm_over_sequential_p(calibration: ModuleType) -> None:
    # Worst of all stopping rules; a standard error of 1000 studies is 0.7 points.
    wrong = calibration.family(calibration.Noise(1.0, 0.3, 1.0), DESIGN, 50, 3, 1000, np.random.default_rng(3))
    assert wrong < 0.075
