from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cliffkit.data import batches
from cliffkit.data.batches import Batches, batch_indices, mix

from ..engine_fixtures import Tiny, packed, same


@pytest.mark.parametrize(("images", "batch"), [(12, 4), (10, 4), (7, 3), (5, 12), (1, 3)])
def test_epochs_are_permutations_one_after_another_and_nothing_is_dropped(images: int, batch: int) -> None:
    epochs = 6
    steps = -(-epochs * images // batch)
    seen = np.concatenate([batch_indices(images, batch, 3, step) for step in range(steps)])[: epochs * images]
    orders = seen.reshape(epochs, images)
    assert (np.sort(orders, axis=1) == np.arange(images)).all()
    assert images < 5 or len({tuple(order) for order in orders}) == epochs, "every epoch has an order of its own"


def test_a_batch_is_a_function_of_seed_and_step_alone() -> None:
    ahead = [batch_indices(10, 4, 5, step).tolist() for step in range(20)]
    back = [batch_indices(10, 4, 5, step).tolist() for step in reversed(range(20))]
    assert ahead == back[::-1]
    assert ahead != [batch_indices(10, 4, 6, step).tolist() for step in range(20)]


@pytest.mark.parametrize("world", [2, 4])
def test_the_shares_of_several_processes_interleave_to_the_batch_of_one(tmp_path: Path, world: int) -> None:
    pack = packed(Tiny(), tmp_path / "pack")
    alone = Batches(pack, 8, 1, 0, 1, torch.device("cpu"))
    shares = [Batches(pack, 8, 1, rank, world, torch.device("cpu")) for rank in range(world)]
    for step in (0, 1, 5):
        whole, draws = alone.load(step), alone.draws(step, 4)
        for rank, share in enumerate(shares):
            assert same(share.load(step), whole.map(lambda field, rank=rank: field[rank::world]))
            assert torch.equal(share.draws(step, 4), draws[:, rank::world])
            assert same(share.whole(step), whole)


def test_draws_are_uniform_and_differ_from_step_to_step(tmp_path: Path) -> None:
    batches = Batches(packed(Tiny(), tmp_path / "pack"), 500, 1, 0, 1, torch.device("cpu"))
    draws = torch.stack([batches.draws(step, 4) for step in range(10)])
    assert draws.min() >= 0
    assert draws.max() < 1
    assert draws.unique().numel() > 19_000, "of 20,000, in steps of 2^-24"
    assert draws.mean() == pytest.approx(0.5, abs=0.02)


def test_running_gives_what_loading_gives_wherever_it_starts(tmp_path: Path) -> None:
    batches = Batches(packed(Tiny(), tmp_path / "pack"), 5, 1, 0, 1, torch.device("cpu"))
    expected = [batches.load(step) for step in range(7)]
    for start in (0, 4):
        given = [sample for sample, waited_s in batches.run(start, 7) if waited_s >= 0]
        assert len(given) == 7 - start
        for sample, other in zip(given, expected[start:], strict=True):
            assert same(sample, other)


def test_mixed_numbers_make_seeds_that_torch_takes_and_that_differ() -> None:
    seeds = {mix(seed, step) for seed in range(30) for step in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mix(3, 4) == mix(3, 4) != mix(4, 3)


def test_the_order_of_an_epoch_is_drawn_once_however_many_steps_it_has() -> None:
    """A pack of 100 GB has some 300,000 images: to permute them takes milliseconds."""
    batches._order.cache_clear()
    for step in range(25):
        batch_indices(100, 8, 3, step)
    assert batches._order.cache_info().misses == 2
