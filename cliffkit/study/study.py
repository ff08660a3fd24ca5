"""A checked study: variants of a base recipe, seeds, and what is compared; what any comparison has of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cliffkit.recipe.recipe import Recipe
from cliffkit.statistics import Design

COMPONENT, FULL = "component", "full"
"""The only axis of a study that leaves out one component at a time, and its level that leaves out none."""


Levels = tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """One point of a comparison, whoever made its predictions."""

    name: str
    levels: Levels
    """One level per axis, in the comparison's order."""
    own_seeds: Mapping[int, int] = field(default_factory=dict, kw_only=True)
    """Of the placebo: the seed that it has in the place of each seed of the study."""

    @property
    def is_placebo(self) -> bool:
        """Whether it is the reference under other seeds."""
        return bool(self.own_seeds)


@dataclass(frozen=True)
class Variant(Point):
    """One point of a study, a recipe."""

    recipe: Recipe


@dataclass(frozen=True)
class Trial:
    """Values that are tried inside a variant."""

    variant: Variant
    values: Mapping[str, Any]
    """By path in the recipe, of the paths that the variant's recipe has."""
    recipe: Recipe
    """The variant's recipe with these values."""


@dataclass(frozen=True)
class Tuning:
    """The same small search inside every variant, on the validation split."""

    grid: Mapping[str, tuple[Any, ...]]
    """Values by path."""
    trials: tuple[Trial, ...]
    """Of every variant but the placebo, in the order of variants and grid."""
    seeds: tuple[int, ...]
    """Added to a recipe's seed, one after another; no cell of the study has such a seed."""

    def of(self, variant: Variant) -> tuple[Trial, ...]:
        """List the trials of a variant."""
        return self._by_levels[variant.levels]

    def seeds_of(self, trials: Sequence[Trial]) -> tuple[int, ...]:
        """Give the seeds of each trial of a variant: so many that all variants have as many fits.

        None where the variant has nothing to try.
        """
        return self.seeds[: len(self.seeds) // len(trials)] if trials[0].values else ()

    @cached_property
    def _by_levels(self) -> dict[Levels, tuple[Trial, ...]]:
        groups: dict[Levels, list[Trial]] = {}
        for trial in self.trials:
            groups.setdefault(trial.variant.levels, []).append(trial)
        return {levels: tuple(trials) for levels, trials in groups.items()}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared with what, and in which metric: all that an analysis knows beside the scores."""

    name: str
    design: str
    seeds: tuple[int, ...]
    """Every seed that a variant may get, in the order in which variants get them."""
    axes: Mapping[str, Levels]
    variants: tuple[Point, ...]
    metric: str
    protocol: str
    """Name of the protocol under which variants are compared first."""
    reference: Point
    full: Levels
    """The levels of the base recipe itself; without one those of the reference."""
    notes: tuple[str, ...] = ()
    """Remarks for the reader."""
    earlier: tuple[str, ...] = ()
    """Those of the remarks that say what is not as in earlier reports of the same cells."""
    adaptive: Design | None = None
    """How the seeds are spent: while they matter; None where every variant gets all of them."""
    smallest: float | None = None
    """Smallest difference of interest in the compared metric, in its unit; None where none is named."""
    tuning: Tuning | None = None
    """The search inside every variant; None where there is none."""

    @property
    def placebo(self) -> Point | None:
        """The reference under other seeds, a variant beside those that the axes span; None where there is none."""
        return next((variant for variant in self.variants if variant.is_placebo), None)


@dataclass(frozen=True, kw_only=True)
class Study(Comparison):
    """A checked study: every variant a whole recipe."""

    file: str
    """Path of the study file; for a study that is no file, its name in errors."""
    base: Recipe
    variants: tuple[Variant, ...]
    reference: Variant
    text: str
    """Text of the study file; equivalent YAML for a study that is no file."""
    overrides: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Describe a study in plain JSON types."""
        return {
            "name": self.name,
            "design": self.design,
            "seeds": list(self.seeds) if self.adaptive is None else spelt(self.adaptive),
            "axes": {axis: list(levels) for axis, levels in self.axes.items()},
            "variants": [variant.name for variant in self.variants],
            "compare": {
                "metric": self.metric,
                "protocol": self.protocol,
                "reference": self.reference.name,
                **({} if self.smallest is None else {"smallest": self.smallest}),
            },
            **({} if self.tuning is None else {"tune": {path: list(v) for path, v in self.tuning.grid.items()}}),
            "base": self.base.to_dict(),
            "overrides": list(self.overrides),
        }


def spelt(design: Design) -> dict[str, int]:
    """Write a design as a study's `seeds` spells it: {from: 3, to: 10}."""
    return {"from": design.from_seeds, "to": design.to_seeds}


def spelt_seeds(study: Study) -> str:
    """Write the seeds of a study as its file spells them: "{from: 3, to: 10}", "[0, 1, 2]"."""
    if study.adaptive is None:
        return str(list(study.seeds))
    return f"{{from: {study.adaptive.from_seeds}, to: {study.adaptive.to_seeds}}}"
