"""Stage `pack`: the train and val splits as arrays on disk at training size."""

from __future__ import annotations

import shutil

from cliffkit.data.pack import PACKED_PIXEL_BYTES, write_pack
from cliffkit.data.splits import open_split
from cliffkit.errors import UserError
from cliffkit.events import Notice, Progress
from cliffkit.stages.context import Context
from cliffkit.stages.space import check_space
from cliffkit.store.job import Job

SPLITS = ("train", "val")
"""The test split is never packed: stage `images` keeps it at full size, and stage `evaluate` alone reads it."""


def pack(job: Job, context: Context) -> None:
    """Fill train/ and val/. Raises UserError for data that cannot be used."""
    data = job.recipe.data
    datasets = {split: open_split(job.recipe, split, context.roots) for split in SPLITS}
    total = sum(len(dataset) for dataset in datasets.values())
    height, width = data.engine["size"]
    check_space(
        data, f"{total} images of {height}x{width} pixels", total * height * width * PACKED_PIXEL_BYTES, context.folder,
        "lower data.size, or use fewer images",
    )  # fmt: skip
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
