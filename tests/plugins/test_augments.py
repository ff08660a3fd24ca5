"""Built-in augmentation, pixel by pixel and ray by ray."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cliffkit.interfaces import Batch, Sample
from cliffkit_augments.color_jitter import ColorJitter
from cliffkit_augments.cutdepth import CutDepth
from cliffkit_augments.flip import Flip
from cliffkit_augments.random_crop import RandomCrop
from cliffkit_augments.rotate import Rotate

from ..engine_fixtures import same

DRAWN = torch.tensor([[0.0, 0.49, 0.51], [0.1, 0.9, 0.5], [0.95, 0.05, 0.3], [0.2, 0.99, 0.7]])
FOCAL = torch.tensor([60.0, 60.0, 31.0, 25.0])
"""A camera that looks at 48x64 pixels, its principal point off the centre."""


@pytest.fixture
def batch() -> Batch:
    random = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 3, 4, 5), generator=random, dtype=torch.uint8)
    depth = torch.rand((3, 1, 4, 5), generator=random) * 9
    valid = torch.rand((3, 1, 4, 5), generator=random) > 0.4
    return Batch.of(Sample(image, depth, valid, torch.tensor([4, -1, 2])))


def plane(images: int = 2, camera: Tensor = FOCAL, height: int = 48, width: int = 64) -> Batch:
    """A slanted plane, z = 2 + 0.1 x + 0.2 y at each pixel's centre; `points` are its 3D points, in metres."""
    fx, fy, cx, cy = camera.tolist()
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    x, y = (u - cx) / fx, (v - cy) / fy
    z = 2 / (1 - 0.1 * x - 0.2 * y)
    points = torch.stack([x * z, y * z, z]).expand(images, -1, -1, -1)
    image = torch.stack([u / width, v / height, 0.5 + 0 * u]).expand(images, -1, -1, -1)
    valid = torch.ones(images, 1, height, width, dtype=torch.bool)
    extras = {"points": points.clone(), "index": torch.arange(images)}
    scene = torch.full((images,), -1)
    return Batch(image.clone(), points[:, 2:].clone(), valid, scene, camera.repeat(images, 1), extras)


def back_project(batch: Batch) -> Tensor:
    """The 3D point of every pixel by the batch's depth and camera, (B, 3, H, W) metres."""
    height, width = batch.image.shape[-2:]
    fx, fy, cx, cy = batch.intrinsics[:, :, None, None].unbind(1)
    v, u = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    z = batch.depth[:, 0]
    return torch.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], dim=1)


def by_hand(image: np.ndarray, factors: list[float]) -> np.ndarray:
    """One (3, H, W) image, pixel by pixel in float64: brightness, contrast, saturation, each clamped."""
    height, width = image.shape[1:]
    out = np.empty(image.shape)
    for y in range(height):
        for x in range(width):
            out[:, y, x] = [min(1, max(0, v * factors[0])) for v in image[:, y, x]]
    mean = sum(grey(out[:, y, x]) for y in range(height) for x in range(width)) / (height * width)
    for y in range(height):
        for x in range(width):
            out[:, y, x] = [min(1, max(0, mean + factors[1] * (v - mean))) for v in out[:, y, x]]
            own = grey(out[:, y, x])
            out[:, y, x] = [min(1, max(0, own + factors[2] * (v - own))) for v in out[:, y, x]]
    return out


def grey(rgb: np.ndarray) -> float:
    return float(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2])


@pytest.mark.parametrize("spreads", [(0.4, 0.4, 0.4), (0.9, 0, 0), (0, 1, 0), (0, 0, 0.7), (1, 0.3, 1)])
def test_colours_change_by_the_formula_of_a_plain_loop(batch: Batch, spreads: tuple[float, float, float]) -> None:
    jitter = ColorJitter(**dict(zip(("brightness", "contrast", "saturation"), spreads, strict=True)))
    out = jitter(batch, DRAWN[1:])
    for i in range(3):
        factors = [1 + (2 * draw - 1) * x for draw, x in zip(DRAWN[1:, i].tolist(), spreads, strict=True)]
        expected = by_hand(batch.image[i].double().numpy(), factors)
        np.testing.assert_allclose(out.image[i].numpy(), expected, atol=3e-6)
    assert not torch.allclose(out.image, batch.image, atol=0.05)
    assert same(out, batch._replace(image=out.image)), "depth, validity and scene are not a matter of colour"


