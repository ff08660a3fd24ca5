"""The fusions against the method's steps, written out with plain functions."""

import pytest
import torch
import torch.nn.functional as F

from cliffkit_fusions.add import Add
from cliffkit_fusions.cliff import Cliff
from cliffkit_fusions.concat import Concat


def conv_bn_relu(x, layer):
    """The same layer by its tensors, in evaluation mode."""
    conv, bn, _ = layer
    assert conv.bias is None
    x = F.conv2d(x, conv.weight, padding=1)
    return F.relu(F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias))


def up(x, like):
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


@pytest.fixture
def maps():
    torch.manual_seed(0)
    return torch.randn(2, 6, 15, 19), torch.randn(2, 6, 8, 10)


def test_cliff_is_the_five_steps(maps):
    fine, coarse = maps
    cliff = Cliff(6)
    for parameter in cliff.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    cliff.eval()
    h = up(coarse, fine)
    a = fine * h
    b = conv_bn_relu(torch.cat([fine, a], 1), cliff.mix_fine)
    c = conv_bn_relu(torch.cat([h, b], 1), cliff.mix_coarse)
    torch.testing.assert_close(cliff(fine, coarse), c + h)


def test_cliff_at_256_channels_has_the_parameters_of_the_published_network():
    assert sum(p.numel() for p in Cliff(256).parameters()) == 2_360_320


def test_cliff_convolutions_start_from_kaiming_uniform():
    torch.manual_seed(0)
    for layer in (Cliff(64).mix_fine, Cliff(64).mix_coarse):
        bound = (3 / (9 * 128)) ** 0.5  # gain 1 for a = 1
        assert bound * 0.99 < layer[0].weight.abs().max() <= bound


@pytest.mark.parametrize("sizes", [((15, 19), (8, 10)), ((16, 20), (8, 10))])
def test_transposed_upsampling_keeps_fine_and_coarse_aligned(sizes):
    """An odd size loses the last row and column of the doubled map, and nothing is resampled."""
    fine, coarse = torch.zeros(1, 4, *sizes[0]), torch.randn(1, 4, *sizes[1])
    cliff = Cliff(4, upsample="transposed").eval()
    torch.nn.init.zeros_(cliff.mix_coarse[1].weight)  # leaves the identity path alone
    height, width = sizes[0]
    torch.testing.assert_close(cliff(fine, coarse), cliff.upsample(coarse)[..., :height, :width])


def test_transposed_upsampling_resizes_levels_that_are_not_halves():
    """Levels of a vision transformer are all of one size: a crop of the doubled map would be its top left quarter."""
    fine, coarse = torch.zeros(1, 4, 6, 8), torch.randn(1, 4, 6, 8)
    cliff = Cliff(4, upsample="transposed").eval()
    torch.nn.init.zeros_(cliff.mix_coarse[1].weight)
    torch.testing.assert_close(cliff(fine, coarse), up(cliff.upsample(coarse), fine))


def test_add_upsamples_and_adds(maps):
    fine, coarse = maps
    torch.testing.assert_close(Add(6)(fine, coarse), fine + up(coarse, fine))


def test_concat_is_one_convolution_of_both(maps):
    fine, coarse = maps
    concat = Concat(6).eval()
    torch.testing.assert_close(concat(fine, coarse), conv_bn_relu(torch.cat([fine, up(coarse, fine)], 1), concat.mix))
