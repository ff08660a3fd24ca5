"""NYU-Depth V2 as BTS extracts it: `SCENE/rgb_NNNNN.jpg` beside `SCENE/sync_depth_NNNNN.png`, and lists of them.

Source of the layout: the lists `train_test_inputs/nyudepthv2_*_files_with_gt.txt` of BTS (Lee et al., "From Big to
Small", 2019), which AdaBins, NeWCRFs and the Monocular-Depth-Estimation-Toolbox took over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from cliffkit_datasets.files import Finder, named_folder, read_png16
from cliffkit_datasets.listed import Frame, Listed
from cliffkit_datasets.lists import NO_TRUTH, Line, below, find_list, read_list, rooted

LISTS = {
    "train": ("nyudepthv2_train_files_with_gt.txt", "nyu_train.txt"),
    "test": ("nyudepthv2_test_files_with_gt.txt", "nyu_test.txt"),
}
FOLDERS = {"train": ("sync", "", "train"), "test": ("official_splits/test", "test", "", "sync")}
HOLDS = "folders SCENE/ of rgb_NNNNN.jpg and sync_depth_NNNNN.png, and the lists of BTS"
INTRINSICS = (518.85790, 519.46961, 325.58245 - 0.5, 253.73617 - 0.5)
"""fx, fy, cx, cy at 480x640, as `nyu` has them: the lists give the first alone, in places 0."""
SIZE = (480, 640)
LOOKED_AT = 3
"""Depth maps that are looked at to tell raw truth from filled."""


@final
class NYUSync(Listed):
    """NYU-Depth V2 in the folders and by the lists of BTS, AdaBins, NeWCRFs and the MDE-Toolbox; test is its list.

    The folder holds `sync/SCENE/` (or `SCENE/`), `official_splits/test/TYPE/` (or `test/TYPE/`, `TYPE/`), and the
    lists, in it or in `train_test_inputs/`. Validation is cut from the training list by scene: `kitchen_0028a` and
    `kitchen_0028b` are one. Scene types are folders without their number. Depth is a 16-bit PNG, 0 where missing.

    Raises UserError for a missing list or file; upon reading, for depth that is none.

    Options:
        train_list: Name of the training list; empty for that of BTS or of the MDE-Toolbox.
        test_list: Name of the test list; empty for that of BTS or of the MDE-Toolbox.
        depth_scale: Units of the PNGs per metre; 1000 where they hold millimetres.
        val_share: Share of the images of the training list that becomes the validation split, in whole scenes.
    """

    layout = "nyu_sync"
    protocol = "eigen"
    limit_m = 100.0
    remedy = "set depth_scale to the PNGs' units per metre, or take the files as published"

    def __init__(
        self,
        split: str,
        root: Path | None,
        *,
        train_list: str = "",
        test_list: str = "",
        depth_scale: float = 1000.0,
        val_share: float = 0.1,
    ) -> None:
        super().__init__(split, named_folder(self.layout, root, HOLDS))
        self._scale = depth_scale
        lists = {"train": train_list, "test": test_list}
        self.deal({half: self._listed(half, named) for half, named in lists.items()}, val_share)

    def _listed(self, half: str, named: str) -> list[Frame]:
        """Read the list of train or test."""
        path = find_list(self.layout, self._root, f"{half}_list", named, LISTS[half])
        lines = read_list(path, least=2)
        known = [line for line in lines if line.words[1] != NO_TRUTH]
        if half == ("test" if self._split == "test" else "train"):
            self._notes.append(f"{len(lines)} lines of {path.name}")
            if count := rooted(lines):
                self._notes.append(
                    f"{count} paths of {path.name} begin with /: they are read below the folder, not from the root"
                )
            if len(known) < len(lines):
                self._notes.append(f"{len(lines) - len(known)} lines of {path.name} have no truth (None): left out")
        finder = Finder(self._root, FOLDERS[half])
        return [_frame(line, finder, half) for line in known]

    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read the JPEG and the PNG of a frame."""
        return self.read_image(frame), self._depth(frame)

    def _depth(self, frame: Frame) -> NDArray[np.float32]:
        return read_png16(self._root / frame.files[1], self.place(frame, 1), self._scale)

    def camera(self, frame: Frame, size: tuple[int, int]) -> Sequence[float] | None:
        """Give the colour camera, to which depth is registered, at the published size."""
        return INTRINSICS if size == SIZE else None

    def facts(self) -> Sequence[float]:
        """Give the depth scale."""
        return (self._scale,)

    def notes(self) -> Sequence[str]:
        """Name what the lists hold, and whether truth is raw or filled."""
        frames = self._frames[:: max(1, len(self._frames) // LOOKED_AT)][:LOOKED_AT]
        share = float(np.mean([(self._depth(frame) > 0).mean() for frame in frames]))
        truth = (
            f"truth has holes ({share:.1%} valid): it is the sensor's, raw"
            if share < 1
            else "truth has no hole: it is filled (in-painted), as in the labelled set"
        )
        return (*self._notes, f"{truth}; scores on raw and on filled truth do not compare")


def _frame(line: Line, finder: Finder, half: str) -> Frame:
    """Make a frame of a line: its files below the folder, or below where they are expected."""
    image, depth = (below(line, word) for word in line.words[:2])
    folder = image.rpartition("/")[0]
    scene = re.sub(r"(?<=\d)[a-z]$", "", folder.rpartition("/")[2])
    return Frame(
        image.rpartition(".")[0],
        (finder.find(image) or image, finder.find(depth) or depth),
        scene if half == "train" else "",
        re.sub(r"_\d+$", "", scene),
        line.place,
    )
