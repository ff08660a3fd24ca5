"""What layouts have in common: samples in files below a folder, of which a layout gives the list."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.images import read_rgb
from cliffkit.interfaces import Dataset, Sample
from cliffkit_datasets.files import digests
from cliffkit_datasets.samples import to_sample
from cliffkit_datasets.splits import check_shares, check_split, cut_by_scene

END_BYTES = 4096
"""Of every file of a large data set, so many of its first and last bytes enter the fingerprint."""

MOST_FAULTS = 20
MOST_NAMED = 5
LIMIT_M = 1000.0
"""Deeper than any sensor sees: what lies beyond was read in wrong units."""


class Frame(NamedTuple):
    """One sample of a layout."""

    name: str
    """Unique within the data set."""
    files: tuple[str, ...]
    """Paths below the folder: the image, the depth map, and whatever else a layout reads."""
    scene: str
    """Where the image was taken, never shared between splits; empty where the layout does not say."""
    scene_type: str = ""
    """Empty where the layout does not say."""
    place: str = ""
    """File and line that name the sample, for messages; empty where the folder itself does."""


class Listed(Dataset):
    """Samples in files below a folder. A layout lists them in `__init__`, calls `deal`, and reads in `read`."""

    layout: str
    """The name under which the data set is registered."""
    limit_m: float = LIMIT_M
    """Depth beyond which a file was read in wrong units, metres."""
    remedy: str = "take the files as published"
    """What helps where a file holds no depth in metres."""

    def __init__(self, split: str, root: Path) -> None:
        check_split(self.layout, split)
        self._split, self._root = split, root
        self._notes: list[str] = []

    @abstractmethod
    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read image (H, W, 3) and depth (H, W) in metres, 0 where there is none."""

    def camera(self, frame: Frame, size: tuple[int, int]) -> Sequence[float] | None:
        """Give fx, fy, cx, cy as `Sample.intrinsics` has them, of an image of (height, width); None where unknown."""
        return None

    def facts(self) -> Sequence[Any]:
        """Give what `read` depends on beside the files, as options, for the fingerprint."""
        return ()

    def deal(self, given: Mapping[str, Sequence[Frame]], val_share: float | None = None) -> None:
        """Take the frames of this split.

        `given` has the frames of each split as the layout publishes them. Validation is cut from train by scene,
        `val_share` of its images, where the layout has none.

        Raises UserError where splits share scenes or names, or a file of this split is missing.
        """
        given = {split: self._once(split, frames) for split, frames in given.items()}
        self._check_apart(given)
        everything = [frame for frames in given.values() for frame in frames]
        self.scene_types = tuple(sorted({frame.scene_type for frame in everything} - {""}))
        self._number = {name: i for i, name in enumerate(self.scene_types)}
        how = "as published"
        if val_share is not None and self._split != "test":
            given = {**given, **self._cut(given["train"], val_share)}
            how = f"val is {val_share:g} of the training images in whole scenes, cut by a hash of their names"
        self._frames = list(given.get(self._split, ()))
        if not self._frames:
            raise UserError(f"{self._root}: {self.layout} has no image of split {self._split}; {self.remedy}")
        self._dealt = f"{len({frame.scene for frame in self._frames})} scenes, {len(self._frames)} images; {how}"
        self._check_files()

    def _once(self, split: str, frames: Sequence[Frame]) -> list[Frame]:
        """Keep the first of frames of one name."""
        kept = {frame.name: frame for frame in reversed(frames)}
        if len(kept) < len(frames) and split == self._split:
            self._notes.append(f"{len(frames) - len(kept)} samples are listed more than once: each is taken once")
        return [frame for frame in dict.fromkeys(frames) if kept.get(frame.name) is frame]

    def _check_apart(self, given: Mapping[str, Sequence[Frame]]) -> None:
        """Raise UserError where two splits share a scene or a name."""
        for what in ("scene", "name"):
            owner: dict[str, str] = {}
            shared: dict[str, tuple[str, str]] = {}
            for split, frames in given.items():
                for text in {getattr(frame, what) for frame in frames} - {""}:
                    if owner.setdefault(text, split) != split:
                        shared[text] = (owner[text], split)
            if shared:
                named = ", ".join(sorted(shared)[:MOST_NAMED]) + (", ..." if len(shared) > MOST_NAMED else "")
                one, other = next(iter(shared.values()))
                raise UserError(
                    f"{self._root}: splits {one} and {other} of {self.layout} share {len(shared)} {what}s ({named}): "
                    f"scores would count what was trained on; take their lines out of one of the lists"
                )

    def _cut(self, frames: Sequence[Frame], val_share: float) -> dict[str, list[Frame]]:
        check_shares(self.layout, val_share=val_share)
        counts = Counter(frame.scene for frame in frames)
        if len(counts) < 2:
            raise UserError(
                f"{self._root}: all training images of {self.layout} are of one scene, nothing to cut val from; add "
                "scenes"
            )
        split_of = cut_by_scene(counts, {"val": val_share})
        return {split: [frame for frame in frames if split_of[frame.scene] == split] for split in ("train", "val")}

    def _check_files(self) -> None:
        """Raise UserError that names the first files of this split that are missing."""
        missing = [
            f"{frame.place or self._root / path} {path} does not exist"
            if frame.place
            else f"{self._root / path}: does not exist"
            for frame in self._frames
            for path in frame.files
            if not (self._root / path).is_file()
        ]
        if missing:
            more = [f"and {len(missing) - MOST_FAULTS} more files"] if len(missing) > MOST_FAULTS else []
            remedy = f"put them below {self._root}, or take their lines out of the list"
            raise UserError("\n".join([*missing[:MOST_FAULTS], *more, remedy]))

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        """Read the index-th image with its depth. Raises UserError for a file that is no image or no depth."""
        frame = self._frames[index]
        image, depth_m = self.read(frame)
        place = self.place(frame, 1)
        if image.shape[:2] != depth_m.shape:
            raise UserError(
                f"{place} is {depth_m.shape[1]} x {depth_m.shape[0]} pixels, its image {image.shape[1]} x "
                f"{image.shape[0]}; {self.remedy}"
            )
        return to_sample(
            image.transpose(2, 0, 1),
            depth_m,
            self._number.get(frame.scene_type, -1),
            self.camera(frame, depth_m.shape),
            place=place,
            limit_m=self.limit_m,
            remedy=self.remedy,
        )

    def place(self, frame: Frame, file: int) -> str:
        """Name a file of a frame, the last where it has fewer, for messages."""
        return f"{self._root / frame.files[min(file, len(frame.files) - 1)]}:"

    def read_image(self, frame: Frame) -> NDArray[np.uint8]:
        """Read the image of a frame, (H, W, 3) RGB."""
        return read_rgb(self._root / frame.files[0], self.place(frame, 0))

    def name(self, index: int) -> str:
        """Give the path of the image, without its suffix, or what else the layout calls it."""
        return self._frames[index].name

    def dealt(self) -> str:
        """Say of how many scenes this split is, and by what it was chosen."""
        return self._dealt

    def notes(self) -> Sequence[str]:
        """Name the traps of the layout that this split has, and how they are handled."""
        return tuple(self._notes)

    def fingerprint(self) -> str:
        """Hash names, scenes and scene types, the files' contents, and options.

        Files are hashed whole where they come to less than 256 MiB together, else by size and their first and last
        4 KiB. Of paths only names count.
        """
        seen = blake2b(repr((self.layout, 1, self.scene_types, *self.facts())).encode(), digest_size=16)
        files = [path for frame in self._frames for path in frame.files]
        hashes = iter(digests([self._root / path for path in files], END_BYTES))
        for frame in self._frames:
            seen.update(repr((frame.name, frame.scene, frame.scene_type)).encode())
            for _ in frame.files:
                seen.update(next(hashes))
        return seen.hexdigest()
