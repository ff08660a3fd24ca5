"""NYU-Depth V2 in folders of `.h5`, as FastDepth publishes it and Hugging Face's `sayakpaul/nyu_depth_v2` packs it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit_datasets.files import known, named_folder, read_hdf5
from cliffkit_datasets.listed import Frame, Listed
from cliffkit_datasets.nyu_sync import INTRINSICS, SIZE

FOLDERS = ("", "nyudepthv2", "data")
HOLDS = "folders train/SCENE/ and val/official/ of .h5 files"


@final
class H5(Listed):
    """NYU-Depth V2 of FastDepth: a file for each image, `rgb` (3, H, W) and `depth` (H, W) in metres, 0 where missing.

    Test is the published `val/`, the 654 official test images. Validation is cut from `train/` by scene, where
    `kitchen_0028a` and `kitchen_0028b` are one. Scene types are folders of `train/` without their number.

    Raises UserError for missing folders; upon reading, for a file without the two arrays.

    Options:
        val_share: Share of the images of `train/` that becomes the validation split, in whole scenes.
    """

    layout = "h5"
    protocol = "eigen"
    limit_m = 100.0

    def __init__(self, split: str, root: Path | None, *, val_share: float = 0.1) -> None:
        super().__init__(split, named_folder(self.layout, root, HOLDS))
        folder = next((f for f in FOLDERS if (self._root / f / "train").is_dir()), None)
        if folder is None:
            packed = any(self._root.rglob("*.tar"))
            remedy = "unpack its .tar files there first" if packed else f"name the folder that holds {HOLDS}"
            raise UserError(f"{self._root}: there is no folder train/ in it; {remedy}")
        self.deal(
            {"train": self._listed(folder, "train", scenes=True), "test": self._listed(folder, "val", scenes=False)},
            val_share,
        )
        self._notes.append("the published val/ is NYU's official test set: it is test here, and val is cut from train/")

    def _listed(self, folder: str, half: str, scenes: bool) -> list[Frame]:
        frames = []
        for path in sorted((self._root / folder / half).rglob("*.h5")):
            name = path.relative_to(self._root / folder).as_posix()
            scene = re.sub(r"(?<=\d)[a-z]$", "", path.parent.name) if scenes else ""
            kind = re.sub(r"_\d+$", "", scene)
            frames.append(Frame(name.removesuffix(".h5"), (path.relative_to(self._root).as_posix(),), scene, kind))
        return frames

    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read both arrays of a file."""
        place = self.place(frame, 0)
        rgb, depth = read_hdf5(self._root / frame.files[0], place, "rgb", "depth")
        if rgb.ndim != 3 or len(rgb) != 3 or rgb.dtype != np.uint8 or depth.ndim != 2:
            raise UserError(
                f"{place} rgb is {rgb.dtype} of shape {rgb.shape} and depth of shape {depth.shape}, expected uint8 (3, "
                "H, W) and (H, W); take the file as published"
            )
        return rgb.transpose(1, 2, 0), known(depth)

    def camera(self, frame: Frame, size: tuple[int, int]) -> Sequence[float] | None:
        """Give the colour camera, to which depth is registered, at the published size."""
        return INTRINSICS if size == SIZE else None
