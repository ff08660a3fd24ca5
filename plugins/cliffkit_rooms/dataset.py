"""The data set `rooms`: splits, seeds and names around the renderer."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from cliffkit.interfaces import Dataset, Sample
from cliffkit_rooms.places.kinds import SCENE_TYPES
from cliffkit_rooms.render import VERSION, render

SPLITS = ("train", "val", "test")


class Rooms(Dataset):
    """Procedural indoor scenes of fifteen types, rendered when asked for: RGB with true depth in 0.5 to 10 m.

    Every frame is a room of its own, and more frames leave the earlier ones as they are. `root` is not used.

    Raises ValueError for an unknown split, for options below their least value and for a view taller than wide.

    Options:
        train: Number of frames of the training split.
        val: Number of frames of the validation split.
        test: Number of frames of the test split.
        height: Height of a frame, in pixels.
        width: Width of a frame, in pixels.
        seed: Seed of all rooms; other seeds share no frame.
        holes: Whether the depth that a structured-light sensor would miss is invalid.
    """

    scene_types = SCENE_TYPES

    def __init__(
        self,
        split: str,
        root: Path | None,
        *,
        train: int = 800,
        val: int = 100,
        test: int = 100,
        height: int = 120,
        width: int = 160,
        seed: int = 0,
        holes: bool = False,
    ):
        if split not in SPLITS:
            raise ValueError(f"rooms has no split {split!r}: use one of {', '.join(SPLITS)}")
        for option, value, least in (
            ("train", train, 1),
            ("val", val, 1),
            ("test", test, 1),
            ("height", height, 16),
            ("width", width, 16),
            ("seed", seed, 0),
        ):
            if value < least:
                raise ValueError(f"rooms: {option}={value} is below {least}: set it to {least} or more")
        if height > 1.25 * width:
            raise ValueError(
                f"rooms: height={height} at width={width} would look past the floor at one's feet: "
                f"set height to {int(1.25 * width)} or less"
            )
        self._split = split
        self._count = {"train": train, "val": val, "test": test}[split]
        self._height, self._width, self._seed, self._holes = height, width, seed, holes

    def __len__(self) -> int:
        return self._count

    def _scene(self, index: int) -> int:
        if not 0 <= index < self._count:
            raise IndexError(f"rooms/{self._split} has frames 0 to {self._count - 1}, not {index}")
        return index % len(SCENE_TYPES)

    def __getitem__(self, index: int) -> Sample:
        scene = self._scene(index)
        seeds = np.random.SeedSequence(self._seed, spawn_key=(SPLITS.index(self._split), index))
        shot = render(scene, seeds, self._height, self._width, self._holes)
        return Sample(
            image=torch.from_numpy(shot.image),
            depth=torch.from_numpy(shot.depth)[None],
            valid=torch.from_numpy(shot.valid)[None],
            scene=torch.tensor(scene),
            intrinsics=torch.from_numpy(shot.intrinsics),
        )

    def name(self, index: int) -> str:
        """Give split, number and scene type, as in rooms/test/00012_kitchen."""
        return f"rooms/{self._split}/{index:05d}_{SCENE_TYPES[self._scene(index)]}"

    def fingerprint(self) -> str:
        """Hash the renderer's version and the options that this split depends on."""
        facts = [VERSION, self._split, self._count, self._height, self._width, self._seed, self._holes]
        return hashlib.sha256(json.dumps(["rooms", *facts]).encode()).hexdigest()
