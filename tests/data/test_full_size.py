"""Test images that are drawn or decoded once are the data set's own, to the bit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from cliffkit.data.full_size import FullSize, bytes_of, write_full_size
from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit_rooms.dataset import Rooms

from ..engine_fixtures import Tiny


class Mixed(Tiny):
    """Images of three sizes, one of them with an odd number of pixels; a camera for some, an extra for all."""

    def __getitem__(self, index: int) -> Sample:
        self.size = ((12, 16), (9, 13), (16, 12))[index % 3]
        camera = torch.tensor([10.0 + index, 11.0, 8.0, 6.0]) if index % 2 else None
        return super().__getitem__(index)._replace(intrinsics=camera, extras={"edges": torch.zeros(1, *self.size)})


class Wrong(Tiny):
    """One image is not what a sample promises."""

    def __init__(self, **field: Any) -> None:
        super().__init__("test", count=3)
        self.field = field

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return sample._replace(**self.field) if index == 1 else sample


def written(dataset: Dataset, folder: Path) -> FullSize:
    write_full_size(dataset, folder, lambda done: None)
    return FullSize(folder)


def equal(one: Sample, other: Sample) -> bool:
    """Whether all of both but the extras have the same bits, NaN and what stands in holes included."""
    a, b = one._replace(extras={}).tensors(), other._replace(extras={}).tensors()
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype
        and a[name].shape == b[name].shape
        and a[name].numpy().tobytes() == b[name].numpy().tobytes()
        for name in a
    )


@pytest.mark.parametrize(
    "dataset",
    [
        Mixed("test", count=7),
        Tiny("test", empty=(2,)),
        Rooms("test", None, test=3, height=48, width=64, holes=True),
        Mixed("test", count=130),  # as many as two processes read, where there are two cores
    ],
    ids=["sizes and cameras", "an image without depth", "rooms", "many"],
)
def test_samples_are_those_of_the_data_set_to_the_bit(tmp_path: Path, dataset: Dataset) -> None:
    read = written(dataset, tmp_path)
    assert len(read) == len(dataset)
    for index in range(len(dataset)):
        assert equal(read[index], dataset[index]), index
        assert not read[index].extras
        assert read.name(index) == dataset.name(index)
    assert (read.fingerprint(), tuple(read.scene_types)) == (dataset.fingerprint(), tuple(dataset.scene_types))
    assert equal(pickle.loads(pickle.dumps(read))[1], dataset[1]), "other processes can read it"


def test_a_file_holds_what_its_images_take(tmp_path: Path) -> None:
    written(Mixed("test", count=3), tmp_path)
    sizes = ((12, 16), (9, 13), (16, 12))
    assert (tmp_path / "pixels.bin").stat().st_size == sum(bytes_of(*size) for size in sizes)


def test_progress_is_told_and_every_image_is_counted(tmp_path: Path) -> None:
    told: list[int] = []
    write_full_size(Tiny("test", count=30), tmp_path, told.append)
    assert told == [12, 24, 30]


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    read = written(Tiny("test", count=3), tmp_path)
    with (tmp_path / "pixels.bin").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 1)
    assert equal(read[1], Tiny("test", count=3)[1])
    with pytest.raises(UserError, match=r"pixels\.bin: is cut off"):
        read[2]
    (tmp_path / "index.npy").write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"index\.npy: is damaged"):
        FullSize(tmp_path)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"depth": torch.ones(1, 12, 16, dtype=torch.float64)}, r"depth is \(1, 12, 16\) torch.float64, expected"),
        ({"valid": torch.ones(12, 16, dtype=torch.bool)}, r"valid is \(12, 16\) torch.bool, expected \(1, 12, 16\)"),
        ({"image": torch.zeros(3, 12, 16)}, r"image is \(3, 12, 16\) torch.float32, expected"),
        ({"scene": torch.tensor(3)}, "scene is 3, and the data set names 3 scene types"),
    ],
)
def test_a_sample_that_is_none_is_refused_by_its_name(tmp_path: Path, field: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"tiny/test/1: {message}"):
        written(Wrong(**field), tmp_path)
