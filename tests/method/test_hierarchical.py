"""The hierarchical embedding loss: the authors' on dense depth, and right on depth with holes."""

import copy

import pytest
import torch
import torch.nn.functional as F

from cliffkit.interfaces import Embedding, Sample
from cliffkit.layers import fill_holes
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit.method.kernels import fold_batch_norm
from cliffkit_embeddings.filters import Filters
from cliffkit_embeddings.heg_r import HegR
from cliffkit_embeddings.heg_s import HegS
from cliffkit_embeddings.normals import Normals


class Plain(Embedding):
    """The depth itself and its 2x2 means: features that can be computed by hand."""

    def __init__(self):
        super().__init__()
        self.levels = 2
        self.calls = 0

    def forward(self, depth):
        self.calls += 1
        return [depth, F.avg_pool2d(depth, 2).expand(-1, 3, -1, -1)]

    def objective(self, sample):
        return sample.depth.new_zeros(())


def generator(kind):
    torch.manual_seed(0)
    heg = {"heg_s": lambda: HegS(4), "heg_r": lambda: HegR(0), "filters": lambda: Filters(0, scales=2)}.get(
        kind, lambda: Normals(0, scales=2)
    )()
    for module in heg.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics that evaluation mode must use and not change
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return heg


def scene(share_valid, size=(20, 28), seed=0):
    """A collated sample and a prediction for it."""
    torch.manual_seed(seed)
    depth = 1 + 4 * torch.rand(2, 1, *size)
    valid = torch.rand(2, 1, *size) < share_valid
    sample = Sample(torch.zeros(2, 3, *size, dtype=torch.uint8), depth, valid, torch.tensor([0, 1]))
    return sample, depth + torch.randn_like(depth)


def as_seen(prediction, sample):
    """A prediction as the generator sees it: what fills its holes is taken as given."""
    return torch.where(sample.valid, prediction, fill_holes(prediction.detach(), sample.valid))


def slope(loss, prediction, sample, step=1000):
    prediction = prediction.clone().requires_grad_()
    loss(prediction, sample, step).backward()
    return prediction.grad


@pytest.mark.parametrize("kind", ["heg_s", "heg_r"])
@pytest.mark.parametrize("size", [(20, 28), (21, 27)])
def test_on_dense_depth_it_is_the_authors(kind, size):
    heg = generator(kind).eval()
    sample, prediction = scene(1.1, size)
    loss = HierarchicalEmbeddingLoss(generator(kind), (10, 15))
    pairs = list(zip(heg(sample.depth), heg(prediction), strict=True))
    means = [(b - a).abs().mean() for a, b in pairs]
    torch.testing.assert_close(loss(prediction, sample, 100), 10 * means[0] + 15 * means[1])
    squares = [(b - a).square().mean() for a, b in pairs]
    squared = HierarchicalEmbeddingLoss(generator(kind), (10, 15), norm="l2")
    torch.testing.assert_close(squared(prediction, sample, 100), 10 * squares[0] + 15 * squares[1])


def test_on_depth_with_holes_it_is_the_mean_weighted_by_valid_shares():
    sample, prediction = scene(0.6)
    truth, guess = fill_holes(sample.depth, sample.valid), fill_holes(prediction, sample.valid)
    first = (guess - truth)[sample.valid].abs().mean()
    total = weight = 0.0
    for b in range(2):
        for i in range(0, 20, 2):
            for j in range(0, 28, 2):
                cell = (b, 0, slice(i, i + 2), slice(j, j + 2))
                share = sample.valid[cell].float().mean()
                total += share * (guess[cell].mean() - truth[cell].mean()).abs()
                weight += share
    loss = HierarchicalEmbeddingLoss(Plain(), (2, 3))
    torch.testing.assert_close(loss(prediction, sample, 100), 2 * first + 3 * total / weight)


@pytest.mark.parametrize("kind", ["heg_s", "heg_r", "filters", "normals"])
@pytest.mark.parametrize("junk", [torch.nan, torch.inf, -torch.inf, 1e9])
@pytest.mark.parametrize("size", [(20, 28), (21, 27)])
def test_invalid_pixels_change_neither_value_nor_gradient(kind, junk, size):
    sample, prediction = scene(0.6, size)
    loss = HierarchicalEmbeddingLoss(generator(kind), (10, 15))
    spoilt = sample._replace(depth=torch.where(sample.valid, sample.depth, junk))
    also = torch.where(sample.valid, prediction, junk)
    assert torch.equal(loss(prediction, sample, 100), loss(also, spoilt, 100))
    clean = slope(loss, prediction, sample)
    assert torch.equal(clean, slope(loss, also, spoilt))
    assert clean[sample.valid].any()
    assert not clean[~sample.valid].any()