def test_the_middle_draw_changes_no_colour(batch: Batch) -> None:
    torch.testing.assert_close(ColorJitter()(batch, torch.full((3, 3), 0.5)).image, batch.image)


def test_a_mirrored_image_takes_its_depth_and_its_holes_along(batch: Batch) -> None:
    out = Flip()(batch, DRAWN[:1])
    for i, mirrored in enumerate((True, True, False)):  # those that drew less than 0.5
        for tensor, before in ((out.image, batch.image), (out.depth, batch.depth), (out.valid, batch.valid)):
            assert torch.equal(tensor[i], before[i].flip(-1) if mirrored else before[i])
    assert torch.equal(out.scene, batch.scene)


@pytest.mark.parametrize(("probability", "mirrored"), [(0.0, 0), (1.0, 3)])
def test_flip_mirrors_none_at_0_and_all_at_1(batch: Batch, probability: float, mirrored: int) -> None:
    out = Flip(probability=probability)(batch, torch.tensor([[0.0, 0.5, 1 - 2**-24]]))
    assert sum(torch.equal(a, b.flip(-1)) for a, b in zip(out.depth, batch.depth, strict=True)) == mirrored


def test_a_mirrored_scene_is_mirrored_in_space() -> None:
    before = plane()
    out = Flip()(before, torch.tensor([[0.1, 0.9]]))
    mirrored = torch.tensor([-1.0, 1, 1])[:, None, None]
    torch.testing.assert_close(back_project(out)[0], out.extras["points"][0] * mirrored)
    assert torch.equal(out.extras["points"][0], before.extras["points"][0].flip(-1))
    assert torch.equal(out.intrinsics[1], FOCAL)


@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
@pytest.mark.parametrize("keep", ["depth", "focal"])
def test_a_zoomed_scene_stays_metric(keep: Any, size: tuple[int, int]) -> None:
    """Each pixel's point is that of the pixel that it was taken from, but for where in that pixel it lies."""
    before = plane(4, height=size[0], width=size[1])
    draws = torch.tensor([[0.0, 0.4, 0.7, 1 - 2**-24], [0.2, 0.9, 0.0, 0.5], [0.8, 0.1, 1 - 2**-24, 0.5]])
    out = RandomCrop(zoom=(1.0, 2.0), keep=keep)(before, draws)
    zoom = 1 + draws[0]
    found, truth = back_project(out), out.extras["points"]
    half_a_pixel_m = 0.5 / 60 * float(before.depth.max()) * 1.01
    if keep == "depth":
        assert torch.equal(out.depth, truth[:, 2:]), "a depth is that of one pixel, never a mean"
        torch.testing.assert_close(out.intrinsics[:, :2], FOCAL[:2] * zoom[:, None])
        assert (found - truth).abs().max() < half_a_pixel_m
    else:
        torch.testing.assert_close(out.depth[:, 0], truth[:, 2] / zoom[:, None, None])
        assert torch.equal(out.intrinsics[:, :2], FOCAL[:2].expand(4, 2))
        assert (found[:, :2] - truth[:, :2]).abs().max() < half_a_pixel_m
    assert (found[1:, :2] - before.extras["points"][1:, :2]).abs().amax(dim=(1, 2, 3)).min() > 5 * half_a_pixel_m


def test_at_zoom_2_a_window_is_the_quarter_of_the_image_that_was_drawn() -> None:
    before = plane(3)
    out = RandomCrop(zoom=(2.0, 2.0))(before, torch.tensor([[0.3, 0.3, 0.3], [0.0, 0.5, 1.0], [0.0, 0.25, 1.0]]))
    for i, (top, left) in enumerate(((0, 0), (12, 8), (24, 32))):
        window = before.depth[i, :, top : top + 24, left : left + 32]
        assert torch.equal(out.depth[i], window.repeat_interleave(2, 1).repeat_interleave(2, 2))
        torch.testing.assert_close(out.intrinsics[i], torch.tensor([120.0, 120, 2 * (31 - left), 2 * (25 - top)]))
        # The image holds each pixel's own position as its colour, and a ramp stays a ramp when interpolated.
        u = left + (torch.arange(64) + 0.5) / 2
        torch.testing.assert_close(out.image[i, 0, 5, 1:-1], u[1:-1] / 64, rtol=0, atol=1e-5)
    assert out.valid.all()


