"""How a fact on disk is read and written: one JSON file, one frozen dataclass."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from cliffkit.errors import UserError
from cliffkit.store.files import write_json

STAMP = "store.json"
"""The file that makes a folder a store."""


@dataclass(frozen=True)
class Fact:
    """Base of the dataclasses that are a JSON file each: one key per field, in the fields' order.

    Reading checks every field's type. Keys that are no field are passed over, so that a file may come to say more.
    """

    FILE: ClassVar[str]
    """Name of the file in the folder of a job or run."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the fact of a folder. Raises UserError where its file is missing or damaged."""
        return cls.read_file(folder / cls.FILE)

    @classmethod
    def read_file(cls, path: Path) -> Self:
        """Read a file, whatever its name. Raises UserError where the file is missing or damaged."""
        return cls.parse(read_bytes(path), path)

    @classmethod
    def parse(cls, content: bytes, path: Path) -> Self:
        """Give the fact in the content of a file. Raises UserError, which names the file, where it is damaged."""
        try:
            adapter = _adapter(cls)  # type: ignore[arg-type]  # a class is hashable, whatever its objects are
            fact: Self = adapter.validate_json(content, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            cause = first["msg"].removeprefix("Value error, ")
            raise damaged(path, ": ".join(filter(None, (".".join(map(str, first["loc"])), cause)))) from error
        return fact

    def write(self, folder: Path) -> None:
        """Write the fact into its file in a folder, atomically. NaN is refused: JSON has none."""
        self.write_file(folder / self.FILE)

    def write_file(self, path: Path) -> None:
        """Write the fact into a file, whatever its name, as `write` does."""
        write_json(path, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Give the fact as its file has it."""
        return asdict(self)


def damaged(path: Path, cause: str) -> UserError:
    """Make the error that names a file which cannot be used, the cause, and how to have it made anew."""
    if _job_folder(path) is not None:
        return UserError(f"{path}: {cause}; run again: the job is set aside and done anew")
    return UserError(f"{path}: {cause}; {f'delete {path} and ' if path.exists() else ''}run again")


def read_bytes(path: Path) -> bytes:
    """Read a file that a job or run left. Raises UserError where that fails."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise damaged(path, f"cannot be read: {error.strerror}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UserError where the file is missing or no JSON."""
    return parse_json(read_bytes(path), path)


def parse_json(content: bytes, path: Path) -> Any:
    """Give what the content of a JSON file says. Raises UserError, which names the file, where it is no JSON."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise damaged(path, f"is no JSON: {error}") from error


def read_array(path: Path) -> NDArray[Any]:
    """Read an array as a whole. Raises UserError where its file is missing or damaged."""
    try:
        array: NDArray[Any] = np.load(path)
    except OSError as error:
        raise damaged(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise damaged(path, f"is damaged, {error}") from error
    return array


def _job_folder(path: Path) -> Path | None:
    """Find the folder of the job that a file belongs to: a job is made as a whole. None outside of a store's jobs."""
    jobs = (folder for folder in path.parents if folder.parent.name == "jobs")
    return next((folder for folder in jobs if (folder.parent.parent / STAMP).exists()), None)


@functools.cache
def _adapter(fact: type[Fact]) -> TypeAdapter[Any]:
    return TypeAdapter(fact)
