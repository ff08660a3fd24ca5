"""The losses against formulas in float64, written out pixel by pixel or pair by pair."""

import numpy as np
import pytest
import torch

from cliffkit.interfaces import Sample
from cliffkit_losses.berhu import BerHu
from cliffkit_losses.gradient import Gradient
from cliffkit_losses.l1 import L1
from cliffkit_losses.l2 import L2
from cliffkit_losses.silog import FLOOR_M, SILog
from cliffkit_losses.ssi import SSI
from cliffkit_losses.ssim import SSIM
from cliffkit_losses.virtual_normals import VirtualNormals


def make(prediction, truth, valid):
    """Tensors of a batch from float64 arrays (B, H, W)."""
    depth = torch.tensor(np.where(valid, truth, np.nan), dtype=torch.float32)[:, None]
    mask = torch.tensor(valid)[:, None]
    image = torch.zeros(len(depth), 3, *depth.shape[-2:], dtype=torch.uint8)
    sample = Sample(image, depth, mask, torch.full((len(depth),), -1))
    return torch.tensor(prediction, dtype=torch.float32)[:, None], sample


@pytest.fixture
def maps():
    generator = np.random.default_rng(0)
    shape = (2, 13, 17)
    truth = generator.uniform(1, 9, shape)
    return truth + generator.normal(0, 1, shape).clip(-0.8, 3), truth, generator.random(shape) < 0.7


def l1(p, d, m):
    return np.abs(p - d)[m].mean()


def l2(p, d, m):
    return ((p - d)[m] ** 2).mean()


def berhu(p, d, m):
    error = np.abs(p - d)[m]
    c = 0.2 * error.max()
    return np.mean([e if e <= c else (e * e + c * c) / (2 * c) for e in error])


def silog(p, d, m):
    e = np.log(p[m]) - np.log(d[m])
    return 10 * np.sqrt((e**2).mean() - 0.85 * e.mean() ** 2)


def gradient(p, d, m):
    means = []
    for step in (1, 2, 4, 8):
        slopes = []
        e, v = (p - d)[:, ::step, ::step], m[:, ::step, ::step]
        for b, i, j in np.ndindex(e.shape):
            for k, n in ((i + 1, j), (i, j + 1)):
                if k < e.shape[1] and n < e.shape[2] and v[b, i, j] and v[b, k, n]:
                    slopes.append(abs(e[b, k, n] - e[b, i, j]))
        means.append(np.mean(slopes))
    return np.mean(means)


def ssim(p, d, m):
    c1, c2 = 0.1**2, 0.3**2
    values = []
    for b, i, j in zip(*np.nonzero(m), strict=True):
        window = np.s_[b, max(i - 3, 0) : i + 4, max(j - 3, 0) : j + 4]
        x, y = p[window][m[window]], d[window][m[window]]
        covariance = ((x - x.mean()) * (y - y.mean())).mean()
        values.append(
            (2 * x.mean() * y.mean() + c1)
            * (2 * covariance + c2)
            / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var() + y.var() + c2))
        )
    return np.mean([(1 - value) / 2 for value in values])


def aligned(d, m):
    """Median and mean deviation of each image, written with numpy's partition instead of a sort of masked maps."""
    maps = np.zeros_like(d)
    for b in range(len(d)):
        values = d[b][m[b]]
        middle = np.partition(values, (len(values) - 1) // 2)[(len(values) - 1) // 2]
        maps[b] = (d[b] - middle) / np.mean(np.abs(values - middle))
    return maps


def ssi(p, d, m):
    return np.abs(aligned(p, m) - aligned(d, m))[m].mean()


def ssi_and_slopes(p, d, m):
    return ssi(p, d, m) + 0.5 * 4 * gradient(aligned(p, m), aligned(d, m), m)  # the sum of four scales, not the mean


def SSIAndSlopes():  # noqa: N802, beside classes in a list
    return SSI(gradient=0.5)


LOSSES = [
    (L1, l1),
    (L2, l2),
    (BerHu, berhu),
    (SILog, silog),
    (Gradient, gradient),
    (SSIM, ssim),
    (SSI, ssi),
    (SSIAndSlopes, ssi_and_slopes),
]


@pytest.mark.parametrize(("loss", "formula"), LOSSES, ids=lambda x: x.__name__)
def test_value_is_the_formulas(loss, formula, maps):
    value = loss()(*make(*maps))
    assert value.item() == pytest.approx(formula(*maps), rel=2e-5)


@pytest.mark.parametrize(("loss", "formula"), LOSSES, ids=lambda x: x.__name__)
def test_gradient_is_the_formulas(loss, formula, maps):
    """Central differences of the float64 formula, at valid pixels whose error is not near a kink."""
    p, d, m = maps
    prediction, sample = make(p, d, m)
    prediction.requires_grad_()
    loss()(prediction, sample).backward()
    worst = np.where(m, np.abs(p - d), 0)
    skip = np.unravel_index(worst.argmax(), p.shape)  # berhu's threshold depends on it, by design without a gradient
    step = 1e-6
    for b, i, j in [at for at in zip(*np.nonzero(m), strict=True) if at != skip][::25]:
        plus, minus = p.copy(), p.copy()
        plus[b, i, j] += step
        minus[b, i, j] -= step
        slope = (formula(plus, d, m) - formula(minus, d, m)) / (2 * step)
        assert prediction.grad[b, 0, i, j].item() == pytest.approx(slope, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES])
