"""Virtual normals against triangles written out one by one in float64."""

import itertools
import math

import numpy as np
import pytest
import torch

from cliffkit.interfaces import Batch
from cliffkit_losses.virtual_normals import VirtualNormals


def make(height, width, valid_share=0.7, images=2, intrinsics=None):
    """A prediction and a batch of slanted, wavy surfaces with holes."""
    generator = np.random.default_rng(0)
    shape = (images, 1, height, width)
    depth = torch.tensor(2 + generator.uniform(0, 3, shape), dtype=torch.float32)
    valid = torch.tensor(generator.random(shape) < valid_share)
    camera = torch.full((images, 4), torch.nan) if intrinsics is None else torch.tensor(intrinsics)
    noise = torch.tensor(generator.normal(0, 0.3, shape), dtype=torch.float32)
    scene = torch.full((images,), -1)
    return depth + noise, Batch(torch.zeros(images, 3, height, width), depth, valid, scene, camera)


def place(depth, camera, row, column):
    """The point in space of a pixel."""
    fx, fy, cx, cy = camera
    z = float(depth[row, column])
    return np.array([z * (column + 0.5 - cx) / fx, z * (row + 0.5 - cy) / fy, z])


def cost(guess, truth, collinear=0.867, shortest=0.1):
    """The difference of two triangles' normals; None where the true one does not count."""
    a, b, c = sorted(float(np.linalg.norm(truth[i] - truth[j])) for i, j in ((0, 1), (1, 2), (2, 0)))
    if a < shortest:
        return None
    angles = [
        math.acos(np.clip((p * p + q * q - r * r) / (2 * p * q), -1, 1))
        for p, q, r in ((a, b, c), (b, c, a), (c, a, b))
    ]
    if min(angles) < math.acos(collinear) or max(angles) > math.pi - math.acos(collinear):
        return None
    normals = []
    for p, q, r in (guess, truth):
        normal = np.cross(q - p, r - p)
        normals.append(normal / np.linalg.norm(normal))
    return np.abs(normals[0] - normals[1]).sum()


def cameras(batch, fov=60.0):
    width, height = batch.depth.shape[-1], batch.depth.shape[-2]
    focal = 0.5 * width / np.tan(np.deg2rad(fov / 2))
    assumed = (focal, focal, width / 2, height / 2)
    return [assumed if np.isnan(row).any() else tuple(map(float, row)) for row in batch.intrinsics.numpy()]


def corners_of(image, batch, prediction, camera, pixels):
    width = batch.depth.shape[-1]
    maps = prediction[image, 0].numpy().astype(float), batch.depth[image, 0].numpy().astype(float)
    return [[place(depth, camera, *divmod(int(pixel), width)) for pixel in pixels] for depth in maps]


@pytest.mark.parametrize("intrinsics", [None, [[9.0, 11.0, 4.0, 3.5], [np.nan] * 4]], ids=["unknown", "known"])
def test_value_is_the_mean_over_the_triangles_that_count(intrinsics):
    prediction, batch = make(7, 9, intrinsics=intrinsics)
    loss = VirtualNormals(triangles=150)
    torch.manual_seed(5)
    pixels = loss._draw(batch.valid.flatten(1)).view(2, 3, -1)
    torch.manual_seed(5)
    value = loss(prediction, batch).item()
    costs = [
        cost(*corners_of(image, batch, prediction, camera, pixels[image, :, k]))
        for image, camera in enumerate(cameras(batch))
        for k in range(150)
    ]
    counted = [c for c in costs if c is not None]
    assert 30 < len(counted) < 290, "some count and some do not"
    assert value == pytest.approx(np.mean(counted), rel=1e-4)


def test_triangles_are_drawn_evenly_from_all_of_valid_pixels():
    prediction, batch = make(3, 3, valid_share=0.8, images=1)
    (camera,) = cameras(batch)
    known = torch.nonzero(batch.valid.flatten()).flatten().tolist()
    assert 5 <= len(known) < 9
    triples = itertools.product(known, repeat=3)
    costs = [cost(*corners_of(0, batch, prediction, camera, triple)) for triple in triples]
    torch.manual_seed(0)
    value = VirtualNormals(triangles=100_000)(prediction, batch).item()
    assert value == pytest.approx(np.mean([c for c in costs if c is not None]), rel=0.02)


def test_a_common_factor_of_all_depths_costs_nothing():
    _, batch = make(12, 16)
    assert VirtualNormals()(3 * batch.depth, batch).item() == pytest.approx(0, abs=1e-5)


def test_equal_states_of_torch_give_equal_bits_and_others_do_not():
    prediction, batch = make(12, 16)
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(VirtualNormals(triangles=64)(prediction, batch))
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 2)])
def test_images_without_a_triangle_cost_nothing(size):
    prediction, batch = make(*size)
    batch = batch._replace(depth=torch.ones_like(batch.depth))
    value = VirtualNormals(shortest_m=5.0)(prediction.requires_grad_(), batch)
    value.backward()
    assert value == 0
    assert not prediction.grad.any()


def test_no_nan_arises_on_the_way_back_from_flat_and_empty_images():
    _, batch = make(8, 8)
    batch.valid[1] = False
    with torch.autograd.set_detect_anomaly(True):
        for start in (torch.zeros_like(batch.depth), batch.depth.clone(), torch.full_like(batch.depth, -1e-3)):
            loss = VirtualNormals()(start.requires_grad_(), batch)
            loss.backward()
            assert start.grad.isfinite().all()