def test_zoom_1_changes_nothing() -> None:
    before = plane()
    out = RandomCrop(zoom=(1.0, 1.0))(before, torch.tensor([[0.3, 0.9], [0.5, 0.1], [0.2, 0.7]]))
    torch.testing.assert_close(out.image, before.image, rtol=0, atol=1e-5)
    assert same(out._replace(image=before.image), before)


def test_a_zoom_whose_ends_are_exchanged_is_refused() -> None:
    with pytest.raises(ValueError, match=r"random_crop: zoom is \[1.5, 1.2\]; the smallest magnification comes first"):
        RandomCrop(zoom=(1.5, 1.2))


@pytest.mark.parametrize("camera", [FOCAL, torch.tensor([60.0, 45.0, 31.0, 25.0])], ids=["square", "oblong pixels"])
def test_a_rolled_camera_sees_the_scene_turned_about_its_axis(camera: Tensor) -> None:
    before = plane(3, camera)
    out = Rotate(degrees=20)(before, torch.tensor([[0.0, 0.5, 0.75]]))
    found, source = back_project(out), out.extras["points"]
    for i, degrees in enumerate((-20, 0, 10)):
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        x, y, z = source[i]
        turned = torch.stack([cos * x - sin * y, sin * x + cos * y, z])
        error = (found[i] - turned).abs()[out.valid[i].expand(3, -1, -1)]
        assert error.max() < 0.8 / 45 * float(before.depth.max()), "within a pixel's diagonal"
        assert torch.equal(out.depth[i], source[i, 2:]), "depth stays"
    assert torch.equal(out.intrinsics[:, :2], camera[:2].expand(3, 2))
    assert out.valid[1].all()
    outside = ~out.valid[[0, 2]].expand(-1, 3, -1, -1)
    assert 0.02 < outside.float().mean() < 0.3
    assert not out.image[[0, 2]][outside].any(), "what comes from outside of the frame is black"


def test_an_unknown_camera_is_taken_for_one_with_square_pixels_and_stays_unknown() -> None:
    known, unknown = plane(1), plane(1)._replace(intrinsics=torch.full((1, 4), torch.nan))
    for step, draws in ((Rotate(degrees=20), 1), (RandomCrop(), 3), (Flip(), 1)):
        drawn = torch.full((draws, 1), 0.2)
        out = step(unknown, drawn)
        assert out.intrinsics.isnan().all()
        assert same(out._replace(intrinsics=known.intrinsics), step(known, drawn)._replace(intrinsics=known.intrinsics))


def test_a_rectangle_of_the_image_shows_depth_by_its_deepest_pixel(batch: Batch) -> None:
    draws = torch.tensor([[0.2, 0.2, 0.9], [0.0, 0.45, 0.0], [0.0, 0.3, 0.0], [1.0, 0.0, 1.0], [1.0, 0.9, 1.0]])
    out = CutDepth(probability=0.5, largest=0.8)(batch, draws)
    deepest = batch.filled_depth().amax(dim=(1, 2, 3))
    rectangles = [(slice(0, 3), slice(0, 4)), (slice(1, 3), slice(2, 3)), (slice(0, 0), slice(0, 0))]
    for i, (rows, columns) in enumerate(rectangles):
        expected = batch.image[i].clone()
        for row in range(4)[rows]:
            for column in range(5)[columns]:
                if batch.valid[i, 0, row, column]:
                    expected[:, row, column] = batch.depth[i, 0, row, column] / deepest[i]
        torch.testing.assert_close(out.image[i], expected)
    assert not torch.equal(out.image[:2], batch.image[:2])
    assert same(out._replace(image=batch.image), batch)


def test_an_image_without_depth_is_left_as_it_is_by_cutdepth(batch: Batch) -> None:
    empty = batch._replace(valid=torch.zeros_like(batch.valid), depth=torch.full_like(batch.depth, torch.nan))
    assert torch.equal(CutDepth(probability=1.0)(empty, torch.full((5, 3), 0.4)).image, batch.image)
