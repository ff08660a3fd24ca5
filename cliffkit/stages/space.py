"""Whether what a stage is about to write fits on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from cliffkit.errors import UserError
from cliffkit.recipe.part import Part
from cliffkit.store.files import writing


def check_space(data: Part, images: str, needed: int, folder: Path, remedy: str) -> None:
    """Raise UserError where the images, described in words, take more bytes than are free, before one is written."""
    with writing(folder, needed):
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{data.place}: {images} take {needed / 1e9:,.1f} GB of disk, and {free / 1e9:,.1f} GB are free in "
            f"{folder.parent}; make room, {remedy}"
        )
