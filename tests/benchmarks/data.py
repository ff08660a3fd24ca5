"""Waiting for data and memory: stage `depth` over packs in memory, and over one that is larger than what it may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Row, progress
from parts import NYU_SIZE, BareLoop, apart, engine_loop, random_pack, recipe, write_random_pack

from cliffkit.data.pack import Pack
from cliffkit.store.artifacts import FitFacts

NYU = ("cliff_hegS", "model.backbone.name=resnet18", NYU_SIZE, "train.depth.batch=8")
LIMIT_BYTES = 5 * 2**29
IMAGES = 12_000
"""At 228x304 they are 4.1 GB, 1.6 times what the process may use."""
STEPS = 80


def rows() -> list[Row]:
    """Shares of waiting, then memory."""
    found = []
    for name in ("cliff_hegR", "handbuilt_cliff_hegR"):
        progress(f"waiting, {name}")
        of = recipe(name)
        with random_pack(2000, of.data.engine["size"]) as pack:
            fitted = engine_loop(of, pack, pack, 300, 10, lambda steps: None)
        found.append(waiting(f"recipes/{name}, 2000 images", fitted))
    with TemporaryDirectory() as folder:
        progress("writing a large pack")
        large = write_random_pack(Path(folder) / "large", IMAGES, (228, 304))
        small = write_random_pack(Path(folder) / "small", 32, (228, 304))
        forget(large)
        progress("a pack larger than memory")
        fitted, peak = apart(limited_loop, large, small)
        progress("a bare loop's memory")
        _, least = apart(bare_loop, small)
    within = f"{IMAGES} images, 4.1 GB on disk, the process held to {LIMIT_BYTES / 2**30:.3g} GiB, page cache included"
    found.append(waiting(f"ResNet-18, HEG-S, 228x304, {within}", fitted))
    more = (peak - least) / 2**20
    figures = f"{peak / 2**20:.0f} against {least / 2**20:.0f} MiB, 4.1 GB of data against 11 MB"
    found.append(
        Row("peak memory of stage `depth`, the same", "bare loop, MiB more", more, (more, more), "<= 300", figures)
    )
    return found


def waiting(what: str, fitted: FitFacts) -> Row:
    """Its line."""
    share = fitted.waiting_s / fitted.seconds
    details = f"{fitted.waiting_s:.2g} of {fitted.seconds:.3g} s"
    return Row(f"waiting for data: {what}", "the whole stage", share, (share, share), "<= 0.02", details)


def limited_loop(large: Path, small: Path) -> FitFacts:
    """The engine's loop over a large pack, in a control group that holds it to LIMIT_BYTES, its page cache included."""
    with limited():
        of = recipe(*NYU)
        return engine_loop(of, Pack(large), Pack(small), STEPS, 10, lambda steps: None)


def bare_loop(small: Path) -> None:
    """A bare loop over a small pack."""
    of = recipe(*NYU)
    BareLoop(of, Pack(small)).steps(STEPS // 4)


@contextmanager
def limited() -> Iterator[None]:
    """Hold this process to LIMIT_BYTES. Raises OSError where no control group may be made; that needs root."""
    base = Path("/sys/fs/cgroup")
    old = (base / "memory").is_dir()  # version 1 has a folder per kind of limit
    root = base / "memory" if old else base
    group = root / "cliffkit-benchmark"
    group.mkdir(exist_ok=True)
    (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(LIMIT_BYTES))
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (root / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def forget(folder: Path) -> None:
    """Write a folder's files out and drop them from the page cache."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
