"""Image, truth and prediction are framed alike: one size, one region, for scores, panels and galleries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cliffkit.interfaces import Sample
from cliffkit.prediction.framing import framed, framed_error, note_of, seen, truth_of

from ..protocol_fixtures import PROTOCOLS, protocol


@pytest.fixture
def sample() -> Sample:
    """480x640 with a hole in every fourth pixel; depth counts pixels, red counts rows."""
    depth = 1 + torch.arange(480 * 640, dtype=torch.float32).reshape(1, 480, 640) / 1e5
    valid = torch.arange(640).expand(1, 480, 640) % 4 != 0
    image = (torch.arange(480) // 2).to(torch.uint8)[None, :, None].expand(3, 480, 640).contiguous()
    return Sample(image, torch.where(valid, depth, torch.nan), valid, torch.tensor(-1))


@pytest.mark.parametrize(("name", "shape"), [("full", (480, 640)), ("eigen", (480, 640)), ("hu", (228, 304))])
def test_image_and_truth_have_the_size_at_which_they_are_compared(
    sample: Sample, name: str, shape: tuple[int, int]
) -> None:
    image, truth = framed(sample, PROTOCOLS[name])
    assert (image.shape, image.dtype) == ((*shape, 3), np.uint8)
    depth, known = truth_of(sample, PROTOCOLS[name].view)
    assert np.array_equal(np.isfinite(truth), known)
    assert np.array_equal(truth[known], depth[known])
    rows = np.linspace(0, 480, shape[0], endpoint=False) if shape[0] == 480 else 12 + 2 * np.arange(shape[0])
    assert np.abs(image[:, 0, 0].astype(float) - rows / 2).max() <= 1


def test_a_prediction_is_shown_aligned_and_clamped(sample: Sample) -> None:
    depth, _ = truth_of(sample, PROTOCOLS["eigen"].view)
    whole = np.where(np.isfinite(depth), depth, np.float32(2))
    assert np.allclose(seen(3 * whole, sample, protocol("full+median")), whole, rtol=1e-6)
    assert seen(whole + 9, sample, PROTOCOLS["eigen"]).max() == 10


def test_a_sparse_truth_is_not_lost_where_it_is_shrunk_and_its_error_is_that_of_its_pixel(sample: Sample) -> None:
    full = PROTOCOLS["full"]
    valid = torch.zeros(1, 480, 640, dtype=torch.bool)
    valid[0, 7::40, 9::40] = True  # rows and columns that are not picked
    sparse = sample._replace(depth=torch.full((1, 480, 640), 2.0), valid=valid)
    truth = framed(sparse, full, 240).truth
    assert np.count_nonzero(truth == 2) > 10 * np.count_nonzero(valid)
    assert np.isnan(truth).mean() > 0.5
    prediction = np.where(valid[0], np.float32(3), np.float32(9))  # 9 about every pixel that is scored
    error = framed_error(prediction, sparse, full, 240)
    assert np.array_equal(np.isfinite(error), np.isfinite(truth))
    assert np.unique(error[np.isfinite(error)]).tolist() == [0.5]
    assert note_of(sparse, full) == "0.062 % of pixels, drawn larger"
    assert note_of(sample, full) == ""


def test_what_is_too_high_is_shrunk_by_picking_pixels(sample: Sample) -> None:
    full = PROTOCOLS["full"]
    image, truth = framed(sample, full, 240)
    assert image.shape == (240, 320, 3)
    depth = np.arange(480 * 640, dtype=np.float32).reshape(480, 640) + 1
    small = seen(depth, sample, full, 240)
    assert small.shape == truth.shape == (240, 320)
    assert set(small.ravel().tolist()) <= set(depth.ravel().tolist())
    assert seen(depth, sample, full, 480).shape == (480, 640)