@pytest.mark.parametrize("kind", ["heg_s", "heg_r", "filters", "normals"])
def test_without_a_valid_pixel_it_is_zero(kind):
    sample, prediction = scene(-1.0)
    loss = HierarchicalEmbeddingLoss(generator(kind), (10, 15))
    assert loss(prediction, sample, 100) == 0
    assert not slope(loss, prediction, sample).any()


def test_on_dense_depth_the_generator_sees_the_very_bits_of_both_maps():
    sample, prediction = scene(1.1)
    seen = []

    class Watched(Plain):
        def forward(self, depth):
            seen.append(depth)
            return super().forward(depth)

    HierarchicalEmbeddingLoss(Watched(), (2, 3))(prediction, sample, 100)
    assert torch.equal(seen[0], sample.depth)
    assert torch.equal(seen[1], prediction)


def test_holes_add_no_edge_to_what_the_generator_sees():
    """A prediction that is deeper everywhere by one step costs the same with holes as without."""
    sample, _ = scene(0.3)
    sample = sample._replace(depth=torch.full_like(sample.depth, 2.5))
    for heg in (generator("heg_s"), generator("heg_r")):
        loss = HierarchicalEmbeddingLoss(heg, (10, 15))
        dense = sample._replace(valid=torch.ones_like(sample.valid))
        values = [loss(sample.depth + 0.5, images, 100) for images in (sample, dense)]
        torch.testing.assert_close(values[0], values[1], rtol=0.05, atol=0)


def test_perfect_prediction_costs_nothing():
    sample, _ = scene(0.6)
    assert HierarchicalEmbeddingLoss(generator("heg_s"), (10, 15))(sample.depth, sample, 100) == 0


def test_it_ramps_from_zero_at_step_zero_to_one():
    sample, prediction = scene(0.6)
    loss = HierarchicalEmbeddingLoss(Plain(), (10, 15), warmup_steps=4)
    full = HierarchicalEmbeddingLoss(Plain(), (10, 15), warmup_steps=0)(prediction, sample, 0)
    assert [loss.ramp(step) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    for step in range(6):
        torch.testing.assert_close(loss(prediction, sample, step), full * min(1, step / 4))


@pytest.mark.parametrize(("weights", "step"), [((0, 0), 100), ((10, 15), 0)])
def test_a_term_of_weight_zero_computes_no_features(weights, step):
    sample, prediction = scene(0.6)
    plain = Plain()
    value = HierarchicalEmbeddingLoss(plain, weights)(prediction, sample, step)
    assert (value.item(), value.dtype, plain.calls) == (0, torch.float32, 0)


def test_a_level_of_weight_zero_is_left_out():
    class Broken(Plain):
        def forward(self, depth):
            return [depth, depth * torch.nan]

    sample, prediction = scene(0.6)
    value = HierarchicalEmbeddingLoss(Broken(), (2, 0))(prediction, sample, 100)
    torch.testing.assert_close(value, 2 * (prediction - sample.depth)[sample.valid].abs().mean())


def test_the_embedding_is_frozen_whatever_is_done_to_its_holder():
    heg = generator("heg_s").train()
    sample, prediction = scene(0.6)
    holder = torch.nn.ModuleDict({"loss": HierarchicalEmbeddingLoss(heg, (10, 15))}).train()
    before = {key: value.clone() for key, value in heg.state_dict().items()}
    first = holder["loss"](prediction, sample, 100)
    prediction.requires_grad_()
    again = holder["loss"](prediction, sample, 100)
    again.backward()
    torch.testing.assert_close(first, again)  # with gradients it is summed in blocks
    assert not any(module.training for module in heg.modules())
    assert all(p.grad is None and not p.requires_grad for p in heg.parameters())
    assert list(holder.parameters()) == list(holder.buffers()) == []
    assert not holder.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in heg.state_dict().items())


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("kind", ["heg_s", "heg_r"])
def test_its_gradient_is_autograds_of_the_written_out_loss(kind, norm, monkeypatch):
    """Blocks, folded normalisation and the gradient that is computed along with the value change neither."""
    monkeypatch.setattr(
        "cliffkit.method.kernels.VALUES_AT_ONCE", 16 * 27 * 4
    )  # several blocks an image, the last short
    heg = generator(kind).eval().requires_grad_(False)
    sample, prediction = scene(0.6, (21, 27))
    prediction.requires_grad_()
    truth = heg(sample.dense_depth())
    guess = heg(as_seen(prediction, sample))
    value = 0
    for weight, a, b in zip((10, 15), guess, truth, strict=True):
        share = F.adaptive_avg_pool2d(sample.valid.float(), a.shape[-2:])
        size = (a - b).abs() if norm == "l1" else (a - b).square()
        value = value + weight * (share * size).sum() / (share.sum() * a.shape[1])
    (wanted,) = torch.autograd.grad(value, prediction)
    ours = HierarchicalEmbeddingLoss(generator(kind), (10, 15), norm)(prediction, sample, 100)
    torch.testing.assert_close(ours, value.detach())
    (slope_2,) = torch.autograd.grad(2 * ours, prediction, retain_graph=True)
    (slope_1,) = torch.autograd.grad(ours, prediction)
    torch.testing.assert_close(slope_1, wanted, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(slope_2, 2 * wanted, atol=2e-6, rtol=1e-4)


def test_in_bf16_its_gradient_is_as_near_to_float32s_as_the_written_out_loss():
    sample, prediction = scene(0.6, (40, 56))
    heg = generator("heg_s").eval()
    loss = HierarchicalEmbeddingLoss(generator("heg_s"), (10, 15), "l2")
    wanted = slope(loss, prediction, sample)

    def written_out(guess, sample, _):
        total = 0
        truth = heg(sample.dense_depth())
        for weight, a, b in zip((10, 15), heg(as_seen(guess, sample)), truth, strict=True):
            share = F.adaptive_avg_pool2d(sample.valid.float(), a.shape[-2:])
            total = total + weight * (share * (a.float() - b.float()).square()).sum() / (share.sum() * a.shape[1])
        return total

    with torch.autocast("cpu", torch.bfloat16):
        errors = [(slope(each, prediction, sample) - wanted).norm() / wanted.norm() for each in (loss, written_out)]
    assert errors[0] < 1.25 * errors[1] < 0.05


def test_normalisation_is_folded_only_behind_convolutions():
    heg = generator("heg_s")
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in heg.modules()) == 4
    HierarchicalEmbeddingLoss(heg, (10, 15))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in heg.modules())
    layers = torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU(), torch.nn.BatchNorm2d(3)
    odd = torch.nn.Sequential(*layers).eval()
    fold_batch_norm(odd)
    assert tuple(odd) == layers


