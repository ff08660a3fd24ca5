"""Virtual KITTI 2: `SceneNN/VARIANT/frames/{rgb,depth}/Camera_C/`, depth in centimetres, the sky at the far plane.

Source of the layout: Cabon et al., "Virtual KITTI 2", 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit_datasets.files import known, named_folder, png16
from cliffkit_datasets.listed import Frame, Listed

IMAGES, DEPTHS = ("", "vkitti_2.0.3_rgb", "rgb"), ("", "vkitti_2.0.3_depth", "depth")
HOLDS = "SceneNN/VARIANT/frames/rgb/ and frames/depth/, together or below vkitti_2.0.3_rgb/ and vkitti_2.0.3_depth/"
UNITS_PER_M = 100.0
SKY = 65535
INTRINSICS = (725.0087, 725.0087, 621.0, 187.5)
"""fx, fy, cx, cy of every camera at SIZE.

The 620.5 and 187 of `intrinsic.txt` are the middle of the image counted from the centre of the first pixel, (W - 1) / 2
and (H - 1) / 2; counted from its corner, as in a Sample, the middle is 0.5 more."""
SIZE = (375, 1242)


@final
class VKITTI2(Listed):
    """Virtual KITTI 2; splits are whole scenes, all their variants of weather and direction together.

    The sky has the largest value that 16 bits hold, and is no depth, nor is what lies beyond `far_m`.

    Raises UserError for missing folders and files, and for scenes that two splits name.

    Options:
        val_scenes: Scenes of the validation split.
        test_scenes: Scenes of the test split; training is every other scene.
        far_m: Depth beyond which nothing is valid, metres.
        right: Whether images of the right camera are read beside those of the left.
    """

    layout = "vkitti2"
    protocol = "garg"

    def __init__(
        self,
        split: str,
        root: Path | None,
        *,
        val_scenes: tuple[str, ...] = ("Scene18",),
        test_scenes: tuple[str, ...] = ("Scene20",),
        far_m: float = 80.0,
        right: bool = False,
    ) -> None:
        super().__init__(split, named_folder(self.layout, root, HOLDS))
        if not far_m > 0:
            raise UserError(f"vkitti2: far_m is {far_m}; it is a depth above 0, as 80")
        self._far_m = far_m
        images, depths = (
            next((folder for folder in folders if any((self._root / folder).glob(f"Scene*/*/frames/{what}"))), None)
            for folders, what in ((IMAGES, "rgb"), (DEPTHS, "depth"))
        )
        if images is None or depths is None:
            raise UserError(f"{self._root}: holds no scenes; it must hold {HOLDS}")
        frames: dict[str, list[Frame]] = {"train": [], "val": [], "test": []}
        cameras = "[01]" if right else "0"
        for path in sorted((self._root / images).glob(f"Scene*/*/frames/rgb/Camera_{cameras}/rgb_*.jpg")):
            scene, variant, _, _, camera, file = path.parts[-6:]
            number = file[4:-4]
            depth = f"{depths}/{scene}/{variant}/frames/depth/{camera}/depth_{number}.png".lstrip("/")
            named = [half for half, names in (("val", val_scenes), ("test", test_scenes)) if scene in names]
            for half in named or ["train"]:
                name = f"{scene}/{variant}/{camera}/{number}"
                frames[half].append(Frame(name, (path.relative_to(self._root).as_posix(), depth), scene))
        self.deal(frames)
        self._notes.append(f"the sky, at the far plane, and depth beyond {far_m:g} m are not valid")

    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read both files, without sky and what is farther than `far_m`."""
        stored = png16(self._root / frame.files[1], self.place(frame, 1))
        depth = stored / UNITS_PER_M
        return self.read_image(frame), known(depth, (stored < SKY) & (depth <= self._far_m))

    def camera(self, frame: Frame, size: tuple[int, int]) -> Sequence[float] | None:
        """Give the camera at the published size."""
        return INTRINSICS if size == SIZE else None

    def facts(self) -> Sequence[float]:
        """Give the far bound."""
        return (self._far_m,)
