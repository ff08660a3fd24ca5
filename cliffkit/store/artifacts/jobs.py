"""What a store knows of its jobs: that one is done, how far it is, why it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from cliffkit.store.artifacts.facts import STAMP, Fact, damaged, parse_json
from cliffkit.store.checksums import FileSum, sealed, unsealed
from cliffkit.store.files import write_json


@dataclass(frozen=True)
class StoreStamp(Fact):
    """What makes a folder a store."""

    FILE: ClassVar[str] = STAMP

    version: int
    """Of the store's layout."""


@dataclass(frozen=True)
class JobRecord(Fact):
    """A finished job."""

    FILE: ClassVar[str] = "job.json"

    stage: str
    key: str
    inputs: Mapping[str, Any]
    """Everything that the key is a hash of."""
    seconds: float
    """Time that its last attempt took."""
    finished: float
    """Unix time."""
    files: Mapping[str, FileSum]
    """Size and checksum of every other file that the job left, by its path in the job's folder."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the distributions that its parts import, by name; and a hash of the engine's source (`components.engine`)."""

    def to_dict(self) -> dict[str, Any]:
        """Give the record as its file has it, with a checksum of its own."""
        return sealed(super().to_dict())

    @classmethod
    def parse(cls, content: bytes, path: Path) -> Self:
        """Give the record in the content of a file. Raises UserError where it is not as it was written."""
        if unsealed(parse_json(content, path)) is None:
            raise damaged(path, "is not as it was written: its checksum differs")
        return super().parse(content, path)


@dataclass(frozen=True)
class JobNames(Fact):
    """The jobs of a run or study, in its folder from its start on, so that nobody takes them for leftovers."""

    FILE: ClassVar[str] = "jobs.json"

    jobs: tuple[str, ...]
    """STAGE-KEY of each."""


@dataclass(frozen=True)
class ReportedChoices:
    """What a report of a study was told to compare by."""

    seeds: str
    """As a study spells them."""
    metric: str
    protocol: str
    reference: str
    """Name of the variant."""
    smallest: float | None
    """Smallest difference of interest, in the metric's unit."""


@dataclass(frozen=True)
class StudyDesigns(Fact):
    """The designs of seeds, and the other choices, under which the cells of a study were reported."""

    FILE: ClassVar[str] = "designs.json"

    reference: str
    """Key of the first network of the reference, which names the cells."""
    designs: tuple[str, ...]
    """Seeds as a study spells them, in the order of the reports."""
    compared: tuple[ReportedChoices, ...] = ()
    """Each set of choices once, in the order of the reports; empty in files of earlier versions, which kept none."""


@dataclass(frozen=True)
class Failure(Fact):
    """Why the last attempt at a job failed. The file lies beside the job's folder, under the job's name and FILE."""

    FILE: ClassVar[str] = "failed.json"

    reason: str
    """The reason, for everyone."""
    details: str
    """Details for those who want to know exactly, such as a traceback; may be empty."""
    time: float
    """Unix time."""


@dataclass(frozen=True)
class JobProgress(Fact):
    """How far a job is that some process works on."""

    FILE: ClassVar[str] = "progress.json"

    stage: str
    done: int
    """Units of `total`."""
    total: int
    unit: str
    """What is counted, such as step or image."""
    figures: Mapping[str, float]
    """Figures worth showing, by name."""
    notices: tuple[str, ...]
    """What users should know, from the job's start on."""

    def write_file(self, path: Path) -> None:
        """Write the progress atomically, without waiting for the disk: lost progress is soon written again."""
        write_json(path, self.to_dict(), wait=False)
