"""Several data sets in one: for training on all, each with its share, its range of depth and its scenes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, final

import torch

from cliffkit.errors import UserError
from cliffkit.interfaces import Dataset, Sample
from cliffkit_datasets.diode import DIODE
from cliffkit_datasets.files import named_folder
from cliffkit_datasets.h5 import H5
from cliffkit_datasets.hypersim import Hypersim
from cliffkit_datasets.kitti import KITTI
from cliffkit_datasets.mix_options import OfMembers
from cliffkit_datasets.nyu import NYU
from cliffkit_datasets.nyu_sync import NYUSync
from cliffkit_datasets.pairs import Pairs
from cliffkit_datasets.splits import check_split
from cliffkit_datasets.sunrgbd import SUNRGBD
from cliffkit_datasets.ultralytics import Ultralytics
from cliffkit_datasets.vkitti2 import VKITTI2

MEMBERS: Mapping[str, Any] = MappingProxyType(
    {
        "diode": DIODE,
        "h5": H5,
        "hypersim": Hypersim,
        "kitti": KITTI,
        "nyu": NYU,
        "nyu_sync": NYUSync,
        "pairs": Pairs,
        "sunrgbd": SUNRGBD,
        "ultralytics": Ultralytics,
        "vkitti2": VKITTI2,
    }
)
"""Data sets that a mix may have, by the names under which they are registered."""
HOLDS = "a folder, or a link to one, for each data set of the mix, under its name"


class _Member(NamedTuple):
    """A data set of the mix."""

    name: str
    data: Dataset
    chosen: tuple[int, ...]
    """Its images that are taken, ascending."""
    range_m: tuple[float, float]
    """Depths that are valid, metres."""
    first_type: int
    """Index of its first scene type in the mix."""


@final
class Mix(Dataset):
    """Data sets of this package together; the folder holds one for each, `mix/kitti`, or CLIFFKIT_DATA_KITTI names it.

    With `shares`, train and val have as many images as there can be in these shares, chosen by a fixed hash of their
    names; test has all. Images are named `kitti/...`; scene types are `nyu_sync/kitchen`, or `kitti` for a data set
    that has none. Images keep their sizes, and are resized as those of any data set.

    Raises UserError for unknown data sets, shares and ranges that are none, and whatever a data set raises.

    Options:
        shares: Data sets by name with their shares, as {nyu_sync: 2, kitti: 1}; empty for all images of all folders.
        ranges: Smallest and largest valid depth of a data set in metres, as {kitti: [0.5, 80]}.
        options: Options of a data set, as {kitti: {truth: raw}}.
    """

    def __init__(
        self,
        split: str,
        root: Path | None,
        *,
        shares: dict[str, float] = {},  # noqa: B006
        ranges: dict[str, tuple[float, float]] = {},  # noqa: B006
        options: Annotated[dict[str, dict[str, Any]], OfMembers(MEMBERS)] = {},  # noqa: B006
    ) -> None:
        check_split("mix", split)
        self._split, self._root, self._shares = split, named_folder("mix", root, HOLDS), dict(shares)
        names = list(shares) or [name for name in MEMBERS if (self._root / name).is_dir()]
        _check(names, shares, ranges, options, self._root)

        data = {name: self._open(name, options.get(name, {})) for name in names}
        chosen = self._choose(data)
        types: list[str] = []
        self._members: list[_Member] = []
        for name in names:
            low, high = ranges.get(name, (0.0, float("inf")))
            self._members.append(_Member(name, data[name], chosen[name], (low, high), len(types)))
            types += [f"{name}/{kind}" for kind in data[name].scene_types] or [name]
        self.scene_types = tuple(types)

    def _open(self, name: str, options: Mapping[str, Any]) -> Dataset:
        """Open one data set, from the folder of the mix or where its variable says. Raises UserError."""
        folder, variable = self._root / name, f"CLIFFKIT_DATA_{name.upper()}"
        if not folder.is_dir() and os.environ.get(variable):
            folder = Path(os.environ[variable])
        if not folder.is_dir():
            raise UserError(
                f"{folder}: there is no such folder; put {name}, or a link of that name to its folder, into "
                f"{self._root}, or let {variable} name the folder"
            )
        data: Dataset = MEMBERS[name](self._split, folder, **options)
        return data

    def _choose(self, data: Mapping[str, Dataset]) -> dict[str, tuple[int, ...]]:
        """Choose images of each data set, so that their numbers are in the shares."""
        if not self._shares or self._split == "test":
            return {name: tuple(range(len(images))) for name, images in data.items()}
        unit = min(len(images) / self._shares[name] for name, images in data.items())
        chosen = {}
        for name, images in data.items():
            count = max(1, int(self._shares[name] * unit + 1e-9))
            chosen[name] = tuple(sorted(_order(images)[:count]))
        return chosen

    def __len__(self) -> int:
        return sum(len(member.chosen) for member in self._members)

    def _find(self, index: int) -> tuple[_Member, int]:
        """Find the data set of an image, and its index there."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        for member in self._members:
            if index < len(member.chosen):
                break
            index -= len(member.chosen)
        return member, member.chosen[index]

    def __getitem__(self, index: int) -> Sample:
        """Read an image of one of the data sets, valid in that data set's range."""
        member, place = self._find(index)
        sample = member.data[place]
        low, high = member.range_m
        valid = sample.valid & (sample.depth >= low) & (sample.depth <= high)
        kinds = len(member.data.scene_types)
        scene = sample.scene if kinds else torch.zeros_like(sample.scene)
        return sample._replace(valid=valid, scene=torch.where(scene < 0, scene, scene + member.first_type))

    def name(self, index: int) -> str:
        """Give the image's name, behind that of its data set."""
        member, place = self._find(index)
        return f"{member.name}/{member.data.name(place)}"

    def dealt(self) -> str:
        """Say how many images of each data set there are."""
        counts = ", ".join(f"{len(m.chosen)} of {len(m.data)} of {m.name}" for m in self._members)
        return counts + ("; all, whatever their shares" if self._shares and self._split == "test" else "")

    def notes(self) -> Sequence[str]:
        """Give the notes of each data set, and its range."""
        said = [f"{m.name}: {note}" for m in self._members for note in m.data.notes()]
        ranges = [
            f"{m.name}: depth is valid from {m.range_m[0]:g} to {m.range_m[1]:g} m"
            for m in self._members
            if m.range_m != (0.0, float("inf"))
        ]
        customary = ", ".join(f"{m.name}: {m.data.protocol}" for m in self._members if m.data.protocol)
        return (*said, *ranges, *([f"protocols of the field differ ({customary})"] if customary else []))

    def fingerprint(self) -> str:
        """Hash the fingerprint of each data set, which of its images are taken, and its range."""
        facts = [(m.name, m.data.fingerprint(), m.chosen, m.range_m) for m in self._members]
        return blake2b(repr(("mix 1", facts)).encode(), digest_size=16).hexdigest()


