from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cliffkit.data import read
from cliffkit.data.pack import Pack, _map, _median, write_pack
from cliffkit.data.read import read_sample
from cliffkit.data.resize import at_training_size, resize_image
from cliffkit.errors import UserError
from cliffkit.interfaces import Sample

from ..engine_fixtures import Tiny, packed

ROOT = Path(__file__).parents[2]


def sample_of(depth: np.ndarray, valid: np.ndarray | None = None) -> Sample:
    """A sample of a depth map (H, W), grey."""
    valid = np.ones_like(depth, dtype=bool) if valid is None else valid
    image = torch.full((3, *depth.shape), 128, dtype=torch.uint8)
    return Sample(image, torch.from_numpy(depth)[None], torch.from_numpy(valid)[None], torch.tensor(-1))


class Maps(Tiny):
    """Depth maps given as arrays."""

    def __init__(self, maps: list[np.ndarray]) -> None:
        super().__init__(count=len(maps))
        self.maps = maps

    def __getitem__(self, index: int) -> Sample:
        return sample_of(self.maps[index])


class Known(Tiny):
    """Images with extras, every other one with its camera, which looks through pixels at their centres."""

    def __getitem__(self, index: int) -> Sample:
        sample, (height, width) = super().__getitem__(index), self.size
        part = torch.arange(height * width).reshape(1, height, width) + index
        where = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float() + 0.5
        extras = {"part": part, "where": where, "edge": part % 3 == 0, "pose": torch.eye(4) * index}
        extras["time_s"] = torch.tensor(index / 10)
        camera = None if index % 2 else torch.tensor([20.0 + index, 25.0, 7.5, 6.25])
        return sample._replace(intrinsics=camera, extras=extras)


@pytest.mark.parametrize("top_m", [0.4, 10.0, 85.0, 400.0])
def test_depth_keeps_its_documented_error_bound_and_validity_is_kept_exactly(tmp_path: Path, top_m: float) -> None:
    data = Tiny(count=12, top_m=top_m)  # 85 m: KITTI, beyond what 16 bits of millimetres hold
    batch = packed(data, tmp_path / "pack").batch(np.arange(12))
    for i in range(12):
        truth = data[i]
        assert torch.equal(batch.valid[i], truth.valid)
        deepest = truth.depth[truth.valid].max()
        error = (batch.depth[i] - truth.depth)[truth.valid].abs().max()
        # the bound and the rounding of float32
        assert error <= deepest * (1 / 131070 + 2**-23)
        assert torch.equal(batch.depth[i][truth.valid].max(), deepest)
        assert torch.equal(batch.image[i], truth.image)
        assert batch.scene[i] == truth.scene
    assert batch.depth.isfinite().all(), "the NaN under invalid pixels stays out"
    assert top_m < 65.5 or batch.depth.max() > 65.5


