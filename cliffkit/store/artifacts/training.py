"""What the stages pack, images, embedding and depth leave beside arrays and weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from cliffkit.store.artifacts.facts import Fact


@dataclass(frozen=True)
class PackFacts(Fact):
    """A packed split."""

    FILE: ClassVar[str] = "meta.json"

    images: int
    size: tuple[int, int]
    """Height and width, pixels."""
    median_m: float
    """Median depth of all valid pixels, metres."""
    valid_share: float
    """Share of pixels with a valid depth, mean over images."""
    without_depth: int
    """Images without a valid pixel."""
    scene_types: tuple[str, ...]
    """Names, in the order of their numbers; empty where the data has none."""


@dataclass(frozen=True)
class FullSizeFacts(Fact):
    """The test images at full size."""

    FILE: ClassVar[str] = "images.json"

    names: tuple[str, ...]
    """As the data set gives them, in order."""
    scene_types: tuple[str, ...]
    """Names, in the order of their numbers; empty where the data has none."""
    fingerprint: str
    """Of the data set's split."""


@dataclass(frozen=True)
class FitFacts(Fact):
    """How a fit ended."""

    FILE: ClassVar[str] = "fit.json"

    best_step: int
    """Step of the weights that were kept."""
    best_score: float
    """Their validation score."""
    seconds: float
    """Time over all attempts."""
    waiting_s: float
    """Of which waiting for data, seconds."""
    micro_batch: int | None
    """Micro-batch to which lack of memory forced the fit; None where the recipe's micro-batch fitted."""
    init: str | None = field(default=None, kw_only=True)
    """Hash of the file of weights that training started from; None: it started at random."""


@dataclass(frozen=True)
class EmbeddingFitFacts(FitFacts):
    """How the fit of an embedding generator ended; the shares are None where it learns no scene types."""

    held_out: int = field(default=0, kw_only=True)
    """Training images with a scene type that it did not learn from, on which it was judged."""
    right: float | None = field(default=None, kw_only=True)
    """Share of them whose type it names."""
    majority: float | None = field(default=None, kw_only=True)
    """Share of them that are of the type most frequent in training."""

    def near_chance(self) -> bool:
        """Tell whether naming the most frequent type always is as good, to three standard errors."""
        if self.right is None or self.majority is None:
            return False
        variance = sum(share * (1 - share) for share in (self.right, self.majority)) / self.held_out
        return self.right <= self.majority + 3 * math.sqrt(variance)

    def describe(self) -> str:
        """Put what the generator knows of scene types into words; empty where it learns none."""
        if self.right is None or self.majority is None:
            return ""
        return (
            f"{100 * self.right:.3g} % of {self.held_out} held-out training images have their scene type named, "
            f"{100 * self.majority:.3g} % are of the most frequent one"
        )


@dataclass(frozen=True)
class LevelDifferences(Fact):
    """How much an embedding generator's levels differ between two random training maps, shallow to deep."""

    FILE: ClassVar[str] = "differences.json"

    pairs: int
    """Pairs of training maps that were compared."""
    l1: tuple[float, ...]
    """Mean |difference of features|, in the generator's units; 0 where no pair has a pixel that is valid in both."""
    l2: tuple[float, ...]
    """Mean squared difference."""


@dataclass(frozen=True)
class DepthFitFacts(FitFacts):
    """How the fit of a depth network ended."""

    select: str
    """Metric by which the weights were chosen."""
    parameters: int
    """Parameters of the network."""
    losses: Mapping[str, float | None] = field(default_factory=dict, kw_only=True)
    """Parameters of losses at that step, by the loss's name and theirs; None for those of more than one number."""
    divisors: tuple[float, ...] = field(default=(), kw_only=True)
    """Numbers by which the levels of the embedding loss are divided; empty where they are not."""


NOTHING_NOTED = "none"
"""An entry of an environment that lists nothing."""


@dataclass(frozen=True)
class Environment(Fact):
    """What a network was trained with."""

    FILE: ClassVar[str] = "environment.json"

    device: str
    """Name of the GPU or processor."""
    device_type: str
    """As torch names it: cpu, cuda, mps."""
    processes: int
    threads: int
    """Of each process."""
    precision: str
    """Of forward passes."""
    precision_reason: str
    nondeterministic: tuple[str, ...]
    """Operations that were seen to have no deterministic kernel."""
    python: str
    system: str
    versions: Mapping[str, str]
    """By distribution; and by their names, the content of weights that a part fetched."""
    earlier_attempts: tuple[str, ...] = field(default=(), kw_only=True)
    """What the attempts before differed in, where the fit went on from their checkpoints: "threads 4, torch 2.13.0"."""

    def flat(self) -> dict[str, str]:
        """Give every entry as text, each version under its own name."""
        entries: dict[str, str] = {}
        for name, value in self.to_dict().items():
            if isinstance(value, Mapping):
                entries.update({str(key): str(inner) for key, inner in value.items()})
            elif isinstance(value, tuple | list):
                entries[name] = "; ".join(map(str, value)) or NOTHING_NOTED
            else:
                entries[name] = str(value)
        return entries
