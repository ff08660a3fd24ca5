"""Heads: what each makes of features, and the loss that bins need."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cliffkit.interfaces import Batch
from cliffkit_heads.bins import Bins
from cliffkit_heads.linear import Linear
from cliffkit_heads.log import Log
from cliffkit_heads.sigmoid import Sigmoid
from cliffkit_losses.bins import Bins as BinsLoss


@pytest.fixture
def fused() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 8, 6, 9), torch.randn(2, 8, 3, 5)]


def batch_of(depth: torch.Tensor, valid: torch.Tensor) -> Batch:
    image = torch.zeros(len(depth), 3, *depth.shape[-2:])
    return Batch(
        image, depth, valid, torch.zeros(len(depth), dtype=torch.int64), torch.full((len(depth), 4), torch.nan)
    )


def test_linear_is_two_convolutions_and_nothing_else(fused: list[torch.Tensor]) -> None:
    head = Linear(8).eval()
    conv, norm, _ = head.mix
    x = F.relu(F.batch_norm(F.conv2d(fused[0], conv.weight, padding=1), norm.running_mean, norm.running_var))
    expected = F.conv2d(x, head.metres.weight, head.metres.bias, padding=1)
    torch.testing.assert_close(head(fused).depth, expected, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in head.parameters()) == 8 * 8 * 9 + 2 * 8 + 8 * 9 + 1


def test_sigmoid_stays_below_its_largest_depth(fused: list[torch.Tensor]) -> None:
    head = Sigmoid(8, max_depth_m=4.0).eval()
    depth = head([1e3 * level for level in fused]).depth
    assert depth.min() >= 0
    assert depth.max() <= 4
    for parameter in head.share.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(head(fused).depth, torch.full((2, 1, 6, 9), 2.0))


def test_log_is_positive_and_starts_where_it_is_told(fused: list[torch.Tensor]) -> None:
    head = Log(8, start_m=2.5).eval()
    assert head(fused).depth.min() > 0
    for parameter in head.log_depth.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(head(fused).depth, torch.full((2, 1, 6, 9), 2.5))


def test_bins_divide_the_range_and_mix_their_centres(fused: list[torch.Tensor]) -> None:
    head = Bins(8, bins=5, min_depth_m=1.0, max_depth_m=6.0).eval()
    depth, extras = head(fused)
    centres = extras["bin_centres"]
    assert centres.shape == (2, 5)
    assert (centres.diff(dim=1) > 0).all()
    assert not torch.equal(centres[0], centres[1]), "bins adapt to the image"
    assert ((depth >= centres[:, :1, None, None]) & (depth <= centres[:, -1:, None, None])).all()
    share = F.conv2d(head.mix(fused[0]), head.mixture.weight, head.mixture.bias).softmax(1)
    torch.testing.assert_close(depth, torch.einsum("bnhw,bn->bhw", share, centres)[:, None])

    for parameter in head.widths.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(head(fused).extras["bin_centres"], torch.tensor([[1.5, 2.5, 3.5, 4.5, 5.5]] * 2))


def test_bins_refuse_an_empty_range() -> None:
    with pytest.raises(ValueError, match=r"max_depth_m is 1.0 and min_depth_m 1.0; it must be larger"):
        Bins(8, min_depth_m=1.0, max_depth_m=1.0)


def test_the_loss_of_bins_is_the_chamfer_distance_of_a_plain_loop() -> None:
    torch.manual_seed(0)
    depth, valid = 5 * torch.rand(3, 1, 4, 5), torch.rand(3, 1, 4, 5) > 0.3
    valid[2] = False
    centres = (6 * torch.rand(3, 7)).sort(dim=1).values
    total = 0.0
    for i in range(2):
        table = (depth[i][valid[i]][:, None] - centres[i][None]).square()
        total += float(table.min(1).values.mean() + table.min(0).values.mean())
    value = BinsLoss()(torch.zeros_like(depth), batch_of(depth, valid), bin_centres=centres)
    assert float(value) == pytest.approx(total / 3, rel=1e-5)


def test_the_loss_of_bins_moves_centres_to_depths() -> None:
    depth = torch.tensor([1.0, 1.1, 4.0, 4.1]).view(1, 1, 2, 2)
    centres = torch.tensor([[2.0, 3.0]], requires_grad=True)
    BinsLoss()(depth, batch_of(depth, depth > 0), bin_centres=centres).backward()
    assert centres.grad is not None
    assert centres.grad[0, 0] > 0 > centres.grad[0, 1], "downhill is outwards"
