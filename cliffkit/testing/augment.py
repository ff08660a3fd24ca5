"""Checks of augmentation."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from cliffkit.interfaces import Augment, Batch
from cliffkit.testing.common import build, check_device, expect, fake, seeded

CAMERA = (60.0, 60.0, 33.0, 22.0)
"""Focal lengths and principal point of the camera in the batches, in pixels."""

TOLERANCE = 0.05
"""Share by which distances in the scene may change: each end lies within a pixel of where its depth was taken."""


def check_augment(factory: Callable[..., Augment], **options: Any) -> None:
    """Check a step of augmentation: `factory(**options)`."""
    with seeded():
        step = build(lambda: factory(**options), Augment)
        subject = type(step).__name__
        count = step.draws
        expect(
            isinstance(count, int) and count >= 0,
            f"{subject}: draws is {count!r}, expected a number of draws, 0 or more",
        )
        for height, width in ((48, 64), (37, 51)):
            batch = _batch(height, width)
            for draws in (torch.rand(count, 4), torch.zeros(count, 4), torch.full((count, 4), 1 - 2**-24)):
                _check_result(subject, batch, _unchanged(subject, step, batch, draws))
                _check_purity(subject, step, batch, draws)
                _check_metric(subject, step(batch, draws))
    photos = _batch(48, 64)
    check_device(subject, lambda: _floats(step(photos.map(fake), torch.empty(count, 4))))


def _batch(height: int, width: int) -> Batch:
    """Make four images of a plane at 2 to 5 m with holes, NaN in the holes; the last camera is unknown."""
    fx, fy, cx, cy = CAMERA
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    z = torch.tensor([2.0, 3.0, 4.0, 5.0])[:, None, None]
    points = torch.stack([(u - cx) / fx * z, (v - cy) / fy * z, z.expand(4, height, width)], dim=1)
    valid = torch.rand(4, 1, height, width) < 0.75
    extras = {"points": points, "label": torch.arange(4), "part": torch.randint(0, 9, (4, 1, height, width))}
    intrinsics = torch.tensor(CAMERA).repeat(4, 1)
    intrinsics[3] = torch.nan
    depth = torch.where(valid, points[:, 2:], torch.nan)
    return Batch(torch.rand(4, 3, height, width), depth, valid, torch.tensor([0, 1, 2, -1]), intrinsics, extras)


def _unchanged(subject: str, step: Augment, batch: Batch, draws: Tensor) -> Batch:
    """Apply the step, and check that it leaves its inputs as they are."""
    before, drawn = batch.map(torch.clone), draws.clone()
    result = step(batch, draws)
    expect(_same(batch, before) and torch.equal(draws, drawn), f"{subject}: changes its input in place")
    return result


def _check_result(subject: str, batch: Batch, result: Batch) -> None:
    """Check that tensors keep names, shapes and types, the image lies in [0, 1], and valid depths are positive."""
    expect(isinstance(result, Batch), f"{subject}: gives a {type(result).__name__}, expected a Batch")
    given, got = batch.tensors(), result.tensors()
    expect(given.keys() == got.keys(), f"{subject}: gives {', '.join(got)} of {', '.join(given)}; carry every extra on")
    for name, tensor in got.items():
        like = given[name]
        expect(
            tensor.shape == like.shape and tensor.dtype == like.dtype,
            f"{subject}: {name} is {tuple(tensor.shape)} {tensor.dtype}, expected {tuple(like.shape)} {like.dtype}",
        )
    low, high = float(result.image.min()), float(result.image.max())
    expect(0 <= low <= high <= 1, f"{subject}: the image lies within {low:g} and {high:g}, expected 0 and 1")
    depth = result.depth[result.valid]
    expect(
        bool((depth.isfinite() & (depth > 0)).all()),
        f"{subject}: a valid depth is not a positive number of metres; take validity from the pixel that depth "
        "comes from",
    )


def _check_purity(subject: str, step: Augment, batch: Batch, draws: Tensor) -> None:
    """Check that draws alone decide: not earlier runs, not the random state, not other images, not values in holes."""
    result = step(batch, draws)
    step(batch, torch.rand_like(draws))
    torch.rand(7)
    expect(
        _same(step(batch, draws), result), f"{subject}: equal batches and draws give two results; use the draws alone"
    )

    for index in range(len(batch.image)):
        rows = slice(index, index + 1)
        alone = step(batch.map(itemgetter(rows)), draws[:, rows])
        for name, tensor in alone.tensors().items():
            like = result.tensors()[name][rows]
            expect(
                torch.allclose(tensor.double(), like.double(), atol=1e-4, equal_nan=True),
                f"{subject}: {name} of an image depends on the rest of its batch",
            )

    other = step(batch._replace(depth=torch.where(batch.valid, batch.depth, 1e6)), draws)
    expect(
        torch.equal(other.image, result.image)
        and torch.equal(other.valid, result.valid)
        and torch.equal(other.depth[other.valid], result.depth[result.valid]),
        f"{subject}: what stands in invalid pixels changes the result",
    )


def _check_metric(subject: str, result: Batch) -> None:
    """Check that distances between points of a plane stay, whether focal lengths grow or depth shrinks under zoom."""
    height, width = result.image.shape[-2:]
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    for i in range(3):
        fx, fy, cx, cy = result.intrinsics[i]
        z = result.depth[i, 0]
        points = torch.stack([(u - cx) / fx * z, (v - cy) / fy * z, z])[:, result.valid[i, 0]]
        truth = result.extras["points"][i][:, result.valid[i, 0]]
        half = points.shape[1] // 2
        if half < 2:
            continue
        seen, expected = ((cloud[:, :half] - cloud[:, half : 2 * half]).norm(dim=0).mean() for cloud in (points, truth))
        expect(
            bool((seen - expected).abs() <= TOLERANCE * expected),
            f"{subject}: points of a plane are {seen:.3f} m apart by depth and intrinsics, {expected:.3f} m in the "
            "scene; where the picture is zoomed, let the focal lengths grow or depth shrink, and move the "
            "principal point",
        )


def _same(a: Batch, b: Batch) -> bool:
    """Equal to the bit, NaN included."""
    one, other = a.tensors(), b.tensors()
    return one.keys() == other.keys() and all(
        torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one
    )


def _floats(batch: Batch) -> list[Tensor]:
    """Give the float32 tensors of a batch."""
    return [batch.image, batch.depth, batch.intrinsics]
