"""What a study leaves for the plans of like studies: how noisy its differences are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import PlainValidator

from cliffkit.protocols import Protocol
from cliffkit.store.artifacts.facts import Fact


@dataclass(frozen=True)
class Likeness:
    """What two studies must share so that the noise of one is taken for that of the other: of their references."""

    data: str
    """Name of the data set."""
    size: tuple[int, int]
    """Height and width at training, pixels."""
    backbone: Mapping[str, Any]
    """As a recipe writes it; of a recipe with a whole network, the network."""
    steps: int
    """Of the depth network."""


@dataclass(frozen=True)
class TableNoise:
    """Mean variance components of a study's differences to its reference, in one metric under one protocol."""

    protocol: Annotated[Protocol, PlainValidator(Protocol.from_dict)]
    metric: str
    seeds: float
    """Variance, as the other two, of the score of one image under one seed."""
    images: float
    rest: float
    differences: int
    """Number of variants whose differences are averaged."""
    replicates: int
    """Median number of seeds of a difference."""


@dataclass(frozen=True)
class StudyNoise(Fact):
    """The noise of a study's differences."""

    FILE: ClassVar[str] = "noise.json"

    study: str
    """Its name."""
    like: Likeness
    tables: tuple[TableNoise, ...]
    """By protocol and metric; those without a difference under two seeds are absent."""
