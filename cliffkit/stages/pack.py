"""Stage `pack`: the train and val splits as arrays on disk at training size."""

from __future__ import annotations

import shutil
from pathlib import Path

from cliffkit.data.pack import PACKED_PIXEL_BYTES, write_pack
from cliffkit.data.splits import open_split
from cliffkit.errors import UserError
from cliffkit.events import Notice, Progress
from cliffkit.recipe.part import Part
from cliffkit.stages.context import Context
from cliffkit.store.files import writing
from cliffkit.store.job import Job

SPLITS = ("train", "val")
"""The test split is never packed: stage `evaluate` reads it at full size, and nothing else reads it at all."""


def pack(job: Job, context: Context) -> None:
    """Fill train/ and val/. Raises UserError for data that cannot be used."""
    data = job.recipe.data
    datasets = {split: open_split(job.recipe, split, context.roots) for split in SPLITS}
    total = sum(len(dataset) for dataset in datasets.values())
    _check_space(data, total, context.folder)
    before = 0
    for split, dataset in datasets.items():
        shutil.rmtree(context.folder / split, ignore_errors=True)  # what a killed attempt left

        def progress(done: int, before: int = before) -> None:
            context.emit(Progress("pack", before + done, total, "image", {}))

        try:
            facts = write_pack(dataset, context.folder / split, data.engine["size"], data.engine["crop"], progress)
        except UserError as error:
            raise UserError(f"{data.place}: split '{split}': {error}") from error
        if facts.without_depth:
            context.emit(Notice(f"{facts.without_depth} of {len(dataset)} {split} images have no valid depth"))
        before += len(dataset)


def _check_space(data: Part, images: int, folder: Path) -> None:
    """Raise UserError where the packs of so many images take more than is free, before anything is written."""
    height, width = data.engine["size"]
    needed = images * height * width * PACKED_PIXEL_BYTES
    with writing(folder, needed):
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{data.place}: {images} images of {height}x{width} pixels take {needed / 1e9:,.1f} GB of disk, and "
            f"{free / 1e9:,.1f} GB are free in {folder.parent}; make room, lower data.size, or use fewer images"
        )
