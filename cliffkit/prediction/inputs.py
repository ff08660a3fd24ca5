"""The image files that are predicted: files as they are named, folders as all images in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cliffkit.errors import UserError
from cliffkit.pictures.png import is_marked
from cliffkit.store.artifacts import RECIPE

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Ends of the names of images in a folder, in lower case. A file that is named itself may have any name."""

VIDEOS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
"""Ends of the names of videos, in lower case."""


def is_video(path: Path) -> bool:
    """Tell by its name whether a path is a video's."""
    return path.name.lower().endswith(VIDEOS) and not path.is_dir()


def find_images(paths: Sequence[Path]) -> list[Path]:
    """List the images at these paths, each once: files in their order, for a folder all images in it and below, sorted.

    In folders, hidden files and folders, videos and pictures that `predict` wrote are passed over. Raises UserError for
    a video, for the folder of a run, and for a folder that cannot be read or holds no image.
    """
    if videos := [str(path) for path in paths if is_video(path)]:
        raise UserError(f"{', '.join(videos)}: a video; predict it by `cliffkit.predict_videos`, or by the command")
    if folders := [str(path) for path in paths if (path / RECIPE).is_file()]:
        raise UserError(f"{', '.join(folders)}: a run's folder, not images; name one run, and then the images")
    images: dict[str, Path] = {}
    for path in paths:
        for image in _in_folder(path) if path.is_dir() else [path]:
            images.setdefault(os.path.abspath(image), image)
    return list(images.values())


def _in_folder(folder: Path) -> list[Path]:
    images = sorted(image for image in _walk(folder) if not _is_prediction(image))
    if not images:
        raise UserError(
            f"{folder}: there is no image in it; name a folder with files that end in {', '.join(SUFFIXES)}, or name "
            "videos one by one"
        )
    return images


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}; mend that, or name files") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith(".") and name.lower().endswith(SUFFIXES))


def _is_prediction(image: Path) -> bool:
    try:
        return image.is_file() and is_marked(image)
    except OSError:
        return False  # whoever reads the image says why it cannot be read
