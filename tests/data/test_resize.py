from __future__ import annotations

import numpy as np
import pytest
import torch

from cliffkit.data.resize import at_training_size
from cliffkit.interfaces import Sample


def sparse(height: int, width: int, share: float, seed: int = 0) -> Sample:
    """Points at random pixels, each of another depth."""
    random = np.random.default_rng(seed)
    valid = random.random((1, height, width)) < share
    depth = np.where(valid, 1 + np.arange(height * width).reshape(1, height, width), np.nan).astype(np.float32)
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    index = torch.arange(height * width).reshape(1, height, width)
    extras = {"index": index}
    return Sample(image, torch.from_numpy(depth), torch.from_numpy(valid), torch.tensor(-1), None, extras)


SHRUNK = [((192, 640), (375, 1242)), ((352, 704), (375, 1242)), ((12, 40), (37, 121)), ((5, 40), (11, 40))]


@pytest.mark.parametrize(("size", "full"), SHRUNK)
@pytest.mark.parametrize("share", [0.004, 0.18])
def test_a_point_of_sparse_truth_is_lost_only_to_a_point_nearer_to_the_same_pixels_centre(
    size: tuple[int, int], full: tuple[int, int], share: float
) -> None:
    truth = sparse(*full, share)
    small = at_training_size(truth, size, 1.0)
    rows, columns = np.nonzero(truth.valid[0].numpy())
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        y, x = (row + 0.5) * size[0] / full[0], (column + 0.5) * size[1] / full[1]
        cell = (int(y + 1e-9), int(x + 1e-9))
        off = ((y - cell[0] - 0.5) * full[0] / size[0]) ** 2 + ((x - cell[1] - 0.5) * full[1] / size[1]) ** 2
        cells.setdefault(cell, []).append((off, float(truth.depth[0, row, column])))
    found = {
        (row, column): float(small.depth[0, row, column])
        for row, column in zip(*map(np.ndarray.tolist, np.nonzero(small.valid[0].numpy())), strict=True)
    }
    assert found.keys() == cells.keys(), "a pixel is valid where a point falls into it, and nowhere else"
    for cell, points in cells.items():
        nearest = min(points)[0]
        assert found[cell] in {depth for off, depth in points if off <= nearest + 1e-6}
    depths = list(found.values())
    assert len(set(depths)) == len(depths), "no point counts twice"
    assert set(depths) <= set(truth.depth[truth.valid].tolist())


def test_sparse_truth_keeps_nearly_all_its_points_at_half_size_and_by_the_pixel_at_the_centre_a_quarter() -> None:
    truth = sparse(376, 1240, 0.05)
    points = int(truth.valid.sum())
    kept = int(at_training_size(truth, (188, 620), 1.0).valid.sum())
    assert kept > 0.9 * points
    assert int(truth.valid[:, ::2, ::2].sum()) < 0.3 * points


def test_dense_truth_is_taken_from_the_pixel_at_the_centre_as_before() -> None:
    truth = sparse(37, 51, 1.1)
    small = at_training_size(truth, (12, 20), 0.9)
    rows = 2 + ((np.arange(12) + 0.5) * 33 / 12).astype(int)
    columns = 2 + ((np.arange(20) + 0.5) * 46 / 20).astype(int)
    assert np.array_equal(small.depth[0].numpy(), truth.depth[0].numpy()[np.ix_(rows, columns)])


def test_extras_come_from_the_pixel_of_the_depth() -> None:
    truth = sparse(37, 51, 0.1)
    small = at_training_size(truth, (12, 20), 1.0)
    taken = truth.depth.flatten()[small.extras["index"]]
    assert torch.equal(taken.nan_to_num(), small.depth.nan_to_num())


def test_at_a_larger_size_every_pixel_has_the_point_of_the_pixel_that_it_lies_in() -> None:
    truth = sparse(10, 14, 0.2)
    large = at_training_size(truth, (30, 42), 1.0)
    assert int(large.valid.sum()) == 9 * int(truth.valid.sum())
    assert torch.equal(large.valid[:, 1::3, 1::3], truth.valid)


def test_resizing_twice_gives_the_same_bits_and_no_point_gives_none() -> None:
    truth = sparse(60, 80, 0.2)
    one, other = (at_training_size(truth, (23, 31), 0.8) for _ in range(2))
    assert torch.equal(one.depth.nan_to_num(), other.depth.nan_to_num())
    empty = at_training_size(sparse(60, 80, -1.0), (23, 31), 0.8)
    assert not empty.valid.any()
