"""Cameras that are known, and the camera that is assumed where none is."""

import math

import pytest
import torch

from cliffkit.cameras import check_angle, complete, points


def test_an_unknown_camera_sees_the_stated_angle_from_edge_to_edge():
    (camera,) = complete(None, (24, 32), 1, 90.0)
    torch.testing.assert_close(camera, torch.tensor([16.0, 16.0, 16.0, 12.0]))
    known = torch.tensor([[20.0, 21.0, 15.0, 11.0], [torch.nan, 1.0, 1.0, 1.0]])
    torch.testing.assert_close(complete(known, (24, 32), 2, 90.0), torch.stack([known[0], camera]))


def test_points_lie_on_the_rays_through_the_centres_of_pixels():
    cameras = torch.tensor([[10.0, 20.0, 4.0, 3.0], [8.0, 8.0, 4.0, 3.0]])
    depth = 1 + torch.rand(2, 1, 6, 8)
    space = points(depth, cameras)
    for b, (fx, fy, cx, cy) in enumerate(cameras.tolist()):
        for row, column in ((0, 0), (5, 7), (2, 3)):
            z = depth[b, 0, row, column].item()
            wanted = [z * (column + 0.5 - cx) / fx, z * (row + 0.5 - cy) / fy, z]
            assert space[b, :, row, column].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("angle", [0.0, 180.0, math.nan])
def test_angles_that_no_pinhole_camera_sees_are_refused(angle):
    with pytest.raises(ValueError, match=r"normals: fov_degrees is .*; it must be > 0 and < 180"):
        check_angle("normals", angle)
