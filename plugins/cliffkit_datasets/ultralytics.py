"""Folders of Ultralytics' depth task: `images/SPLIT/x.jpg` beside `depth/SPLIT/x.npy` or `x.png`, and a YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import yaml
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.images import open_image
from cliffkit_datasets.files import check_png16, known, named_folder, read_npy
from cliffkit_datasets.listed import Frame, Listed
from cliffkit_datasets.turned import Seen, pair_fault, read_depth, read_image

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
HOLDS = "images/SPLIT/, depth/SPLIT/, and a YAML with the keys train and val"
NUMBERS: Mapping[str, str] = {
    "depth_scale": "units of the PNGs per metre, as 1000",
    "max_depth": "the largest valid depth in metres, as 20",
}
"""Keys of the YAML that have a number above 0, and what it is."""
DEFAULTS: Mapping[str, Any] = {
    "train": "images/train",
    "val": "images/val",
    "depth_scale": 1000.0,
    "max_depth": np.inf,
}


@final
class Ultralytics(Listed):
    """Images and depth in parallel folders, with splits by a YAML: `train`, `val`, perhaps `test`, and `max_depth`.

    Depth is `.npy` in metres, or a 16-bit PNG of `depth_scale` units per metre (the YAML's, else 1000); what is not
    above 0 is missing, and what lies beyond `max_depth` is not valid. The scene is an image's folder and its name
    without the number at its end. Images and PNGs of depth are turned upright by their EXIF orientation; an image that
    is turned is refused where nothing shows whether its depth map is.

    Where the YAML has no `test`, its `val` is test, and validation is cut from train by scene.

    Raises UserError for a YAML, folder or depth map that is missing or wrong.

    Options:
        yaml: Name of the YAML in the folder; empty for the only one there.
        val_share: Share of the training images that becomes the validation split, where the YAML has no `test`.
    """

    layout = "ultralytics"

    def __init__(self, split: str, root: Path | None, *, yaml: str = "", val_share: float = 0.1) -> None:
        super().__init__(split, named_folder(self.layout, root, HOLDS))
        settings = self._settings(yaml)
        self._scale, self._max_depth_m = settings["depth_scale"], settings["max_depth"]
        given = {half: self._listed(str(settings[half])) for half in ("train", "val", "test") if settings.get(half)}
        if "test" in given:
            self.deal(given)
        else:
            self.deal({"train": given["train"], "test": given["val"]}, val_share)
            self._notes.append("the YAML has no test: its val is test here, and val is cut from train")
        if np.isfinite(self._max_depth_m):
            self._notes.append(f"depth beyond max_depth, {self._max_depth_m:g} m, is not valid")

    def _settings(self, name: str) -> Mapping[str, Any]:
        """Read the YAML; its `path` is passed over, since the folder was named."""
        found = [self._root / name] if name else sorted([*self._root.glob("*.yaml"), *self._root.glob("*.yml")])
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise UserError(f"{self._root}: holds several YAMLs ({names}); name one by the option yaml of ultralytics")
        if not found:
            return DEFAULTS
        try:
            settings = yaml.safe_load(found[0].read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"{found[0]}: cannot be read as YAML ({error}); mend it") from error
        if not isinstance(settings, dict) or not all(isinstance(settings.get(key), str) for key in ("train", "val")):
            raise UserError(f"{found[0]}: has not the keys train and val, each a folder as images/train; add them")
        return {**settings, **_numbers(found[0], settings)}

    def _listed(self, folder: str) -> list[Frame]:
        """List the images of a folder, with their depth maps."""
        frames = []
        for path in sorted((self._root / folder).rglob("*")):
            if path.suffix.lower() not in IMAGES:
                continue
            image = path.relative_to(self._root).as_posix()
            stem = re.sub(r"(^|/)images/", r"\1depth/", image, count=1).rpartition(".")[0]
            depth = next((f"{stem}{end}" for end in (".npy", ".png") if (self._root / f"{stem}{end}").is_file()), "")
            scene = re.sub(r"[_-]?\d+$", "", image.rpartition(".")[0])
            frames.append(Frame(image.rpartition(".")[0], (image, depth or f"{stem}.npy"), scene))
        return frames

    def read(self, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Read both files upright. Raises UserError where nothing shows that depth lies as the image does."""
        place = self.place(frame, 0)
        with open_image(self._root / frame.files[0], place) as opened:
            image, seen = read_image(opened, place, frame.files[0])
        depth, lies = self._read_depth(frame.files[1], self.place(frame, 1))
        if fault := pair_fault(seen, lies):
            raise UserError(fault)
        return image, known(depth, depth <= self._max_depth_m)

    def _read_depth(self, name: str, place: str) -> tuple[NDArray[Any], Seen]:
        """Read a depth map in metres."""
        path = self._root / name
        if path.suffix == ".npy":
            depth = read_npy(path, place)
            if depth.ndim != 2:
                raise UserError(f"{place} is of shape {depth.shape}; store (H, W) metres")
            return depth, Seen(place, name, depth.shape[::-1])
        with open_image(path, place) as opened:
            check_png16(opened, place)
            stored, seen = read_depth(opened, place, name)
        return stored / np.float32(self._scale), seen

    def facts(self) -> Sequence[float]:
        """Give scale and bound of depth."""
        return (self._scale, self._max_depth_m)


def _numbers(path: Path, settings: Mapping[str, Any]) -> dict[str, float]:
    """Give the numbers of a YAML. Raises UserError where a key has none above 0."""
    numbers = {}
    for key, what in NUMBERS.items():
        value = settings.get(key, DEFAULTS[key])
        try:
            number = np.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not number > 0:
            given = "empty" if value is None else value
            raise UserError(f"{path}: {key} is {given}; give {what}, or leave the key out")
        numbers[key] = number
    return numbers
