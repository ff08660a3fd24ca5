"""Checks of data sets."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import torch

from cliffkit.interfaces import Dataset, Sample
from cliffkit.testing.common import expect


def check_dataset(make: Callable[[str], Dataset]) -> None:
    """Check a data set: `make(split)` for the splits train, val and test, the root bound already."""
    splits = {split: make(split) for split in ("train", "val", "test")}
    names: dict[str, str] = {}
    fingerprints: dict[str, str] = {}
    for split, data in splits.items():
        subject = f"{type(data).__name__} {split}"
        expect(isinstance(data, Dataset), f"{subject}: is no cliffkit.interfaces.Dataset")
        expect(len(data) > 0, f"{subject}: holds no image")
        expect(
            list(data.scene_types) == list(splits["train"].scene_types),
            f"{subject}: scene types are {list(data.scene_types)}, in train {list(splits['train'].scene_types)}",
        )
        for index in sorted({0, len(data) // 2, len(data) - 1}):
            _check_sample(f"{subject}[{index}]", data[index], len(data.scene_types))
        for index in range(len(data)):
            name = data.name(index)
            expect(isinstance(name, str) and bool(name), f"{subject}: name({index}) is {name!r}, expected a string")
            expect(name not in names, f"{subject}: name({index}) is '{name}', as is an image of {names.get(name)}")
            names[name] = split
        notes = data.notes()
        expect(
            isinstance(data.protocol, str) and not isinstance(notes, str) and all(isinstance(n, str) for n in notes),
            f"{subject}: protocol is {data.protocol!r} and notes() {notes!r}, expected a string and several",
        )
        again = make(split)
        fingerprint = data.fingerprint()
        expect(
            isinstance(fingerprint, str) and fingerprint == again.fingerprint(),
            f"{subject}: two instances have the fingerprints {fingerprint!r} and {again.fingerprint()!r}",
        )
        expect(
            fingerprint not in fingerprints,
            f"{subject}: the fingerprint is also that of {fingerprints.get(fingerprint)}",
        )
        fingerprints[fingerprint] = split
        try:
            unpickled = pickle.loads(pickle.dumps(data))
        except Exception as error:  # whatever its parts raise
            raise AssertionError(f"{subject}: cannot be pickled, as workers need it: {error}") from error
        for which, copy in (("read again", data), ("built again", again), ("unpickled", unpickled)):
            expect(_same(copy[0], data[0]), f"{subject}[0]: differs when {which}")


def _check_sample(subject: str, sample: Sample, scene_types: int) -> None:
    expect(isinstance(sample, Sample), f"{subject}: is a {type(sample).__name__}, expected a Sample")
    height, width = sample.image.shape[-2:]
    for field, tensor, shape, dtype in (
        ("image", sample.image, (3, height, width), torch.uint8),
        ("depth", sample.depth, (1, height, width), torch.float32),
        ("valid", sample.valid, (1, height, width), torch.bool),
        ("scene", sample.scene, (), torch.int64),
    ):
        expect(
            tuple(tensor.shape) == shape and tensor.dtype == dtype,
            f"{subject}: {field} is {tuple(tensor.shape)} {tensor.dtype}, expected {shape} {dtype}",
        )
    camera = sample.intrinsics
    expect(
        camera is None or (tuple(camera.shape) == (4,) and camera.dtype == torch.float32 and bool((camera > 0).all())),
        f"{subject}: intrinsics are {camera}, expected 4 positive float32 numbers, fx, fy, cx, cy in pixels, or None",
    )
    depth = sample.depth[sample.valid]
    expect(bool((depth.isfinite() & (depth > 0)).all()), f"{subject}: a valid depth is not a positive number of metres")
    expect(
        -1 <= int(sample.scene) < scene_types,
        f"{subject}: scene is {int(sample.scene)}, expected an index into {scene_types} scene types, or -1",
    )


def _same(a: Sample, b: Sample) -> bool:
    """Equal to the bit, NaN included."""
    one, other = a.tensors(), b.tensors()
    return one.keys() == other.keys() and all(
        torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one
    )
