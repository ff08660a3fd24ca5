"""Embeddings that are not trained: against SciPy's filters, and against normals of surfaces in space."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from cliffkit.interfaces import Batch, features_of
from cliffkit.layers import fill_holes
from cliffkit.method.hierarchical import HierarchicalEmbeddingLoss
from cliffkit_embeddings.filters import Filters
from cliffkit_embeddings.normals import Normals

GENERATORS = {"filters": Filters, "normals": Normals}
SIZES = [(24, 32), (23, 29), (1, 7), (1, 1)]


def depths(height, width, images=2):
    torch.manual_seed(0)
    return 1 + 4 * torch.rand(images, 1, height, width)


def plane(height=40, width=56, camera=(50.0, 55.0, 27.0, 21.0)):
    """Depth of a slanted plane as a camera sees it, and the normal of the plane, away from the camera."""
    fx, fy, cx, cy = camera
    normal = np.array([0.3, -0.2, 1.0]) / np.linalg.norm([0.3, -0.2, 1.0])
    v, u = np.mgrid[:height, :width] + 0.5
    z = 3.0 / (normal[0] * (u - cx) / fx + normal[1] * (v - cy) / fy + normal[2])
    return torch.tensor(z, dtype=torch.float32)[None, None], normal, torch.tensor([camera])


def batch_of(depth, valid, intrinsics=None):
    images, _, height, width = depth.shape
    camera = torch.full((images, 4), torch.nan) if intrinsics is None else intrinsics
    return Batch(torch.zeros(images, 3, height, width), depth, valid, torch.full((images,), -1), camera)


def mean_of_cells(depth):
    """Means of cells of 2x2 pixels, fewer at the frame, cell by cell."""
    height, width = depth.shape
    return np.array([[depth[i : i + 2, j : j + 2].mean() for j in range(0, width, 2)] for i in range(0, height, 2)])


@pytest.mark.parametrize("size", SIZES)
def test_filters_are_scipys_on_a_pyramid(size):
    depth = depths(*size)
    levels = Filters(0)(depth)
    assert len(levels) == 4
    for b in range(2):
        x = depth[b, 0].double().numpy()
        for level in levels:
            wanted = [
                scipy.ndimage.sobel(x, axis=1, mode="nearest") / 8,
                scipy.ndimage.sobel(x, axis=0, mode="nearest") / 8,
                scipy.ndimage.laplace(x, mode="nearest"),
            ]
            np.testing.assert_allclose(level[b].numpy(), wanted, atol=2e-5)
            x = mean_of_cells(x)


def test_filters_gives_the_kernels_that_are_asked_for():
    depth = depths(12, 16)
    both, sobel, laplace = (Filters(0, kernel=kernel)(depth) for kernel in ("both", "sobel", "laplace"))
    for level, first, second in zip(both, sobel, laplace, strict=True):
        assert torch.equal(level, torch.cat([first, second], dim=1))
    assert len(Filters(0, scales=2)(depth)) == 2


def test_slopes_of_filters_are_metres_per_pixel():
    ramp = torch.arange(16.0).expand(1, 1, 12, 16) * 0.25
    across, down, laplace = Filters(0)(ramp)[0][0, :, 1:-1, 1:-1]
    assert (across == 0.25).all()
    assert not down.any()
    assert not laplace.any()


@pytest.mark.parametrize("size", [(24, 32), (23, 29)])
@pytest.mark.parametrize("known", [True, False])
def test_normals_are_cross_products_of_tangents_in_space(size, known):
    height, width = size
    depth = depths(*size)
    cameras = torch.tensor([[30.0, 33.0, 14.0, 11.0], [np.nan] * 4])
    levels = Normals(0, fov_degrees=80.0)(depth, cameras if known else None)
    focal = width / 2 / np.tan(np.deg2rad(40))
    assumed = np.array([focal, focal, width / 2, height / 2])
    for b in range(2):
        z, (fx, fy, cx, cy) = depth[b, 0].double().numpy(), cameras[0].numpy() if known and b == 0 else assumed
        for level in levels:
            v, u = np.mgrid[: z.shape[0], : z.shape[1]] + 0.5
            ray = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)])
            z_v, z_u = np.gradient(z)
            to_the_right = z_u * ray + np.stack([z / fx, 0 * z, 0 * z])
            downwards = z_v * ray + np.stack([0 * z, z / fy, 0 * z])
            normal = np.cross(to_the_right, downwards, axis=0)
            np.testing.assert_allclose(level[b].numpy(), normal / np.linalg.norm(normal, axis=0), atol=1e-4)
            z, fx, fy, cx, cy = mean_of_cells(z), fx / 2, fy / 2, cx / 2, cy / 2


def test_normals_of_a_plane_are_the_planes_at_every_scale():
    depth, normal, camera = plane()
    for level in Normals(0)(depth, camera):
        assert (level[0].permute(1, 2, 0).numpy() @ normal).min() > 0.999


def test_normals_do_not_know_the_scale_of_depth():
    depth = depths(24, 32)
    for one, other in zip(Normals(0)(depth), Normals(0)(1.7 * depth), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
@pytest.mark.parametrize("size", SIZES)
def test_levels_halve_and_are_finite_with_their_gradient_at_any_size_and_sign(make, size):
    for depth in (depths(*size), torch.zeros(2, 1, *size), -depths(*size)):
        depth.requires_grad_()
        levels = make(0)(depth)
        height, width = size
        for level in levels:
            assert level.shape[-2:] == (height, width)
            assert level.isfinite().all()
            height, width = (height + 1) // 2, (width + 1) // 2
        (slope,) = torch.autograd.grad(sum(level.sum() for level in levels), depth)
        assert slope.isfinite().all()


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
def test_mixed_precision_changes_no_bit(make):
    depth = depths(24, 32)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = make(0)(depth)
    assert all(map(torch.equal, mixed, make(0)(depth)))


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_filter_that_touches_a_hole_makes_no_edge(make, share):
    """On a flat wall nothing shows; on a slanted plane no response is further from the plane's than a pixel's step."""
    torch.manual_seed(0)
    slanted, _, camera = plane()
    valid = torch.rand(slanted.shape) < share
    valid[..., 8:20, 10:30] = False  # a hole far larger than a filter
    wall = torch.full_like(slanted, 2.5)
    for level, dense in zip(
        features_of(make(0), fill_holes(wall, valid), camera), features_of(make(0), wall, camera), strict=True
    ):
        torch.testing.assert_close(level, dense, atol=1e-5, rtol=0)

    zeros = torch.where(valid, slanted, 0)
    filled, emptied, dense = (features_of(make(0), x, camera) for x in (fill_holes(slanted, valid), zeros, slanted))
    for level, edge, wanted in zip(filled, emptied, dense, strict=True):
        assert (level - wanted).abs().max() < 0.5 * (edge - wanted).abs().max()
        assert (level - wanted).abs().mean() < 0.1 * (edge - wanted).abs().mean()


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_prediction_that_is_off_by_a_constant_costs_filters_nothing_around_holes(share):
    torch.manual_seed(0)
    depth = depths(23, 29)
    batch = batch_of(depth, torch.rand(depth.shape) < share)
    loss = HierarchicalEmbeddingLoss(Filters(0), (1, 1, 1, 1))
    assert loss(depth + 0.5, batch, 100).item() == pytest.approx(0, abs=1e-4)


def test_the_hierarchical_loss_shows_normals_the_cameras_of_the_batch():
    depth = depths(24, 32)
    cameras = torch.tensor([[30.0, 33.0, 14.0, 11.0], [np.nan] * 4])
    batch = batch_of(depth, torch.ones_like(depth, dtype=torch.bool), cameras)
    other = depth + 0.3 * torch.randn_like(depth)
    normals = Normals(0)
    wanted = sum((a - b).abs().mean() for a, b in zip(normals(other, cameras), normals(depth, cameras), strict=True))
    value = HierarchicalEmbeddingLoss(Normals(0), (1, 1, 1))(other, batch, 100)
    torch.testing.assert_close(value, wanted)
    assert value != HierarchicalEmbeddingLoss(Normals(0), (1, 1, 1))(other, batch_of(depth, batch.valid), 100)


def test_an_angle_that_no_camera_sees_is_refused():
    with pytest.raises(ValueError, match="normals: fov_degrees is 180"):
        Normals(0, fov_degrees=180.0)
