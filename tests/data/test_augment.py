from __future__ import annotations

import numpy as np
import pytest
import torch

from cliffkit.data.augment import DRAWS, augment
from cliffkit.interfaces import Batch, Sample
from cliffkit.recipe.schema import Augment

from ..engine_fixtures import PLAIN, one_thread, same  # noqa: F401

DRAWN = torch.tensor([[0.0, 0.49, 0.51], [0.1, 0.9, 0.5], [0.95, 0.05, 0.3], [0.2, 0.99, 0.7]])


@pytest.fixture
def batch() -> Sample:
    random = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 3, 4, 5), generator=random, dtype=torch.uint8)
    depth = torch.rand((3, 1, 4, 5), generator=random) * 9
    valid = torch.rand((3, 1, 4, 5), generator=random) > 0.4
    return Sample(image, depth, valid, torch.tensor([4, -1, 2]))


def by_hand(image: np.ndarray, settings: Augment, draws: list[float]) -> np.ndarray:
    """One (3, H, W) uint8 image, pixel by pixel in float64: brightness, contrast, saturation, each clamped."""
    factors = [
        1 + (2 * draw - 1) * x
        for draw, x in zip(draws, (settings.brightness, settings.contrast, settings.saturation), strict=True)
    ]
    height, width = image.shape[1:]
    out = np.empty(image.shape)
    for y in range(height):
        for x in range(width):
            out[:, y, x] = [min(1, max(0, v / 255 * factors[0])) for v in image[:, y, x]]
    mean = sum(grey(out[:, y, x]) for y in range(height) for x in range(width)) / (height * width)
    for y in range(height):
        for x in range(width):
            out[:, y, x] = [min(1, max(0, mean + factors[1] * (v - mean))) for v in out[:, y, x]]
            own = grey(out[:, y, x])
            out[:, y, x] = [min(1, max(0, own + factors[2] * (v - own))) for v in out[:, y, x]]
    return out


def grey(rgb: np.ndarray) -> float:
    return float(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2])


@pytest.mark.parametrize("x", [(0.4, 0.4, 0.4), (0.9, 0, 0), (0, 1, 0), (0, 0, 0.7), (1, 0.3, 1)])
def test_colours_change_by_the_formula_of_a_plain_loop(batch: Sample, x: tuple[float, float, float]) -> None:
    settings = Augment(flip=0, brightness=x[0], contrast=x[1], saturation=x[2])
    out = augment(batch, settings, DRAWN)
    for i in range(3):
        expected = by_hand(batch.image[i].numpy(), settings, DRAWN[1:, i].tolist())
        np.testing.assert_allclose(out.image[i].numpy(), expected, atol=3e-6)
    assert not torch.allclose(out.image, batch.image / 255, atol=0.05)
    assert same(out, Batch.of(batch)._replace(image=out.image)), "depth, validity and scene are not a matter of colour"


def test_a_mirrored_image_takes_its_depth_and_its_holes_along(batch: Sample) -> None:
    out = augment(batch, Augment(flip=0.5, brightness=0, contrast=0, saturation=0), DRAWN)
    for i, mirrored in enumerate((True, True, False)):  # those that drew less than 0.5
        for field, before in ((out.image, batch.image / 255), (out.depth, batch.depth), (out.valid, batch.valid)):
            assert torch.equal(field[i], before[i].flip(-1) if mirrored else before[i])
    assert torch.equal(out.scene, batch.scene)


@pytest.mark.parametrize(("share", "mirrored"), [(0.0, 0), (1.0, 3)])
def test_flip_0_mirrors_none_and_flip_1_mirrors_all(batch: Sample, share: float, mirrored: int) -> None:
    draws = torch.full((DRAWS, 3), 0.5)
    draws[0] = torch.tensor([0.0, 0.5, 1 - 2**-24])
    out = augment(batch, Augment(flip=share, brightness=0, contrast=0, saturation=0), draws)
    assert sum(torch.equal(a, b.flip(-1)) for a, b in zip(out.depth, batch.depth, strict=True)) == mirrored


def test_without_settings_an_image_is_only_divided_by_255(batch: Sample) -> None:
    out = augment(batch, PLAIN, DRAWN)
    assert torch.equal(out.image, batch.image.float() / 255)
    assert same(out, Batch.of(batch))


def test_the_middle_draw_changes_no_colour(batch: Sample) -> None:
    out = augment(batch, Augment(flip=0), torch.full((DRAWS, 3), 0.5))
    torch.testing.assert_close(out.image, batch.image.float() / 255)


def test_an_image_is_augmented_the_same_whatever_stands_beside_it(batch: Sample) -> None:
    whole = augment(batch, Augment(), DRAWN)
    for i in range(3):
        alone = augment(batch.map(lambda field, i=i: field[i : i + 1]), Augment(), DRAWN[:, i : i + 1])
        for name, field in alone.tensors().items():
            torch.testing.assert_close(field[0], whole.tensors()[name][i], rtol=0, atol=1e-6, equal_nan=True)
    order = torch.tensor([2, 0, 1])
    shuffled = augment(batch.map(lambda field: field[order]), Augment(), DRAWN[:, order])
    assert same(shuffled, whole.map(lambda field: field[order]))


def test_what_goes_in_is_not_changed(batch: Sample) -> None:
    before = batch.map(torch.Tensor.clone)
    augment(batch, Augment(flip=1), DRAWN)
    assert same(batch, before)
