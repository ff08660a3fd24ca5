"""The data set `rooms`: determinism, disjoint splits, true geometry, holes, errors."""

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import cliffkit_rooms
from cliffkit_rooms.contact_sheet import sheet
from cliffkit_rooms.dataset import Rooms
from cliffkit_rooms.image.camera import Camera, orient
from cliffkit_rooms.image.raycast import SHELL, pack, trace
from cliffkit_rooms.render import compose
from cliffkit_rooms.scene.dice import Dice
from cliffkit_rooms.scene.layout import Room
from cliffkit_rooms.scene.materials import draw_style, plain
from cliffkit_rooms.scene.parts import Piece

SIZE = {"height": 24, "width": 32}
TYPES = len(Rooms.scene_types)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))


@pytest.fixture(scope="module")
def frames():
    """Each scene type four times."""
    rooms = Rooms("train", None, **SIZE)
    return [rooms[i] for i in range(4 * TYPES)]


def test_a_sample_keeps_the_contract(frames):
    for sample in frames:
        assert sample.image.shape == (3, 24, 32)
        assert sample.image.dtype == torch.uint8
        assert sample.depth.shape == sample.valid.shape == (1, 24, 32)
        assert sample.depth.dtype == torch.float32
        assert sample.valid.dtype == torch.bool
        assert sample.valid.all()
        assert sample.scene.shape == ()
        assert sample.scene.dtype == torch.int64


def test_same_seed_and_index_same_bits_in_any_order(frames):
    again = Rooms("train", None, **SIZE)
    for index in (31, 2, 17, 2):
        assert same(again[index], frames[index])
    assert same(pickle.loads(pickle.dumps(again))[5], frames[5])


def test_frames_of_this_version_are_what_they_were():
    """Mean depth, mean and spread of the image. Whoever changes what is drawn raises render.VERSION, and these."""
    rooms = Rooms("train", None)
    found = [
        (s.depth.double().mean(), s.image.double().mean(), s.image.double().std())
        for s in map(rooms.__getitem__, range(3))
    ]
    drawn = [(1.426826, 111.5520, 26.48977), (3.416978, 127.9663, 42.96583), (3.082736, 109.6015, 24.22143)]
    np.testing.assert_allclose(found, drawn, rtol=1e-4)


def test_more_frames_keep_the_earlier_ones(frames):
    assert same(Rooms("train", None, train=900, **SIZE)[7], frames[7])


def test_holding_fewer_or_more_of_another_split_changes_nothing():
    a, b = Rooms("val", None, train=5, **SIZE), Rooms("val", None, train=6, **SIZE)
    assert a.fingerprint() == b.fingerprint()
    assert same(a[3], b[3])


def test_splits_and_seeds_share_no_frame(frames):
    pictures = {sample.depth.numpy().tobytes() for sample in frames}
    assert len(pictures) == len(frames)
    for other in (Rooms("val", None, **SIZE), Rooms("test", None, **SIZE), Rooms("train", None, seed=1, **SIZE)):
        assert not pictures & {other[i].depth.numpy().tobytes() for i in range(TYPES)}


def test_scene_types_are_named_and_balanced(frames):
    assert TYPES >= 12
    assert {"bedroom", "kitchen", "bathroom", "office", "living_room"} <= set(Rooms.scene_types)
    counts = np.bincount([int(sample.scene) for sample in frames], minlength=TYPES)
    assert counts.tolist() == [4] * TYPES


def test_names_are_unique_and_tell_the_scene_type():
    names = [Rooms(split, None).name(i) for split in ("train", "val", "test") for i in range(100)]
    assert len(set(names)) == 300
    rooms = Rooms("test", None)
    assert rooms.name(8) == f"rooms/test/00008_{rooms.scene_types[int(rooms[8].scene)]}"


def test_depth_stays_in_range_and_varies_as_indoors(frames):
    depth = torch.stack([sample.depth for sample in frames]).numpy()
    assert depth.min() >= 0.5
    assert depth.max() <= 10
    assert 2 <= np.median(depth) <= 3.5
    constant = np.abs(np.median(depth) - depth) / depth
    assert 0.3 < constant.mean() < 0.55


def test_images_are_exposed(frames):
    means = np.array([sample.image.float().mean().item() for sample in frames])
    assert (means > 40).all()
    assert (means < 230).all()
    assert all(sample.image.float().std() > 12 for sample in frames)


def back_project(depth, camera, intrinsics):
    """(H, W) z-depth to (H, W, 3) points in the room."""
    height, width = depth.shape
    fx, fy, cx, cy = np.asarray(intrinsics, np.float64)
    x = (np.arange(width) + 0.5 - cx) / fx
    y = (np.arange(height) + 0.5 - cy) / fy
    rays = np.stack([np.broadcast_to(x, depth.shape), np.broadcast_to(y[:, None], depth.shape), np.ones(depth.shape)])
    return np.einsum("ij,jhw->hwi", camera.rotation, rays * depth) + np.array(camera.position)


@pytest.mark.parametrize("kind", range(TYPES))
def test_pixels_back_project_into_the_room(kind):
    view = compose(kind, np.random.SeedSequence(kind), 24, 32)
    points = back_project(view.depth.astype(np.float64), view.camera, view.camera.intrinsics)
    assert points.min() > -1e-3
    assert (points < np.array(view.room.size) + 1e-3).all()
    np.testing.assert_allclose(points[view.seen == 4][:, 2], 0, atol=1e-4)
    assert 1.1 < view.camera.position[2] < 1.7


