"""DIODE: `{train,val}/{indoors,outdoor}/scene_*/scan_*/X.png`, `X_depth.npy` and `X_depth_mask.npy`.

Source of the layout: Vasiljevic et al., "DIODE: A Dense Indoor and Outdoor DEpth Dataset", 2019, and its toolkit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from cliffkit_datasets.files import known, named_folder, read_npy
from cliffkit_datasets.listed import Frame, Listed

HOLDS = "train/ and val/ with indoors/ or outdoor/ below"


@final
class DIODE(Listed):
    """DIODE; test is the published `val/`, and validation is cut from `train/` by scene.

    Depth is valid where the mask is 1: elsewhere the scanner's values are wrong at edges and in the sky. Scene types
    are `indoors` and `outdoor`.

    Raises UserError for missing folders and files.

    Options:
        domain: Which half is read, or `both`.
        val_share: Share of the images of `train/` that becomes the validation split, in whole scenes.
    """

    layout = "diode"

    def __init__(
        self,
        split: str,
        root: Path | None,
        *,
        domain: Literal["both", "indoors", "outdoor"] = "both",
        val_share: float = 0.1,
    ) -> None:
        super().__init__(split, named_folder(self.layout, root, HOLDS))
        self._domains = ("indoors", "outdoor") if domain == "both" else (domain,)
        self.deal({"train": self._listed("train"), "test": self._listed("val")}, val_share)
        self._notes += [
            "the published val/ is test here, and val is cut from train/",
            "depth is valid where its mask is 1 alone: without the mask, edges and sky count as depth",
        ]

    def _listed(self, half: str) -> list[Frame]:
        frames = []
        for domain in self._domains:
            for path in sorted((self._root / half / domain).glob("scene_*/scan_*/*.png")):
                stem = path.relative_to(self._root).as_posix().removesuffix(".png")
                scene = f"{domain}/{path.parts[-3]}"
                frames.append(
                    Frame(stem, (f"{stem}.png", f"{stem}_depth.npy", f"{stem}_depth_mask.npy"), scene, domain)
                )
        return frames

    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read image, depth (H, W, 1) and mask (H, W)."""
        depth, mask = (read_npy(self._root / frame.files[k], self.place(frame, k)) for k in (1, 2))
        depth, mask = (array[..., 0] if array.ndim == 3 else array for array in (depth, mask))
        return self.read_image(frame), known(depth, mask == 1)

    def facts(self) -> Sequence[str]:
        """Give the halves that are read."""
        return self._domains
