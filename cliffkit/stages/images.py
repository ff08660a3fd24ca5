"""Stage `images`: the test split at full size, drawn or decoded once for all networks that are scored on it."""

from __future__ import annotations

from cliffkit.data.full_size import bytes_of, write_full_size
from cliffkit.data.read import read_sample
from cliffkit.data.splits import open_split
from cliffkit.errors import UserError
from cliffkit.events import Progress
from cliffkit.stages.context import Context
from cliffkit.stages.space import check_space
from cliffkit.store.job import Job


def images(job: Job, context: Context) -> None:
    """Leave the test images as `FullSize` reads them. Raises UserError for data that cannot be used."""
    data, dataset = job.recipe.data, open_split(job.recipe, "test", context.roots)
    total = len(dataset)

    def progress(done: int) -> None:
        context.emit(Progress("images", done, total, "image", {}))

    try:
        height, width = read_sample(dataset, 0).image.shape[-2:]
        check_space(
            data, f"{total} test images of {height}x{width} pixels", total * bytes_of(height, width), context.folder,
            "or use fewer images",
        )  # fmt: skip
        write_full_size(dataset, context.folder, progress)
    except UserError as error:
        raise UserError(f"{data.place}: split 'test': {error}") from error