def test_the_error_bound_holds_for_near_and_far_in_one_image(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    maps = [np.exp(random.uniform(np.log(0.02), np.log(1000), (6, 7))).astype(np.float32) for _ in range(60)]
    batch = packed(Maps(maps), tmp_path / "pack", (6, 7)).batch(np.arange(60))
    assert batch.valid.all(), "however near, a valid pixel is not taken for a hole"
    for depth, stored in zip(maps, batch.depth.numpy()[:, 0], strict=True):
        assert np.abs(stored.astype(np.float64) - depth).max() <= depth.max() * (1 / 131070 + 2**-23)


def test_a_batch_gathers_in_the_order_asked_for_and_repeats(tmp_path: Path) -> None:
    pack = packed(Tiny(), tmp_path / "pack")
    batch = pack.batch(np.array([7, 2, 7]))
    assert torch.equal(batch.image, torch.stack([Tiny()[i].image for i in (7, 2, 7)]))
    batch.image.zero_()  # a copy: the pack is not changed through it
    assert torch.equal(pack.batch(np.array([2])).image[0], Tiny()[2].image)


def test_crop_is_the_centre_456x608_of_480x640_at_095() -> None:
    row, column = np.mgrid[:480, :640].astype(np.float32)
    same = at_training_size(sample_of(row * 1000 + column + 1), (456, 608), 0.95)
    assert torch.equal(same.depth[0], torch.from_numpy(row * 1000 + column + 1)[12:468, 16:624])
    half = at_training_size(sample_of(row * 1000 + column + 1), (228, 304), 0.95)
    # at half scale each pixel is one of the four under it
    assert torch.equal(half.depth[0], torch.from_numpy(row * 1000 + column + 1)[13:468:2, 17:624:2])


@pytest.mark.parametrize(("size", "crop"), [((7, 9), 1.0), ((30, 40), 1.0), ((11, 31), 0.6), ((1, 1), 0.3)])
def test_resizing_invents_no_depth_and_takes_validity_from_the_same_pixel(size: tuple[int, int], crop: float) -> None:
    truth = Tiny(height=19, width=23)[5]
    small = at_training_size(truth, size, crop)
    assert small.depth.shape == small.valid.shape == (1, *size)
    assert small.image.shape == (3, *size)
    seen = set(truth.depth[truth.valid].tolist())
    assert set(small.depth[small.valid].tolist()) <= seen
    assert small.depth[~small.valid].isnan().all(), "a hole stays a hole: depth and validity move together"


@pytest.mark.parametrize(("size", "crop"), [((7, 9), 1.0), ((30, 40), 1.0), ((11, 31), 0.6), ((1, 1), 0.3)])
def test_maps_are_taken_from_the_pixels_that_torch_takes_them_from_where_these_have_depth(
    size: tuple[int, int], crop: float
) -> None:
    truth = Known(height=19, width=23)[2]
    height, width = round(19 * crop), round(23 * crop)
    top, left = (19 - height) // 2, (23 - width) // 2
    small = at_training_size(truth, size, crop)
    window = truth.valid[:, top : top + height, left : left + width]
    known = F.interpolate(window[None].double(), size, mode="nearest-exact")[0] > 0
    assert bool(small.valid[known].all())
    for name in ("part", "edge"):
        window = truth.extras[name][:, top : top + height, left : left + width]
        expected = F.interpolate(window[None].double(), size, mode="nearest-exact")[0]
        assert torch.equal(small.extras[name][known].double(), expected[known])
        assert small.extras[name].dtype == truth.extras[name].dtype
    assert torch.equal(small.depth.nan_to_num(), truth.depth.flatten()[small.extras["part"] - 2].nan_to_num())
    assert torch.equal(small.valid, truth.valid.flatten()[small.extras["part"] - 2])
    assert torch.equal(small.extras["pose"], truth.extras["pose"]), "what is no map is carried as it is"


@pytest.mark.parametrize(("size", "crop"), [((7, 9), 1.0), ((30, 40), 1.0), ((11, 31), 0.6), ((19, 23), 1.0)])
def test_a_camera_sees_the_same_rays_after_cropping_and_resizing(size: tuple[int, int], crop: float) -> None:
    truth = Known(height=19, width=23)[0]  # without a hole
    small = at_training_size(truth, size, crop)
    (fx, fy, cx, cy), (gx, gy, dx, dy) = truth.intrinsics.tolist(), small.intrinsics.tolist()
    row, column = small.extras["where"]  # of the pixel that each was taken from, in the full image
    down, across = torch.arange(size[0])[:, None] + 0.5, torch.arange(size[1]) + 0.5
    # a pixel lies somewhere in the one that it was taken from, so at most half of that one's side off its centre
    assert ((across - dx) / gx - (column - cx) / fx).abs().max() <= 0.5 / fx + 1e-6
    assert ((down - dy) / gy - (row - cy) / fy).abs().max() <= 0.5 / fy + 1e-6
    assert ((across - dx) / gx - (column - cx) / fx).mean().abs() < 0.05 / fx, "none to one side"
    assert at_training_size(Known()[1], size, crop).intrinsics is None


def test_resizing_an_image_averages_it_and_keeps_a_constant() -> None:
    stripes = torch.tensor([0, 0, 150], dtype=torch.uint8).repeat(1, 3, 30, 10)
    inner = resize_image(stripes, (10, 10))[..., 1:-1]  # each pixel's centre lies on a dark stripe
    assert (inner.float() - 50).abs().max() < 20, "without antialiasing it would be 0"
    assert torch.equal(
        resize_image(torch.full((1, 3, 9, 9), 77, dtype=torch.uint8), (4, 13)).unique(), torch.tensor([77])
    )


def test_cameras_and_extras_are_packed(tmp_path: Path) -> None:
    data = Known(height=19, width=23)
    batch = packed(data, tmp_path / "pack", (11, 13), 0.9).batch(np.array([4, 1, 6]))
    for k, i in enumerate((4, 1, 6)):
        small = at_training_size(data[i], (11, 13), 0.9)
        assert small.extras.keys() == batch.extras.keys() == {"part", "where", "edge", "pose", "time_s"}
        for name, extra in small.extras.items():
            assert torch.equal(batch.extras[name][k], extra)
            assert batch.extras[name].dtype == extra.dtype
    assert batch.intrinsics[1].isnan().all(), "an unknown camera among known ones"
    assert torch.equal(batch.intrinsics[2], at_training_size(data[6], (11, 13), 0.9).intrinsics)
    assert packed(Tiny(), tmp_path / "tiny").batch(np.array([0])).intrinsics is None


class Changed(Known):
    """One of the images is unlike the others."""

    def __init__(self, index: int, **changes: Any) -> None:
        super().__init__()
        self.index, self.changes = index, changes

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return sample._replace(**self.changes) if index == self.index else sample


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Changed(3, scene=torch.tensor(3)), "tiny/train/3: scene is 3, and the data set names 3 scene types; write an"),
        (Changed(3, scene=torch.tensor(-2)), "tiny/train/3: scene is -2"),
        (Changed(5, extras={}), "tiny/train/5: extras are none, and .*'part'.* with the first image; give every image"),
        (Changed(0, extras={}), "tiny/train/1: extras are .*'part'.*, and none with the first image"),
        (Changed(2, extras={**Known()[2].extras, "pose": torch.eye(3)}), "tiny/train/2: extras are .*'pose'"),
        (Changed(0, extras={"depth": torch.ones(1)}), "an extra 'depth'; call it by a name of letters"),
        (Changed(0, extras={"../x": torch.ones(1)}), r"an extra '\.\./x'; call it by a name of letters"),
    ],
    ids=["no such scene", "negative scene", "no extras", "extras", "another shape", "a sample's own name", "a path"],
)
def test_an_image_that_is_not_what_a_sample_promises_is_named(tmp_path: Path, data: Tiny, message: str) -> None:
    with pytest.raises(UserError, match=message):
        packed(data, tmp_path / "pack")


