"""SUN RGB-D: a folder for each image, by sensor, with depth in 16 bits rotated by three.

Source of the layout: Song et al., "SUN RGB-D", CVPR 2015, and `read3dPoints` of its toolbox. Source of the test list:
`splits/SUNRGBD_val_splits.txt` of the Monocular-Depth-Estimation-Toolbox, lines `image depth`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit_datasets.files import known, named_folder, png16
from cliffkit_datasets.listed import Frame, Listed
from cliffkit_datasets.lists import below, find_list, read_list

LISTS = ("SUNRGBD_val_splits.txt", "SUNRGBD_test.txt")
SENSORS = ("kv1", "kv2", "realsense", "xtion")
HOLDS = "SUNRGBD/ with kv1/, kv2/, realsense/ and xtion/, and a list of test images"


@final
class SUNRGBD(Listed):
    """SUN RGB-D; test is a list of the published 5,050 images, training every other one, less validation by scene.

    Bits of depth are rotated by three: read as they are, depth is eightfold. Scene types are those of `scene.txt`.

    Raises UserError for a missing list or folder; upon reading, for depth that is none.

    Options:
        truth: Depth that the authors refined and filled, `depth_bfx`, or the sensor's own, `depth`.
        test_list: Name of the test list; empty for that of the MDE-Toolbox.
        max_depth_m: Depth beyond which nothing is valid, metres.
        val_share: Share of the training images that becomes the validation split, in whole scenes.
    """

    layout = "sunrgbd"
    limit_m = 100.0

    def __init__(
        self,
        split: str,
        root: Path | None,
        *,
        truth: Literal["depth_bfx", "depth"] = "depth_bfx",
        test_list: str = "",
        max_depth_m: float = 10.0,
        val_share: float = 0.1,
    ) -> None:
        super().__init__(split, named_folder(self.layout, root, HOLDS))
        self._truth, self._max_depth_m = truth, max_depth_m
        path = find_list(self.layout, self._root, "test_list", test_list, LISTS)
        listed = {_folder(below(line, line.words[0])) for line in read_list(path, least=1)}
        frames: dict[str, list[Frame]] = {"train": [], "test": []}
        for folder in self._folders():
            name = _folder(f"{folder}/image/x")
            half = "test" if name in listed else "train"
            frames[half].append(self._frame(folder, name, half))
        if absent := len(listed - {frame.name for frame in frames["test"]}):
            raise UserError(
                f"{path}: {absent} of its {len(listed)} images are not below {self._root}; unpack all of {HOLDS}"
            )
        self.deal(frames, val_share)
        self._notes += [
            "bits of depth are rotated by three and are turned back: read as they are, depth is eightfold",
            f"truth is {truth}/, {'refined and filled' if truth == 'depth_bfx' else 'of the sensor'}",
            f"depth beyond {max_depth_m:g} m is not valid; the Toolbox clips both at 8 m, which flatters",
        ]

    def _folders(self) -> list[str]:
        """Find the folders of images, below the folder of the data."""
        found = [path for sensor in SENSORS for path in self._root.glob(f"**/{sensor}/**/{self._truth}")]
        return sorted({path.parent.relative_to(self._root).as_posix() for path in found})

    def _frame(self, folder: str, name: str, half: str) -> Frame:
        """Make a frame of a folder, which holds one image and one depth map."""
        files = []
        for part in ("image", self._truth):
            inside = sorted((self._root / folder / part).glob("*.*"))
            if len(inside) != 1:
                raise UserError(f"{self._root / folder / part}: holds {len(inside)} files, not one; unpack it again")
            files.append(inside[0].relative_to(self._root).as_posix())
        text = self._root / folder / "scene.txt"
        kind = text.read_text(encoding="utf-8", errors="replace").strip() if text.is_file() else ""
        # Films of SUN3D have folders of many frames; of other sensors a folder stands for itself.
        scene = name.rpartition("/")[0] if "/sun3ddata/" in name else name
        return Frame(name, tuple(files), scene if half == "train" else "", kind)

    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read both files, the bits of depth turned back."""
        stored = png16(self._root / frame.files[1], self.place(frame, 1))
        depth = ((stored >> 3) | (stored << 13)) / 1000
        return self.read_image(frame), known(depth, depth <= self._max_depth_m)

    def facts(self) -> Sequence[object]:
        """Give the kind of truth and the bound."""
        return (self._truth, self._max_depth_m)


def _folder(image: str) -> str:
    """Give the folder of an image from its sensor on: `kv1/NYUdata/NYU0001` of `SUNRGBD/kv1/.../image/NYU0001.jpg`."""
    parts = PurePosixPath(image).parts[:-2]
    start = next((i for i, part in enumerate(parts) if part in SENSORS), 0)
    return "/".join(parts[start:])
