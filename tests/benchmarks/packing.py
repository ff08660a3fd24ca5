"""Packing NYU-Depth V2 and reading from the pack, against h5py on a file of the published layout."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import scipy.io
import torch
from harness import Row, paired, progress, quartiles, row
from torch.nn import functional as F

from cliffkit.data.pack import Pack, write_pack
from cliffkit.data.resize import at_training_size
from cliffkit.interfaces import Sample
from cliffkit_datasets.nyu import NYU

SIZE, CROP = (228, 304), 0.95
IMAGES, DISTINCT = 168, 24
HEIGHT, WIDTH = 480, 640
REPEATS = 2
READS = 12


def rows() -> list[Row]:
    """One sample in no order, a whole pass of packing, and how busy the cores were meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress(f"packing: a file of {IMAGES} images")
        _write(folder)
        data = NYU("train", folder)
        cores = os.sched_getaffinity(0)
        busy = []
        for k in range(REPEATS):
            progress(f"packing: turn {k + 1} of {REPEATS}")
            started, used = time.perf_counter(), _processor_seconds()
            write_pack(data, folder / "pack", SIZE, CROP, lambda done: None)
            busy.append((_processor_seconds() - used) / (time.perf_counter() - started))
        os.sched_setaffinity(0, {min(cores)})
        passes = paired(
            lambda: write_pack(data, folder / "pack", SIZE, CROP, lambda done: None),
            lambda: _decompress(folder, len(data)),
            REPEATS,
            warmup=0,
        )
        os.sched_setaffinity(0, cores)
        pack = Pack(folder / "pack")
        order = np.random.default_rng(0).permutation(len(data))[:READS]
        reads = paired(partial(_from_pack, pack, order), partial(_from_mat, folder, order), REPEATS)
    size = f"{SIZE[0]}x{SIZE[1]}"
    return [
        row(f"one sample at {size} from the pack, in no order", "from the .mat by h5py, cropped and resized",
            [(a / READS, b / READS) for a, b in reads], ">= 50", f"{READS} samples a turn"),
        row(f"packing {len(data)} images, one core", "only reading the same chunks by h5py, in order", passes, "",
            unit="s"),
        Row(f"packing with {len(cores)} cores: processor time over time", "", median(busy), quartiles(busy), "",
            "starting the processes included"),
    ]  # fmt: skip


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _write(folder: Path) -> None:
    """As published: axes reversed, gzip with shuffled bytes, chunks of a few images' tiles."""
    rng = np.random.default_rng(0)
    smooth = F.interpolate(
        torch.from_numpy(rng.uniform(1, 8, (DISTINCT, 4, 20, 15)).astype(np.float32)), (WIDTH, HEIGHT), mode="bicubic"
    ).numpy()
    depth = smooth[:, 0].clip(0.7, 9.9)
    image = (smooth[:, 1:] * 28 + rng.normal(0, 4, smooth[:, 1:].shape)).clip(0, 255).astype(np.uint8)
    arrays: dict[str, Any] = {"images": (image, (6, 1, 80, 120)), "depths": (depth.round(3), (3, 80, 60))}
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        for name, (values, chunks) in arrays.items():
            shape = (IMAGES, *values.shape[1:])
            into = file.create_dataset(
                name, shape, values.dtype, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True
            )
            for start in range(0, IMAGES, DISTINCT):
                into[start : start + DISTINCT] = values
        for name, texts in (
            ("scenes", [f"room_{i // 4:04d}" for i in range(IMAGES)]),
            ("sceneTypes", ["room"] * IMAGES),
        ):
            references = file.create_dataset(name, (1, IMAGES), dtype=h5py.ref_dtype)
            for i, text in enumerate(texts):
                codes = np.array([[ord(letter)] for letter in text], np.uint16)
                references[0, i] = file.create_dataset(f"#refs#/{name}{i}", data=codes).ref
    train = np.arange(1, IMAGES - 3)[:, None].astype(np.uint16)
    test = np.arange(IMAGES - 3, IMAGES + 1)[:, None].astype(np.uint16)
    scipy.io.savemat(folder / "splits.mat", {"trainNdxs": train, "testNdxs": test})


def _decompress(folder: Path, count: int) -> None:
    """Every chunk of the first `count` images once, in order, and nothing else."""
    with h5py.File(folder / "nyu_depth_v2_labeled.mat") as file:
        for start in range(0, count, 6):
            for name in ("images", "depths"):
                file[name][start : start + 6]


def _from_pack(pack: Pack, order: np.ndarray[Any, Any]) -> None:
    for index in order:
        pack.batch(index[None])


def _from_mat(folder: Path, order: np.ndarray[Any, Any]) -> None:
    """What a data set does that has no pack."""
    with h5py.File(folder / "nyu_depth_v2_labeled.mat") as file:
        for index in order:
            image = torch.from_numpy(file["images"][index].transpose(0, 2, 1).copy())
            depth = torch.from_numpy(file["depths"][index].T.copy())[None]
            at_training_size(Sample(image, depth, depth > 0, torch.tensor(0)), SIZE, CROP)