def test_images_without_depth_are_packed_and_counted(tmp_path: Path) -> None:
    pack = packed(Tiny(empty=(0, 4)), tmp_path / "pack")
    batch = pack.batch(np.array([0, 1, 4]))
    assert batch.valid.flatten(1).any(1).tolist() == [False, True, False]
    assert batch.depth[0].abs().max() == 0
    assert torch.equal(batch.image[0], Tiny()[0].image)
    assert pack.facts.without_depth == 2
    assert pack.facts.images == len(pack) == 12
    assert pack.facts.scene_types == ("hall", "den", "loft")
    share = torch.stack([Tiny(empty=(0, 4))[i].valid for i in range(12)]).float().mean()
    assert pack.facts.valid_share == pytest.approx(float(share), abs=1e-6)


def test_no_depth_at_all_and_an_unreadable_image_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image of the split has a pixel with a valid depth"):
        packed(Tiny(count=2, empty=(0, 1)), tmp_path / "none")
    with pytest.raises(UserError, match=r"tiny/train/3: the file is cut off"):
        packed(Tiny(broken=3), tmp_path / "broken")
    with pytest.raises(UserError, match=r"tiny/train/3: the file is cut off"):
        read_sample(Tiny(broken=3), 3)


@pytest.mark.parametrize("top_m", [0.4, 10.0, 85.0])
def test_the_median_is_that_of_the_packed_depth_to_a_tenth_of_a_millimetre(tmp_path: Path, top_m: float) -> None:
    pack = packed(Tiny(count=31, top_m=top_m), tmp_path / "pack")
    batch = pack.batch(np.arange(31))
    values = batch.depth[batch.valid].numpy().astype(np.float64)
    assert pack.facts.median_m == pytest.approx(np.median(values), abs=1e-4)
    assert pack.facts.median_m != pytest.approx(values.mean(), abs=1e-3), "this depth tells the two apart"


def test_progress_reaches_the_number_of_images(tmp_path: Path) -> None:
    told: list[int] = []
    write_pack(Tiny(count=70), tmp_path / "pack", (6, 8), 1.0, told.append)
    assert told == [12, 24, 36, 48, 60, 70]


