"""Where the noise of a mean comes from, against simulation and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cliffkit.statistics import Floats, Noise, Variance, compare, estimate, mean_noise, noise_of

SDS = (0.02, 0.05, 0.3)


def tables(count: int, seeds: int, images: int, sds: tuple[float, float, float] = SDS) -> Floats:
    """Tables (count, seeds, images) of the model."""
    random = np.random.default_rng(0)
    shapes = ((count, seeds, 1), (count, 1, images), (count, seeds, images))
    return np.asarray(sum(sd * random.standard_normal(shape) for sd, shape in zip(sds, shapes, strict=True)))


def test_the_parts_are_the_variance_of_simulated_means() -> None:
    noise = Noise(Variance(*(sd**2 for sd in SDS)), 4, 30)
    means = tables(20_000, 4, 30).mean(axis=(1, 2))
    parts = noise.parts
    assert parts.seeds + parts.images + parts.rest == pytest.approx(means.var(), rel=0.04)
    assert parts == Variance(0.02**2 / 4, 0.05**2 / 30, 0.3**2 / 120)
    assert sum(noise.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("sds", [(1.0, 0.0, 2.0), (0.1, 0.2, 3.0), (0.5, 2.0, 0.0)])
def test_the_numbers_that_halve_the_error_are_the_least_that_do(sds: tuple[float, float, float]) -> None:
    variance = Variance(*(sd**2 for sd in sds))
    noise = Noise(variance, 3, 40)

    def error(seeds: int, images: int) -> float:
        parts = Noise(variance, seeds, images).parts
        return math.sqrt(parts.seeds + parts.images + parts.rest)

    seeds = next((n for n in range(3, 4000) if error(n, 40) <= error(3, 40) / 2 + 1e-12), None)
    images = next((n for n in range(40, 60_000) if error(3, n) <= error(3, 40) / 2 + 1e-12), None)
    assert noise.seeds_to_halve == seeds
    assert noise.images_to_halve == images


def test_no_number_of_images_halves_an_error_of_the_seeds_and_no_number_of_seeds_one_of_the_images() -> None:
    seeds, images = Noise(Variance(1.0, 0.0, 1.0), 3, 100), Noise(Variance(0.0, 1.0, 0.1), 3, 100)
    assert (seeds.seeds_to_halve, seeds.images_to_halve) == (12, None)
    assert (images.seeds_to_halve, images.images_to_halve) == (None, 400)


def test_where_nothing_varies_there_is_nothing_to_halve() -> None:
    noise = Noise(Variance(0.0, 0.0, 0.0), 3, 9)
    assert (noise.seeds_to_halve, noise.images_to_halve) == (None, None)
    assert set(noise.shares.values()) == {0.0}


def test_one_seed_or_one_image_cannot_tell_the_parts_apart() -> None:
    table = tables(1, 3, 9)[0]
    for part in (table[:1], table[:, :1]):
        found = estimate(part)
        assert found is not None
        assert noise_of(found) is None
    whole = estimate(table)
    assert whole is not None
    assert noise_of(whole) == Noise(whole.variance, 3, 9)


def test_the_mean_of_many_tables_is_right_where_a_component_is_small() -> None:
    """Components that are cut off at 0 one by one would give twice the seeds' part here."""
    many = tables(3000, 3, 50, (0.02, 0.05, 0.3))
    noise, count = mean_noise(many) or (None, 0)
    assert count == 3000
    assert noise is not None
    assert (noise.seeds, noise.images) == (3, 50)
    variance = noise.variance
    assert variance.seeds == pytest.approx(0.02**2, rel=0.25)
    assert variance.images == pytest.approx(0.05**2, rel=0.1)
    assert variance.rest == pytest.approx(0.3**2, rel=0.01)
    found = [estimate(table) for table in many[:1000]]
    assert np.mean([one.variance.seeds for one in found if one is not None]) > 1.7 * 0.02**2


def test_the_mean_leaves_out_what_is_too_small_and_is_that_of_an_estimate_where_there_is_one_table() -> None:
    table = tables(1, 4, 12, (1.0, 1.0, 1.0))[0]
    with_holes = np.vstack([table, np.full(12, np.nan)])
    found = compare(with_holes, np.zeros_like(with_holes))
    assert found is not None
    noise, count = mean_noise([table[:1], with_holes, table[:, :1]]) or (None, 0)
    assert count == 1
    assert noise is not None
    assert (noise.seeds, noise.images) == (4, 12)
    variance = noise.variance
    assert (variance.seeds, variance.images, variance.rest) == pytest.approx(
        (found.variance.seeds, found.variance.images, found.variance.rest)
    )
    assert mean_noise([table[:1]]) is None
