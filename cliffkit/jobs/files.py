"""What a job reads from outside, held against what its key was made of: files that options name, and data sets."""

from __future__ import annotations

import hashlib
import os.path
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.store.job import Job


def paths_in(value: Any) -> Iterator[Path]:
    """Find the paths in an option's value, in lists and mappings too."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from paths_in(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from paths_in(inner)


def replaced(value: Any, change: Callable[[Path], str]) -> Any:
    """Give an option's value as JSON has it, with a text in the place of each path."""
    if isinstance(value, Path):
        return change(value)
    if isinstance(value, Mapping):
        return {str(name): replaced(inner, change) for name, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(replaced(inner, change) for inner in value)
    return [replaced(inner, change) for inner in value] if isinstance(value, list | tuple) else value


def content_of(path: Path) -> str:
    """Hash the content of a file. Raises OSError, and ValueError for text that can be no path."""
    with open(os.path.expanduser(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


READERS = ("pack", "images")
"""The stages that read a data set."""


def check_data(job: Job, roots: Roots) -> None:
    """Raise UserError where a stage has read a data set that is not the one that its key was made of.

    The splits are opened anew, after the stage has read them.
    """
    for split in ("train", "val", "test") if job.stage in READERS else ():
        if split in job.inputs and open_split(job.recipe, split, roots).fingerprint() != job.inputs[split]:
            raise UserError(
                f"{job.recipe.data.place}: the {split} split has changed since this job was planned, or lies elsewhere "
                "for this process; run again, and what depends on it is done anew"
            )


def check_files(job: Job) -> None:
    """Raise UserError where a file that an option names is not the one that the job's key was made of."""
    for path, planned in job.files.items():
        try:
            found = content_of(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read any more: {error.strerror}; put it back, and run again") from error
        if found != planned:
            raise UserError(
                f"{path} has changed since this job was planned; run again, and what depends on it is done anew"
            )
