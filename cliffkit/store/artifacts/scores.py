"""What stage evaluate leaves, and a run's folder: scores with all that they depend on."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainValidator

from cliffkit.protocols import Protocol
from cliffkit.scoring.alignments import Fit
from cliffkit.scoring.metrics import METRICS
from cliffkit.store.artifacts.facts import Fact, damaged, read_bytes
from cliffkit.store.files import write_atomic
from cliffkit.store.spreadsheet import guarded, plain

_COLUMNS = ["protocol", "image", *METRICS]

Summary = Mapping[str, float | int]
"""Each metric's mean over the test images, `n` images scored and `absent` ones."""


@dataclass(frozen=True)
class ProtocolScores:
    """Scores under one protocol."""

    protocol: Annotated[Protocol, PlainValidator(Protocol.from_dict)]
    described: str
    """The protocol in words."""
    metrics: Summary
    """Of the predictions."""
    baseline: Summary
    """Of a constant prediction."""
    alignment: Fit | None = None
    """Of a protocol that aligns over the set, what all predictions were aligned by; else None."""


@dataclass(frozen=True)
class Selection:
    """How the scored weights were chosen."""

    split: str
    score: str
    """The metric."""
    best_score: float
    step: int


@dataclass(frozen=True)
class Scores(Fact):
    """Scores of predictions for the test split, of a network or as they were given."""

    FILE: ClassVar[str] = "metrics.json"

    data: Mapping[str, Any]
    """The data set as the recipe names it, with the fingerprint of its test split under `test_fingerprint`."""
    protocols: Mapping[str, ProtocolScores]
    """By the protocol's name."""
    baseline_depth_m: float
    """Depth of the constant prediction, metres: the median of the training depths, beside given predictions of the test
    depths."""
    selection: Selection | None
    """None for predictions that were given."""
    parameters: int | None
    """Parameters of the network; None for predictions that were given."""
    failures: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """Why protocols could not score the predictions, by their names. The other protocols are scored."""
    divisors: tuple[float, ...] = field(default=(), kw_only=True)
    """Numbers by which the levels of its embedding loss were divided; empty where they were not."""

    @property
    def metrics(self) -> dict[str, Summary]:
        """Scores of the predictions by protocol."""
        return {name: scored.metrics for name, scored in self.protocols.items()}

    @property
    def baseline(self) -> dict[str, Summary]:
        """The constant prediction's scores by protocol."""
        return {name: scored.baseline for name, scored in self.protocols.items()}


@dataclass(frozen=True)
class RunMetrics(Scores):
    """The scores of a run's folder, with the jobs that they come from."""

    name: str
    """The recipe's."""
    key: str
    """Of job evaluate."""
    seconds: Mapping[str, float]
    """Time that each job took, by stage."""
    jobs: Mapping[str, str]
    """Keys of the jobs, by stage."""

    def to_dict(self) -> dict[str, Any]:
        """Give the facts as the file has them: name and key first."""
        facts = super().to_dict()
        return {"name": facts.pop("name"), "key": facts.pop("key"), **facts}


@dataclass(frozen=True)
class GivenFacts:
    """What is known of predictions that were given."""

    place: str
    """Folder or file, as it was named."""
    quantity: str
    """What their numbers are, in words."""
    matched: str
    """How they were matched to images, in words."""
    digest: str
    """Hash of the predictions, with the images that they are of."""
    scored: int
    missing: tuple[str, ...]
    """Images without a prediction."""
    extra: int
    """Number of predictions of no test image."""
    warnings: tuple[str, ...]
    """What is odd about their numbers, a sentence each."""


@dataclass(frozen=True)
class GivenScores(Scores):
    """The scores of predictions that were given."""

    name: str
    key: str
    """Hash of all that the scores depend on."""
    predictions: GivenFacts

    def to_dict(self) -> dict[str, Any]:
        """Give the facts as the file has them: name and key first."""
        facts = super().to_dict()
        return {"name": facts.pop("name"), "key": facts.pop("key"), **facts}


@dataclass(frozen=True, eq=False)
class PerImage:
    """Scores of every test image under every protocol: a CSV file. Names in it are never formulas of a spreadsheet."""

    FILE: ClassVar[str] = "per_image.csv"

    images: tuple[str, ...]
    scores: Mapping[str, NDArray[np.float64]]
    """By protocol (images, METRICS); NaN where no pixel of an image is scored."""
    extras: Mapping[str, Mapping[str, NDArray[np.float64]]] = field(default_factory=dict)
    """By protocol, the metrics that it asks for beside the nine, each (images,); NaN where an image has none."""

    def write(self, folder: Path) -> None:
        """Write the file, a line for each protocol and image, atomically."""
        write_atomic(folder / self.FILE, self._write)

    def _write(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*_COLUMNS, *self.extra_names])
            for protocol, scores in self.scores.items():
                rows = np.column_stack([scores, *self.extra_columns(protocol).values()]).tolist()
                for image, row in zip(self.images, rows, strict=True):
                    texts = guarded(protocol), guarded(image)
                    writer.writerow([*texts, *("" if math.isnan(value) else repr(value) for value in row)])

    @property
    def extra_names(self) -> list[str]:
        """Names of the metrics beside the nine, of all protocols."""
        return list(dict.fromkeys(name for extras in self.extras.values() for name in extras))

    def extra_columns(self, protocol: str) -> dict[str, NDArray[np.float64]]:
        """Give each metric beside the nine, (images,), NaN where the protocol does not ask for it."""
        mine, absent = self.extras.get(protocol, {}), np.full(len(self.images), np.nan)
        return {name: mine.get(name, absent) for name in self.extra_names}

    @classmethod
    def read(cls, folder: Path) -> PerImage:
        """Read the file of a folder. Raises UserError where the file is missing or damaged."""
        path = folder / cls.FILE
        images: dict[str, list[str]] = {}
        values: dict[str, list[str]] = {}
        content = read_bytes(path)
        try:
            rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
            head = next(rows, [])
            names = head[len(_COLUMNS) :]
            if head[: len(_COLUMNS)] != _COLUMNS or len(set(head)) < len(head):
                raise ValueError(f"its first line is not {','.join(_COLUMNS)}")
            for protocol, image, *scores in rows:
                images.setdefault(plain(protocol), []).append(plain(image))
                values.setdefault(plain(protocol), []).extend(scores)
            tables = {name: _table(cells, len(images[name]), len(names)) for name, cells in values.items()}
        except (ValueError, csv.Error) as error:
            raise damaged(path, f"is no table of scores: {error}") from error

        first = next(iter(images.values()), [])
        if not first or any(names != first for names in images.values()):
            raise damaged(path, "its protocols have not the same images")
        nine, columns = len(METRICS), range(len(METRICS), len(METRICS) + len(names))
        extras = {
            protocol: {
                name: table[:, k] for k, name in zip(columns, names, strict=True) if not np.isnan(table[:, k]).all()
            }
            for protocol, table in tables.items()
        }
        return cls(tuple(first), {name: table[:, :nine] for name, table in tables.items()}, extras)


def _table(cells: list[str], images: int, extras: int) -> NDArray[np.float64]:
    return np.array([float(cell or "nan") for cell in cells]).reshape(images, len(METRICS) + extras)