def test_the_gradient_flows_to_the_prediction_only():
    sample, prediction = scene(0.6)
    sample.depth.requires_grad_()
    prediction.requires_grad_()
    HierarchicalEmbeddingLoss(generator("heg_s"), (10, 15))(prediction, sample, 100).backward()
    assert sample.depth.grad is None
    assert prediction.grad.any()


def test_the_embedding_moves_with_the_loss():
    loss = torch.nn.ModuleList([HierarchicalEmbeddingLoss(generator("heg_s"), (10, 15))]).to("meta")[0]
    assert all(p.is_meta for p in loss.embedding.parameters())


def test_a_copy_is_independent_and_equal():
    sample, prediction = scene(0.6)
    loss = HierarchicalEmbeddingLoss(generator("heg_s"), (10, 15))
    twin = copy.deepcopy(loss)
    assert twin.embedding is not loss.embedding
    assert torch.equal(loss(prediction, sample, 100), twin(prediction, sample, 100))


def test_differences_are_taken_in_float32():
    class Rounded(Plain):
        def forward(self, depth):
            return [level.bfloat16() for level in super().forward(depth)]

    sample, prediction = scene(1.1)
    sample, prediction = sample._replace(depth=torch.full_like(prediction, 0.5)), torch.full_like(prediction, 256.0)
    value = HierarchicalEmbeddingLoss(Rounded(), (1, 0))(prediction, sample, 100)
    torch.testing.assert_close(value, torch.tensor(255.5))  # 256 in bf16


def test_the_value_hardly_changes_under_autocast():
    sample, prediction = scene(0.6)
    loss = HierarchicalEmbeddingLoss(generator("heg_s"), (10, 15))
    exact = loss(prediction, sample, 100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(prediction, sample, 100)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": (10,)}, "HegS gives 2 levels of features and 1 weights are given"),
        ({"weights": ()}, "gives 2 levels of features and 0 weights"),
        ({"weights": (10, -1)}, "must be a finite number >= 0"),
        ({"weights": (10, float("nan"))}, "must be a finite number >= 0"),
        ({"weights": (10, 15), "norm": "l3"}, "must be 'l1' or 'l2'"),
        ({"weights": (10, 15), "warmup_steps": -1}, "warmup_steps is -1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        HierarchicalEmbeddingLoss(HegS(3), **options)
