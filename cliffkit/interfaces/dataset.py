"""The data that a network is trained and scored on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from cliffkit.interfaces.sample import Sample


class Dataset(ABC):
    """One split of a data set at full size. Factory: `(split, root, *, options)`.

    `split` is "train", "val" or "test"; the three share no scene. `root` is the folder that the user named with
    `--data NAME=PATH` or the variable CLIFFKIT_DATA_NAME, None where none was named. Instances are picklable, so that
    several processes can read.
    """

    scene_types: Sequence[str]
    """Names of the scene types, the same in every split; empty where the data has none."""
    protocol: str = ""
    """Name of the protocol by which the field scores this data set; empty where there is none."""

    @abstractmethod
    def __init__(self, split: str, root: Path | None) -> None: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Read the index-th image with its depth, uncropped and unscaled."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Give a name of the index-th image that is unique within the data set and the same on every machine."""

    def dealt(self) -> str:
        """Say how this split was dealt, for `cliffkit data check`; empty where there is nothing to say."""
        return ""

    def notes(self) -> Sequence[str]:
        """Name what is easily read wrong in this split's files, and how it is read, for `cliffkit data check`."""
        return ()

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash what this split holds: equal data, equal fingerprint; never of a path."""
