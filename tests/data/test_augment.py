"""Steps of augmentation are applied one after another, each to its own share of the random numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cliffkit.data.augment import augment, draws_of
from cliffkit.errors import UserError
from cliffkit.interfaces import Augment, Batch, Sample

from ..engine_fixtures import same


@pytest.fixture
def sample() -> Sample:
    random = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 3, 4, 5), generator=random, dtype=torch.uint8)
    depth = torch.rand((3, 1, 4, 5), generator=random) * 9
    return Sample(image, depth, depth > 3, torch.tensor([4, -1, 2]))


class Scale(Augment):
    """Multiplies depth by the sum of its draws."""

    def __init__(self, draws: int) -> None:
        self.draws = draws
        self.given: list[Tensor] = []

    def __call__(self, batch: Batch, draws: Tensor) -> Batch:
        self.given.append(draws)
        return batch._replace(depth=batch.depth * draws.sum(0)[:, None, None, None])


def test_each_step_takes_its_own_draws_in_order(sample: Sample) -> None:
    steps = [Scale(2), Scale(0), Scale(1)]
    draws = torch.arange(3.0)[:, None] + torch.arange(3.0)
    augment(sample, steps, draws)
    assert draws_of(steps) == 3
    assert [step.given[0].tolist() for step in steps] == [draws[:2].tolist(), [], draws[2:].tolist()]


def test_each_step_changes_what_the_one_before_it_gave(sample: Sample) -> None:
    out = augment(sample, [Scale(1), Scale(1)], torch.tensor([[2.0] * 3, [3.0] * 3]))
    torch.testing.assert_close(out.depth, sample.depth * 6)


def test_without_steps_an_image_is_only_divided_by_255(sample: Sample) -> None:
    out = augment(sample, [], torch.empty(0, 3))
    assert torch.equal(out.image, sample.image.float() / 255)
    assert same(out, Batch.of(sample))


class Wrong(Scale):
    """Gives what it was told to."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(0)
        self.changes = changes

    def __call__(self, batch: Batch, draws: Tensor) -> Batch:
        return batch._replace(**self.changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": torch.ones(3, 1, 4, 4)}, "depth is 3x1x4x4 float32, and depth was 3x1x4x5 float32; keep names"),
        ({"image": torch.ones(3, 3, 4, 5).double()}, "image is 3x3x4x5 float64, and image was 3x3x4x5 float32"),
        ({"extras": {"edge": torch.ones(3)}}, "edge is 3 float32, and edge was not there"),
    ],
)
def test_a_step_that_changes_shapes_or_types_is_named(sample: Sample, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"augment Wrong of .*test_augment: {message}"):
        augment(sample, [Scale(1), Wrong(**changes), Scale(1)], torch.ones(2, 3))
