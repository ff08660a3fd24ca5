"""The embedding generators against their descriptions."""

import math

import pytest
import torch
import torch.nn.functional as F

from cliffkit.interfaces import Sample
from cliffkit_embeddings.heg_r import HegR
from cliffkit_embeddings.heg_s import HegS


def block(x, layer, stride=1):
    conv, bn, _ = layer
    assert conv.bias is None
    x = F.conv2d(x, conv.weight, stride=stride, padding=1)
    return F.leaky_relu(F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias), 0.01)


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def unsettled(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return module.eval()


@pytest.fixture
def sample():
    torch.manual_seed(1)
    return Sample(
        image=torch.zeros(4, 3, 21, 30, dtype=torch.uint8),
        depth=1 + torch.rand(4, 1, 21, 30),
        valid=torch.rand(4, 1, 21, 30) < 0.8,
        scene=torch.tensor([0, 2, -1, 1]),
    )


def test_heg_s_has_the_published_parameters():
    heg = HegS(5)
    assert count(heg.full_size, heg.half_size) == 16_464
    assert count(heg) == 16_464 + 33 * 5


def test_heg_s_is_four_convolutions_and_gives_the_second_and_the_fourth(sample):
    heg = unsettled(HegS(3))
    x = sample.dense_depth()
    first = block(block(x, heg.full_size[0]), heg.full_size[1])
    second = block(block(first, heg.half_size[0], stride=2), heg.half_size[1])
    levels = heg(x)
    torch.testing.assert_close(levels[0], first)
    torch.testing.assert_close(levels[1], second)
    assert [level.shape for level in levels] == [(4, 16, 21, 30), (4, 32, 11, 15)]


def test_heg_s_classifies_the_scenes_that_are_known(sample):
    heg = unsettled(HegS(3))
    logits = heg.classifier(heg(sample.dense_depth())[-1].mean(dim=(2, 3)))
    known = [0, 1, 3]
    expected = F.cross_entropy(logits[known], sample.scene[known])
    torch.testing.assert_close(heg.objective(sample), expected)


def test_heg_s_without_a_known_scene_is_zero_and_can_go_backward(sample):
    heg = HegS(3)
    value = heg.objective(sample._replace(scene=torch.full((4,), -1)))
    value.backward()
    assert value == 0
    assert all(not p.grad.any() for p in heg.parameters())


def test_heg_s_learns_nothing_from_an_image_without_a_valid_pixel(sample):
    heg = unsettled(HegS(3))
    logits = heg.classifier(heg(sample.dense_depth())[-1].mean(dim=(2, 3)))
    sample.valid[1] = False
    expected = F.cross_entropy(logits[[0, 3]], sample.scene[[0, 3]])
    torch.testing.assert_close(heg.objective(sample), expected)

    value = heg.objective(sample._replace(valid=torch.zeros_like(sample.valid)))
    value.backward()
    assert value == 0
    assert all(not p.grad.any() for p in heg.parameters())


@pytest.mark.parametrize("scene_types", [0, 1])
def test_heg_s_needs_two_scene_types(scene_types):
    with pytest.raises(ValueError, match=f"at least two scene types; this data names {scene_types}; use heg_r or"):
        HegS(scene_types)


def test_heg_r_has_the_weights_of_its_description():
    """182,245 there: the weights, a bias per channel, and four numbers per normalised channel, the output included."""
    heg = HegR(0)
    weights = sum(p.numel() for p in heg.parameters() if p.ndim == 4)
    encoder, decoder = 16 + 16 + 32 + 32 + 64 + 64, 64 + 64 + 32 + 32 + 16 + 16
    assert weights == 180_000
    assert weights + 5 * (encoder + decoder + 1) == 182_245
    assert count(heg) == weights + 2 * (encoder + decoder) + 1


def test_heg_r_gives_the_third_and_the_fifth_convolution(sample):
    heg = unsettled(HegR(0))
    x = sample.dense_depth()
    third = block(block(block(x, heg.full_size[0]), heg.full_size[1]), heg.full_size[2])
    pooled = F.max_pool2d(third, 2, ceil_mode=True)
    fifth = block(block(pooled, heg.half_size[1]), heg.half_size[2])
    levels = heg(x)
    torch.testing.assert_close(levels[0], third)
    torch.testing.assert_close(levels[1], fifth)
    assert [level.shape for level in levels] == [(4, 32, 21, 30), (4, 64, 11, 15)]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (21, 30), (24, 32)])
def test_heg_r_objective_is_the_masked_squared_error_at_any_size(size):
    torch.manual_seed(0)
    depth, valid = 1 + torch.rand(2, 1, *size), torch.ones(2, 1, *size, dtype=torch.bool)
    valid[0, 0, 0, 0] = False
    sample = Sample(torch.zeros(2, 3, *size, dtype=torch.uint8), depth, valid, torch.full((2,), -1))
    heg = unsettled(HegR(0))
    rebuilt = heg.rest(heg(sample.dense_depth())[-1])[..., : size[0], : size[1]]
    expected = ((rebuilt - depth)[valid] ** 2).mean()
    torch.testing.assert_close(heg.objective(sample), expected)


@pytest.mark.parametrize("make", [lambda: HegS(3), lambda: HegR(0)], ids=["heg_s", "heg_r"])
def test_the_objective_can_be_learned(make, sample):
    torch.manual_seed(0)
    heg = make()
    sample = sample._replace(depth=sample.depth * (1 + sample.scene.view(4, 1, 1, 1)))
    optimizer = torch.optim.Adam(heg.parameters(), lr=1e-2)
    values = []
    for _ in range(15):
        optimizer.zero_grad()
        value = heg.objective(sample)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]
    assert all(map(math.isfinite, values))