def _order(data: Dataset) -> list[int]:
    """Give a data set's images in the order in which a share is taken, by a hash of their names."""
    return sorted(range(len(data)), key=lambda index: blake2b(data.name(index).encode(), digest_size=8).digest())


def _check(
    names: Sequence[str],
    shares: Mapping[str, float],
    ranges: Mapping[str, tuple[float, float]],
    options: Mapping[str, Mapping[str, Any]],
    root: Path,
) -> None:
    """Raise UserError for a mix of nothing, for unknown names, and for shares and ranges that are none."""
    if not names:
        raise UserError(f"{root}: holds no folder of a data set; put {HOLDS} there: {', '.join(MEMBERS)}")
    for name in names:
        if name not in MEMBERS:
            raise UserError(f"mix: there is no data set '{name}' to mix; there are {', '.join(MEMBERS)}")
    for name in [*ranges, *options]:
        if name not in names:
            raise UserError(f"mix: '{name}' has a range or options, and is not in the mix: {', '.join(names)}")
    for name, share in shares.items():
        if not 0 < share < float("inf"):
            raise UserError(f"mix: the share of {name} is {share}; give a number above 0, or leave {name} out")
    for name, (low, high) in ranges.items():
        if not 0 <= low < high:
            raise UserError(f"mix: the range of {name} is {low:g} to {high:g} m; give two depths, the smaller first")