def test_perfect_prediction_costs_nothing(loss, maps):
    _, truth, valid = maps
    assert loss()(*make(truth, truth, valid)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES])
def test_no_nan_arises_on_the_way_back_from_a_large_hole(loss, maps):
    """Not even one that would be masked away: those who look for the source of a NaN would be led astray."""
    prediction, truth, valid = maps
    valid[:, 2:11, 3:14] = False
    prediction, sample = make(prediction, truth, valid)
    with torch.autograd.set_detect_anomaly(True):
        loss()(prediction.requires_grad_(), sample).backward()


def test_values_by_hand():
    truth, valid = np.full((1, 1, 4), 2.0), np.array([[[True, True, True, False]]])
    prediction = np.array([[[2.1, 3.0, 1.0, 77.0]]])  # errors 0.1, 1, -1
    arguments = make(prediction, truth, valid)
    assert L1()(*arguments).item() == pytest.approx(0.7)
    assert L2()(*arguments).item() == pytest.approx(0.67)
    assert BerHu()(*arguments).item() == pytest.approx((0.1 + 2 * 2.6) / 3)  # (1 + 0.04) / 0.4 = 2.6
    assert Gradient(scales=1)(*arguments).item() == pytest.approx((0.9 + 2) / 2)
    log = np.log([1.05, 1.5, 0.5])
    assert SILog(variance_focus=1, scale=1)(*arguments).item() == pytest.approx(log.std())


def test_berhu_is_l1_where_the_threshold_is_beyond_every_error(maps):
    assert BerHu(threshold=1.0)(*make(*maps)).item() == pytest.approx(l1(*maps), rel=1e-5)


def test_berhu_sends_no_gradient_through_its_threshold():
    prediction, sample = make(np.array([[[1.0, 3.0]]]), np.full((1, 1, 2), 1.5), np.ones((1, 1, 2), bool))
    prediction.requires_grad_()
    BerHu()(prediction, sample).backward()
    assert prediction.grad.flatten().tolist() == pytest.approx([-0.5 / 0.3 / 2, 1.5 / 0.3 / 2])


def test_silog_with_full_focus_ignores_scale(maps):
    prediction, truth, valid = maps
    once = SILog(variance_focus=1.0)(*make(prediction, truth, valid))
    twice = SILog(variance_focus=1.0)(*make(2 * prediction, truth, valid))
    assert once.item() == pytest.approx(twice.item(), rel=1e-4)


def test_silog_pulls_a_negative_prediction_up():
    prediction, sample = make(np.array([[[-3.0, 0.0, 2.0]]]), np.full((1, 1, 3), 2.0), np.ones((1, 1, 3), bool))
    prediction.requires_grad_()
    value = SILog(variance_focus=0.0)(prediction, sample)
    value.backward()
    assert torch.isfinite(value)
    assert (prediction.grad[..., :2] < 0).all()  # descent makes them larger
    assert (prediction.grad.abs() < 10 / FLOOR_M).all()


def test_gradient_ignores_a_constant_offset_and_pairs_across_holes():
    truth, valid = np.full((1, 9, 9), 2.0), np.ones((1, 9, 9), bool)
    valid[:, :, 4] = False
    prediction = truth.copy()
    prediction[:, :, 5:] += 1  # the step lies in the hole
    arguments = make(prediction, truth, valid)
    assert Gradient(scales=1)(*arguments).item() == 0
    assert Gradient(scales=1)(arguments[0] + 5, arguments[1]).item() == pytest.approx(0, abs=1e-6)


def test_ssi_takes_shift_and_positive_scale_out_and_nothing_else(maps):
    prediction, truth, valid = maps
    once = SSIAndSlopes()(*make(prediction, truth, valid)).item()
    assert SSIAndSlopes()(*make(3 * prediction - 7, truth, valid)).item() == pytest.approx(once, rel=1e-4)
    assert SSIAndSlopes()(*make(-prediction, truth, valid)).item() > 1.5 * once


def test_ssi_aligns_each_image_by_its_own_pixels(maps):
    prediction, truth, valid = maps
    factors = np.array([0.5, 4.0])[:, None, None]
    values = [SSI()(*make(p, truth, valid)).item() for p in (prediction, factors * prediction)]
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_ssi_of_flat_maps_is_finite_with_its_gradient():
    prediction, sample = make(np.full((2, 4, 5), 2.0), np.full((2, 4, 5), 3.0), np.ones((2, 4, 5), bool))
    value = SSIAndSlopes()(prediction.requires_grad_(), sample)
    value.backward()
    assert value == 0
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("loss", [Gradient, SSIM, SSIAndSlopes])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
def test_small_images_work(loss, size):
    prediction, sample = make(np.full((1, *size), 3.0), np.full((1, *size), 2.0), np.ones((1, *size), bool))
    assert torch.isfinite(loss()(prediction, sample))


@pytest.mark.parametrize(
    "make_loss",
    [
        lambda: BerHu(threshold=0.0),
        lambda: SILog(variance_focus=1.1),
        lambda: SILog(scale=0.0),
        lambda: Gradient(scales=0),
        lambda: SSIM(window=4),
        lambda: SSIM(max_depth_m=0.0),
        lambda: SSI(gradient=-0.5),
        lambda: VirtualNormals(collinear=0.5),
        lambda: VirtualNormals(shortest_m=0.0),
        lambda: VirtualNormals(fov_degrees=180.0),
    ],
)
def test_options_out_of_range_are_refused(make_loss):
    with pytest.raises(ValueError, match="must be"):
        make_loss()
