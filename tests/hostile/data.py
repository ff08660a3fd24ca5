"""Mutated files of data sets, read in a process of their own: what is read is right, or a message."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image

from cliffkit.components.load import load_plugins
from cliffkit.data.check import SPLITS, check_data
from cliffkit.errors import UserError
from cliffkit.interfaces import Sample
from cliffkit.recipe.check import check_part
from cliffkit.recipe.part import Part

from ..plugins.nyu_file import write_nyu
from .child import Child
from .kinds import Prepared
from .recipes import limited

CASES = 10_000

SECONDS = 10.0
"""Time of the processor in which a case must end."""


def prepare(folder: Path) -> Prepared:
    registry = load_plugins().registry
    folder = folder / "data"
    write_nyu(folder / "nyu")
    write_nyu(folder / "nyu_flat", chunk=0)
    _write_pairs(folder / "pairs")
    parts = {name: check_part("dataset", {"use": name}, registry, "hostile") for name in ("nyu", "pairs")}
    sources = [(parts["nyu"], folder / "nyu"), (parts["nyu"], folder / "nyu_flat"), (parts["pairs"], folder / "pairs")]
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]

    def case(number: int, random: Random) -> str | None:
        part, source = random.choice(sources)
        work = folder / f"case{number}"
        shutil.copytree(source, work)
        files = sorted(path for path in work.rglob("*") if path.is_file())
        spoilt = random.sample(files, random.choice((1, 1, 1, 2)))
        for path in spoilt:
            content = path.read_bytes()
            for _ in range(random.randint(1, 4)):
                content = random.choice(MUTATIONS)(content, random, contents)
            path.write_bytes(content)
        code, output = Child(lambda: _read(part, work)).end(60)
        if code != 0:
            return f"{', '.join(path.relative_to(folder).as_posix() for path in spoilt)}: {code}: {output[-2000:]}"
        shutil.rmtree(work)
        return None

    return Prepared(CASES, case)


def _write_pairs(root: Path) -> None:
    """Pairs in every form: rgb as PNG and JPEG, depth as PNG of 16 bits and as npy, with cameras."""
    for kind in ("rgb", "depth"):
        (root / kind).mkdir(parents=True)
    row, column = np.mgrid[:12, :16]
    lines = []
    for i, split in enumerate(("train", "train", "val", "test")):
        rgb, depth = root / f"rgb/{i}.{'jpg' if i % 2 else 'png'}", root / f"depth/{i}.{'npy' if i % 2 else 'png'}"
        Image.fromarray(np.stack([(row * 9 + column * 7 + 20 * i) % 256] * 3, axis=-1).astype(np.uint8)).save(rgb)
        millimetres = 1000 + 100 * i + 20 * row + 10 * column
        if depth.suffix == ".npy":
            np.save(depth, (millimetres / 1000).astype(np.float32))
        else:
            Image.fromarray(millimetres.astype(np.uint16)).save(depth)
        paths = {"rgb": rgb.relative_to(root).as_posix(), "depth": depth.relative_to(root).as_posix()}
        camera = {"fx": 20, "fy": 20, "cx": 8, "cy": 6}
        lines.append({**paths, "scene_id": f"s{i}", "scene_type": "den", "split": split, **camera})
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def _read(part: Part, root: Path) -> None:
    """As `cliffkit data check` reads, and every image of every split. Raises what is no UserError."""
    with limited(SECONDS):
        check_data(part, {part.component.name: root}, 100, lambda split, done, total: None)
        for split in SPLITS:
            try:
                dataset = part.build(split, root)
                samples = range(len(dataset))
            except UserError:
                continue
            for index in samples:
                try:
                    sample = dataset[index]
                except UserError:
                    continue
                _hold(sample, len(dataset.scene_types))


def _hold(sample: Sample, scene_types: int) -> None:
    """Assert what a sample promises."""
    (colours, *size), valid = sample.image.shape, sample.valid
    assert colours == 3, "three colours"
    assert sample.image.dtype == torch.uint8, "uint8"
    assert list(sample.depth.shape) == [1, *size] == list(valid.shape), "one size"
    assert sample.depth.dtype == torch.float32, "float32"
    assert valid.dtype == torch.bool, "bool"
    assert bool(sample.depth[valid].isfinite().all()), "finite depth"
    assert bool((sample.depth[valid] > 0).all()), "depth before the camera"
    assert -1 <= int(sample.scene) < scene_types, "a scene type that there is"


Mutation = Callable[[bytes, Random, "list[bytes]"], bytes]


def _range(content: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(content))
    return start, min(len(content), start + random.choice((1, 2, 8, 64, 1000)))


def _flip(content: bytes, random: Random, contents: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 3, 20)) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _fill(content: bytes, random: Random, contents: list[bytes]) -> bytes:
    start, stop = _range(content, random)
    return (
        content[:start] + random.choice((b"\0", b"\xff", b"\x7f", b"1", b",", b'"')) * (stop - start) + content[stop:]
    )


def _cut(content: bytes, random: Random, contents: list[bytes]) -> bytes:
    start, stop = _range(content, random)
    return random.choice((content[:start], content[start:], content[:start] + content[stop:], b""))


def _insert(content: bytes, random: Random, contents: list[bytes]) -> bytes:
    start, stop = _range(content, random)
    other = random.choice(contents)
    begin, end = _range(other, random)
    return (
        content[:start] + random.choice((content[start:stop], other[begin:end], random.randbytes(4))) + content[start:]
    )


def _swap(content: bytes, random: Random, contents: list[bytes]) -> bytes:
    return random.choice(contents)


MUTATIONS: tuple[Mutation, ...] = (_flip, _flip, _flip, _flip, _fill, _fill, _cut, _insert, _swap)