def test_the_camera_of_a_sample_puts_floor_ceiling_and_walls_where_they_are():
    rooms = Rooms("val", None, **SIZE)
    met = np.zeros(SHELL, int)
    for index in range(TYPES):
        sample = rooms[index]
        view = compose(index, np.random.SeedSequence(0, spawn_key=(1, index)), **SIZE)
        points = back_project(sample.depth[0].double().numpy(), view.camera, sample.intrinsics)
        width, depth, height = view.room.size
        for face, (axis, place) in enumerate([(0, 0), (0, width), (1, 0), (1, depth), (2, 0), (2, height)]):
            on_face = points[view.seen == face]
            np.testing.assert_allclose(on_face[:, axis], place, atol=1e-4)
            met[face] += len(on_face)
    assert (met > 50).all(), met


def test_focal_length_and_principal_point_are_the_kinects_at_the_size_of_the_frame():
    camera = Rooms("train", None)[0].intrinsics
    assert camera.dtype == torch.float32
    np.testing.assert_allclose(camera, [518.86 / 4, 518.86 / 4, 80, 60])


def test_a_known_box_has_its_analytic_depth():
    dice = Dice(np.random.default_rng(0))
    room = Room(dice, (4.0, 6.0, 2.5), draw_style(dice), [plain((0.5, 0.5, 0.5))] * 6)
    crate = Piece(1.0, 1.0, 1.0)
    crate.box(0, 0, 0, 1.0, 1.0, 1.0, plain((0.5, 0.5, 0.5)))
    room.parts += crate.moved(2.0, 4.0, 0.5, 0.0)
    camera = Camera((2.0, 1.0, 1.25), orient(np.pi / 2, 0.0, 0.0), 48, 64)
    depth, seen, _ = trace(room, pack(room.parts), camera)
    focal = 518.86 / 640 * 64
    assert np.allclose(depth[seen == SHELL].min(), 2.5)
    assert np.allclose(depth[seen == 3], 5.0)
    floor = np.argwhere(seen == 4)
    np.testing.assert_allclose(depth[seen == 4], 1.25 * focal / (floor[:, 0] - 23.5), rtol=1e-4)
    left = np.argwhere(seen == 0)
    np.testing.assert_allclose(depth[seen == 0], 2.0 * focal / (31.5 - left[:, 1]), rtol=1e-4)
    front = (seen == SHELL) & np.isclose(depth, 2.5)
    assert abs(front.sum() / (focal / 2.5) ** 2 - 1) < 0.15


def test_holes_change_validity_alone(frames):
    holed = Rooms("train", None, holes=True, **SIZE)
    shares = []
    for i in range(2 * TYPES):
        sample = holed[i]
        assert torch.equal(sample.image, frames[i].image)
        assert torch.equal(sample.depth[sample.valid], frames[i].depth[sample.valid])
        assert (sample.depth[~sample.valid] == 0).all()
        shares.append(1 - sample.valid.float().mean().item())
    assert 0.05 < np.mean(shares) < 0.35
    assert np.std(shares) > 0.01
    assert max(shares) < 0.7


def test_fingerprint_covers_what_the_split_depends_on(tmp_path):
    plain_ = Rooms("train", None)
    assert Rooms("train", tmp_path, val=3, test=4).fingerprint() == plain_.fingerprint()
    changed = [{"train": 801}, {"height": 96}, {"width": 128}, {"seed": 1}, {"holes": True}]
    prints = {Rooms("train", None, **options).fingerprint() for options in changed}
    prints |= {plain_.fingerprint(), Rooms("val", None).fingerprint(), Rooms("test", None).fingerprint()}
    assert len(prints) == len(changed) + 3


@pytest.mark.parametrize("options", [{"train": 0}, {"val": -1}, {"test": 0}, {"height": 0}, {"width": 4}, {"seed": -1}])
def test_nonsense_is_refused_with_the_remedy(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}=.*set it to"):
        Rooms("train", None, **options)


def test_a_view_taller_than_wide_is_refused():
    with pytest.raises(ValueError, match="set height to 40 or less"):
        Rooms("train", None, height=64, width=32)


def test_the_contact_sheet_shows_every_frame_over_its_depth():
    page = np.asarray(sheet(Rooms("test", None, **SIZE), 0, 3, 2))
    assert page.shape == (2 * 54, 2 * 36, 3)
    assert (page[54:, 36:] == 255).all()


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match=r"'trian'.*train, val, test"):
        Rooms("trian", None)


def test_an_index_past_the_end_is_refused():
    rooms = Rooms("val", None, val=3, **SIZE)
    for index in (3, -1):
        with pytest.raises(IndexError, match="0 to 2"):
            rooms[index]
    assert len(rooms) == 3


def test_imports_go_from_places_to_furniture_to_scene_and_the_image_knows_the_scene_alone():
    below = {"scene": set(), "furniture": {"scene"}, "places": {"scene", "furniture"}, "image": {"scene"}}
    package = Path(cliffkit_rooms.__file__).parent
    for folder, allowed in below.items():
        for path in (package / folder).glob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
            used = {module.split(".")[1] for module in modules if module.startswith("cliffkit_rooms.")}
            assert used - {folder} <= allowed, path
