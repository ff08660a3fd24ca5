"""The pyramids against their descriptions, written out with plain functions."""

import pytest
import torch
import torch.nn.functional as F

from cliffkit_pyramids.dpt import DPT
from cliffkit_pyramids.fpn import FPN
from cliffkit_pyramids.simple import Simple
from cliffkit_pyramids.symmetric import Symmetric

CHANNELS, STRIDES = (4, 6, 8, 10), (4, 8, 16, 32)
SIZES = [(57, 76), (29, 38), (15, 19), (8, 10)]  # of a 228x304 image


def conv_bn_relu(x, layer):
    conv, bn, _ = layer
    assert conv.bias is None
    x = F.conv2d(x, conv.weight, padding=conv.weight.shape[-1] // 2)
    return F.relu(F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias))


def up(x, like):
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


@pytest.fixture
def levels():
    torch.manual_seed(0)
    return [torch.randn(1, c, *size) for c, size in zip(CHANNELS, SIZES, strict=True)]


def unsettled(pyramid):
    for parameter in pyramid.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return pyramid.eval()


def test_fpn_is_the_authors(levels):
    fpn = unsettled(FPN(CHANNELS, STRIDES, channels=5))
    l2, l3, l4, l5 = (conv_bn_relu(x, layer) for x, layer in zip(levels, fpn.laterals, strict=True))
    m5 = l5
    m4 = l4 + up(m5, l4)
    m3 = l3 + up(m4, l3)
    m2 = l2 + up(m3, l2)
    for k, (m, out) in enumerate(zip((m2, m3, m4, m5), fpn(levels), strict=True)):
        torch.testing.assert_close(out, conv_bn_relu(conv_bn_relu(m, fpn.smooth[k]), fpn.refine[k]))


def test_fpn_on_resnet50_has_the_published_parameters_less_the_biases_that_normalisation_cancels():
    with torch.device("meta"):
        fpn = FPN((256, 512, 1024, 2048), STRIDES)
    assert sum(p.numel() for p in fpn.parameters()) == 3_348_480 + 2_362_368 - 3 * 4 * 256


def test_symmetric_concatenates_each_level_with_the_coarser_output(levels):
    symmetric = unsettled(Symmetric(CHANNELS, STRIDES, channels=5))
    x2, x3, x4, x5 = levels
    p5 = conv_bn_relu(x5, symmetric.coarsest)
    p4 = conv_bn_relu(torch.cat([x4, up(p5, x4)], 1), symmetric.finer[2])
    p3 = conv_bn_relu(torch.cat([x3, up(p4, x3)], 1), symmetric.finer[1])
    p2 = conv_bn_relu(torch.cat([x2, up(p3, x2)], 1), symmetric.finer[0])
    for out, expected in zip(symmetric(levels), (p2, p3, p4, p5), strict=True):
        torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("pyramid", [FPN, Symmetric])
def test_every_level_reaches_the_finest_output(pyramid, levels):
    levels = [level.requires_grad_() for level in levels]
    finest = unsettled(pyramid(CHANNELS, STRIDES, channels=5))(levels)[0]
    for slope in torch.autograd.grad((finest * torch.randn_like(finest)).sum(), levels):
        assert slope.any()


@pytest.fixture
def tokens():
    """The levels of a plain transformer of three columns and five rows of patches."""
    torch.manual_seed(0)
    return [torch.randn(2, 8, 5, 3) for _ in range(4)]


def test_dpt_projects_brings_to_size_and_joins_each_level(tokens):
    dpt = unsettled(DPT((8,) * 4, (16,) * 4, channels=5))
    outputs = dpt(tokens)
    assert [tuple(out.shape) for out in outputs] == [(2, 5, 20, 12), (2, 5, 10, 6), (2, 5, 5, 3), (2, 5, 3, 2)]
    for k, (out, level) in enumerate(zip(outputs, tokens, strict=True)):
        x = F.conv2d(level, dpt.projections[k].weight, dpt.projections[k].bias)
        if k < 2:
            x = F.conv_transpose2d(x, dpt.resamples[k].weight, dpt.resamples[k].bias, stride=4 >> k)
        if k == 3:
            x = F.conv2d(x, dpt.resamples[k][0].weight, dpt.resamples[k][0].bias, stride=2, padding=1)
        torch.testing.assert_close(out, F.conv2d(x, dpt.joins[k].weight, padding=1))


def layer_norm(x, norm):
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    scale, shift = norm.weight[:, None, None], norm.bias[:, None, None]
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def test_simple_makes_every_level_of_the_last_one(tokens):
    simple = unsettled(Simple((8,) * 4, (14,) * 4, channels=5))
    outputs = simple(tokens)
    quarter, half, whole, double = simple.levels
    x = F.conv_transpose2d(tokens[-1], quarter[0].weight, quarter[0].bias, stride=2)
    x = F.conv_transpose2d(F.gelu(layer_norm(x, quarter[1])), quarter[3].weight, quarter[3].bias, stride=2)
    scaled = [
        x,
        F.conv_transpose2d(tokens[-1], half[0].weight, half[0].bias, stride=2),
        tokens[-1],
        F.max_pool2d(tokens[-1], 2, ceil_mode=True),
    ]
    for out, x, made in zip(outputs, scaled, (quarter, half, whole, double), strict=True):
        reduce, first, mix, second = made[-4:]
        x = layer_norm(F.conv2d(x, reduce.weight), first)
        torch.testing.assert_close(out, layer_norm(F.conv2d(x, mix.weight, padding=1), second))
    others = simple([torch.zeros_like(level) for level in tokens[:-1]] + tokens[-1:])
    assert all(map(torch.equal, others, outputs))


@pytest.mark.parametrize("pyramid", [DPT, Simple])
def test_a_pyramid_for_transformers_refuses_levels_of_several_strides(pyramid):
    with pytest.raises(ValueError, match=r"of one stride, as plain vision transformers have.*\[4, 8, 16, 32\]; use"):
        pyramid(CHANNELS, STRIDES)