def test_several_processes_write_the_same_bytes_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # where the other processes find the class Known
    data = Known(count=140, empty=(1, 100))
    written: dict[int, dict[str, bytes]] = {}
    for processors in (1, 2):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=processors: set(range(n)))
        folder = tmp_path / str(processors)
        write_pack(data, folder, (6, 8), 0.9, lambda done: None)
        written[processors] = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    assert written[1] == written[2]
    small = [at_training_size(data[i], (6, 8), 0.9) for i in range(140)]
    assert json.loads(written[1]["meta.json"])["without_depth"] == sum(not sample.valid.any() for sample in small)
    assert torch.equal(Pack(tmp_path / "2").batch(np.array([139])).image[0], small[139].image)


def test_a_pack_that_was_cut_short_is_named(tmp_path: Path) -> None:
    packed(Tiny(count=3), tmp_path / "pack")
    image = tmp_path / "pack" / "image.npy"
    os.truncate(image, image.stat().st_size - 1)
    with pytest.raises(UserError, match=r"image\.npy: is damaged, .*; delete .* and run again"):
        Pack(tmp_path / "pack")


def test_a_part_of_a_pack_has_its_images_in_their_order(tmp_path: Path) -> None:
    whole = packed(Tiny(count=7), tmp_path / "pack")
    part = whole.only(np.array([5, 2, 3])).only(np.array([2, 0]))
    assert (len(part), len(whole)) == (2, 7)
    assert part.scenes().tolist() == whole.scenes()[[3, 5]].tolist()
    ours, theirs = part.batch(np.array([1, 0])), whole.batch(np.array([5, 3]))
    assert all(torch.equal(tensor, theirs.tensors()[name]) for name, tensor in ours.tensors().items())


def test_the_median_of_depth_far_beyond_a_room_takes_bounded_memory():
    random = np.random.default_rng(0)
    depth = random.integers(1, 65536, (3, 1, 20, 30), dtype=np.uint16)
    for top in (10.0, 999.0, 1e9):
        metres = np.full(3, top / 65535, np.float32)
        exact = np.median(depth * metres[:, None, None, None])
        assert _median(depth, metres) == pytest.approx(exact, rel=1e-3)


def test_a_full_disk_is_a_message_before_anything_is_mapped_and_the_next_attempt_ends_in_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, folder = Tiny(), tmp_path / "pack"
    packed(data, tmp_path / "unbroken")

    def no_room(file: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(UserError) as error:
            packed(data, folder)
    image_bytes = 12 * 3 * 12 * 16
    assert f"image.npy: cannot be written: No space left on device: {image_bytes:,} bytes needed, " in str(error.value)
    assert str(error.value).endswith(" bytes free; make room, and run again")
    packed(data, folder)
    written = {path.name: path.read_bytes() for path in (tmp_path / "unbroken").iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == written


def test_arrays_have_their_room_on_the_disk_before_they_are_filled(tmp_path: Path) -> None:
    _map(tmp_path / "image.npy", np.dtype(np.uint8), (100, 1000))
    status = (tmp_path / "image.npy").stat()
    assert status.st_blocks * 512 >= status.st_size >= 100_000


def test_images_are_read_here_where_the_system_gives_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_semaphore(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as with a full /dev/shm

    packed(Tiny(), tmp_path / "one")
    monkeypatch.setattr(read, "IMAGES_PER_PROCESS", 1)
    monkeypatch.setattr(read, "available_cores", lambda: 2)
    monkeypatch.setattr(read, "ProcessPoolExecutor", no_semaphore)
    packed(Tiny(), tmp_path / "two")
    assert (tmp_path / "one" / "depth.npy").read_bytes() == (tmp_path / "two" / "depth.npy").read_bytes()


class Deadly(Tiny):
    """Its last image ends the process that reads it, as a crash within a library does."""

    def __getitem__(self, index: int) -> Sample:
        if index == self.count - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_a_process_that_dies_while_it_reads_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "IMAGES_PER_PROCESS", 1)
    monkeypatch.setattr(read, "available_cores", lambda: 2)
    with pytest.raises(UserError, match="a process that reads images was killed"):
        packed(Deadly(), tmp_path / "pack")
