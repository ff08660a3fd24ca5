"""bundle.json: what was compared, which cells there are, and where in the bundle their files lie."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import PlainValidator

from cliffkit.protocols import Protocol
from cliffkit.store.artifacts import Fact
from cliffkit.study.study import Comparison

FORMAT = 1
"""Raised when a bundle comes to be laid out otherwise."""

STUDY, BASE = "study.yaml", "base.yaml"
"""The study as it was written, and its base recipe with every default and every --set."""

REPORT, CELLS, JOBS = "report", "cells", "jobs"
"""Folders of a bundle."""

README = "README.md"

GIVEN = "given"
"""The design of a comparison of predictions that were given."""

COMPARISON = "comparison.json"
"""What bundle.json says, in the folder of such a comparison."""


@dataclass(frozen=True)
class BundledVariant:
    """A variant of the study."""

    name: str
    levels: tuple[str, ...]
    own_seeds: Mapping[int, int]
    """Of the placebo: the seed that it has in the place of each seed of the study."""


@dataclass(frozen=True)
class BundledStudy:
    """What was compared with what, as the study was checked."""

    name: str
    design: str
    seeds: tuple[int, ...]
    axes: Mapping[str, tuple[str, ...]]
    variants: tuple[BundledVariant, ...]
    metric: str
    protocol: str
    reference: tuple[str, ...]
    """Levels of the reference."""
    full: tuple[str, ...]
    """Levels of the base recipe itself."""
    notes: tuple[str, ...]
    adaptive: tuple[int, int] | None
    """Seeds at the first look, and greatest number of seeds; None where every variant gets all seeds."""
    smallest: float | None
    overrides: tuple[str, ...]
    protocols: tuple[Annotated[Protocol, PlainValidator(Protocol.from_dict)], ...]
    earlier: tuple[str, ...] = ()
    """Those of the notes that say what is not as in earlier reports."""


@dataclass(frozen=True)
class BundledCell:
    """A variant under a seed."""

    variant: str
    seed: int
    """One of the study's."""
    own_seed: int
    """The seed that people read; the placebo's is its own."""
    state: str
    reason: str
    damaged: bool
    folder: str
    """Of its recipe, below `cells`; of given predictions the folder of their scores, beside the comparison's."""
    keys: Mapping[str, str]
    """Keys of its jobs, by stage."""

    @property
    def name(self) -> str:
        """Name of the cell in messages."""
        return f"{self.variant}, seed {self.own_seed}"


@dataclass(frozen=True)
class BundledTrial:
    """Values that were tried inside a variant."""

    values: Mapping[str, Any]
    state: str
    score: float | None
    reason: str
    fits: tuple[str, ...]
    """Keys of its networks, one for each seed; empty where there was nothing to try."""


@dataclass(frozen=True)
class BundledChoice:
    """The search inside a variant."""

    metric: str
    seeds: int
    chosen: int | None
    """Place of the chosen trial among those tried."""
    tried: tuple[BundledTrial, ...]


@dataclass(frozen=True)
class BundledTuning:
    """The search of a study."""

    grid: Mapping[str, tuple[Any, ...]]
    seeds: tuple[int, ...]
    choices: Mapping[str, BundledChoice]
    """By the names of variants."""


def bundled_study(study: Comparison, protocols: tuple[Protocol, ...], overrides: tuple[str, ...] = ()) -> BundledStudy:
    """Write down what is compared with what."""
    design = study.adaptive
    return BundledStudy(
        name=study.name,
        design=study.design,
        seeds=study.seeds,
        axes=dict(study.axes),
        variants=tuple(BundledVariant(point.name, point.levels, dict(point.own_seeds)) for point in study.variants),
        metric=study.metric,
        protocol=study.protocol,
        reference=study.reference.levels,
        full=study.full,
        notes=study.notes,
        adaptive=None if design is None else (design.from_seeds, design.to_seeds),
        smallest=study.smallest,
        overrides=overrides,
        protocols=protocols,
        earlier=study.earlier,
    )


def bundle_facts(
    study: BundledStudy,
    cells: tuple[BundledCell, ...],
    command: str,
    tuning: BundledTuning | None = None,
    *,
    weights: bool = False,
) -> BundleFacts:
    """Write down what a bundle of this cliffkit holds."""
    ours, drawn_by = (importlib.metadata.version(name) for name in ("cliffkit", "matplotlib"))
    return BundleFacts(FORMAT, ours, drawn_by, command, study, cells, tuning, weights)


@dataclass(frozen=True)
class BundleFacts(Fact):
    """What a bundle holds."""

    FILE: ClassVar[str] = "bundle.json"

    format: int
    cliffkit: str
    """Version that wrote the bundle."""
    drawn_by: str
    """Version of matplotlib that drew the figures."""
    command: str
    """What does the study again, as the report says it."""
    study: BundledStudy
    cells: tuple[BundledCell, ...]
    tuning: BundledTuning | None
    weights: bool
    """Whether the weights of the cells are in it."""
