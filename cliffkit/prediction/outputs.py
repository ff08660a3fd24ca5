"""Output files of images. No image and no file of another program is written over."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cliffkit.errors import UserError
from cliffkit.images import open_image
from cliffkit.pictures.png import is_marked, millimetres
from cliffkit.prediction.points import is_cloud

MOST_NAMED = 10
"""Files that a message names."""


@dataclass(frozen=True)
class Output:
    """The files that the depth of an image is written into."""

    image: Path
    folder: Path
    stem: str
    beside: bool = True
    """Whether there is a picture of the image beside its depth."""
    points: bool = False
    """Whether there is a point cloud."""

    @property
    def npy(self) -> Path:
        """Metres as an array."""
        return self.folder / f"{self.stem}.npy"

    @property
    def depth_png(self) -> Path:
        """Millimetres, 16 bits."""
        return self.folder / f"{self.stem}.depth.png"

    @property
    def colour_png(self) -> Path:
        """A picture with a scale."""
        return self.folder / f"{self.stem}.colour.png"

    @property
    def beside_png(self) -> Path | None:
        """The image beside its depth, where that is wanted."""
        return self.folder / f"{self.stem}.beside.png" if self.beside else None

    @property
    def ply(self) -> Path | None:
        """A point cloud, where that is wanted."""
        return self.folder / f"{self.stem}.ply" if self.points else None

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        files = (self.npy, self.depth_png, self.colour_png, self.beside_png, self.ply)
        return tuple(path for path in files if path is not None)


def plan_outputs(
    images: Sequence[Path], out: Path, *, beside: bool = True, points: bool = False, force: bool = False
) -> list[Output]:
    """Choose where each image's depth is written in the folder `out`; nothing is written yet.

    Where images of several folders have one name, all images keep their folders, below the deepest folder that they
    share. Raises UserError where two images would still be written under one name, where a name is too long, and where
    a file would be written over that `predict` did not write. With `force` only images, and paths that are no files,
    are spared.
    """
    outputs = [Output(*place, beside, points) for place in placed(images, out)]
    _check_names(outputs)
    _spare(outputs, {os.path.realpath(image) for image in images}, force)
    return outputs


def placed(inputs: Sequence[Path], out: Path) -> list[tuple[Path, Path, str]]:
    """Give each input with the folder and the stem of its outputs.

    Where inputs of several folders have one name, all keep their folders, below the deepest folder that they share.
    """
    if len({path.stem for path in inputs}) == len(inputs):
        return [(path, out, path.stem) for path in inputs]
    folders = [Path(os.path.abspath(path)).parent for path in inputs]
    shared = os.path.commonpath(folders)
    return [(path, out / folder.relative_to(shared), path.stem) for path, folder in zip(inputs, folders, strict=True)]


def _check_names(outputs: Sequence[Output]) -> None:
    """Raise UserError where two images would be written under one name."""
    images: dict[Path, Path] = {}
    for output in outputs:
        other = images.setdefault(output.npy, output.image)
        if other is not output.image:
            raise UserError(f"{other} and {output.image} would both be written as {output.npy}; predict them apart")


def make_folders(outputs: Sequence[Output]) -> None:
    """Make the folders of outputs. Raises UserError where that fails, or where nothing can be written into them."""
    for folder in dict.fromkeys(output.folder for output in outputs):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error.strerror}; name another folder with -o") from error


def _spare(outputs: Sequence[Output], images: set[str], force: bool) -> None:
    """Raise UserError for files in the way of outputs that must not be lost."""
    inputs, occupied, foreign = [], [], []
    for output in outputs:
        present = [path for path in output.files if _is_present(path, output.image)]
        inputs += [path for path in present if os.path.realpath(path) in images]
        occupied += [path for path in present if path.is_dir()]
        if not force:
            foreign += [path for path in present if not path.is_dir() and not _is_ours(path, output)]
    if inputs:
        raise UserError(
            f"{_names(inputs)}: would be written over, and is an image to predict; name another folder with -o"
        )
    if occupied:
        raise UserError(f"{_names(occupied)}: is a folder where a file is to be written; name another folder with -o")
    if foreign:
        raise UserError(
            f"{_names(foreign)}: was not written by `cliffkit predict`, or was changed since; name another folder with "
            f"-o, or write over {'it' if len(foreign) == 1 else 'them'} with --force"
        )


def _is_present(path: Path, image: Path) -> bool:
    """Say whether something lies at a path. Raises UserError where nothing can lie there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror}; rename {image}, or name another folder"
        ) from error
    return True


def _is_ours(path: Path, output: Output) -> bool:
    """Say whether `predict` wrote a file: an array by the .depth.png of the same depth beside it, others by a mark."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        if path != output.npy:
            return is_cloud(path) if path == output.ply else is_marked(path)
        if not (output.depth_png.is_file() and is_marked(output.depth_png)):
            return False
        depth_m = np.lib.format.open_memmap(path, mode="r")
        with open_image(output.depth_png) as image:
            return depth_m.dtype == np.float32 and np.array_equal(millimetres(depth_m), np.asarray(image))
    except Exception:  # whatever a file of someone else provokes
        return False


def _names(paths: Sequence[Path]) -> str:
    more = [f"and {len(paths) - MOST_NAMED} more"] if len(paths) > MOST_NAMED else []
    return ", ".join([*map(str, paths[:MOST_NAMED]), *more])
