"""Holes of depth maps, filled from around them."""

import pytest
import torch

from cliffkit.layers import fill_holes


def maps(share_valid, size=(21, 30)):
    torch.manual_seed(0)
    return 1 + 4 * torch.rand(2, 1, *size), torch.rand(2, 1, *size) < share_valid


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (21, 30), (32, 64)])
def test_valid_pixels_keep_their_bits_and_holes_lie_between_valid_depths(size):
    depth, valid = maps(0.3, size)
    valid[:, :, 0, 0] = True
    filled = fill_holes(depth, valid)
    assert torch.equal(filled[valid], depth[valid])
    for image, known, full in zip(depth, valid, filled, strict=True):
        assert full.min() >= image[known].min() - 1e-6
        assert full.max() <= image[known].max() + 1e-6


def test_dense_depth_keeps_its_bits():
    depth, valid = maps(1.1)
    assert torch.equal(fill_holes(depth, valid), depth)


def test_a_plane_of_one_depth_has_no_edge_at_its_holes():
    _, valid = maps(0.2)
    torch.testing.assert_close(fill_holes(torch.full(valid.shape, 3.7), valid), torch.full(valid.shape, 3.7))


def test_a_hole_of_one_pixel_is_filled_from_its_neighbours():
    depth = torch.arange(8.0).expand(1, 1, 8, 8)
    valid = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    valid[0, 0, 3, 4] = False
    assert abs(fill_holes(depth, valid)[0, 0, 3, 4] - 4) < 0.5


@pytest.mark.parametrize("junk", [torch.nan, torch.inf, -torch.inf, 1e9])
def test_what_stands_in_holes_is_not_read(junk):
    depth, valid = maps(0.4)
    spoilt = torch.where(valid, depth, junk)
    assert torch.equal(fill_holes(spoilt, valid), fill_holes(depth, valid))


def test_a_map_without_a_valid_pixel_is_zero_and_others_of_the_batch_are_not():
    depth, valid = maps(0.4)
    valid[0] = False
    filled = fill_holes(depth, valid)
    assert not filled[0].any()
    assert filled[1].all()


def test_the_fill_is_linear_so_that_errors_are_filled_by_the_same_rule():
    depth, valid = maps(0.4)
    error = torch.randn_like(depth)
    torch.testing.assert_close(fill_holes(depth + error, valid), fill_holes(depth, valid) + fill_holes(error, valid))
