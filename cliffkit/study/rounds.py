"""Seeds where they matter: which variants get another seed, as a function of nothing but the scores.

A study of adaptive seeds goes in rounds. In the first round every variant has the design's first seeds, in each later
round one more seed has every variant that goes on. After a round the sequential p of all variants are adjusted by Holm,
and a variant stops that is decided, equivalent, hopeless or at the last seed. What stopped is never tried again.

A round ends when all of its cells have ended. So who gets which seed depends on no order in which cells end, on no
number of workers, and on nothing that was broken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cliffkit.statistics import EQUIVALENT, Design, Floats
from cliffkit.statistics.sequential import DECIDED, FINISHED, FUTILE, GO_ON
from cliffkit.study.family import family_wise
from cliffkit.study.study import Comparison

FAILED = "failed"
"""Reason of a variant that stopped since no seed is scored in it and in the reference."""

NOT_NEEDED = "not needed"
"""State of a cell that no round has asked for."""


@dataclass(frozen=True)
class Stop:
    """Why a variant gets no more seeds."""

    reason: str
    """`DECIDED`, `EQUIVALENT`, `FUTILE`, `FINISHED` or `FAILED`; in a report `GO_ON` for a variant that goes on."""
    seeds: int
    """Seeds that it was given."""
    of: int
    """Greatest number of seeds of the study."""

    def __str__(self) -> str:
        """Say why in words: "decided at 4 of 10 seeds"."""
        if self.reason == FINISHED:
            return f"undecided after all {self.of} seeds"
        return f"{_WORDS[self.reason]} {self.seeds} of {self.of} seeds"


_WORDS = {
    DECIDED: "decided at",
    EQUIVALENT: "found at",
    FUTILE: "hopeless after",
    FAILED: "no seed is scored in it and in the reference, after",
    GO_ON: "goes on, so far",
}


@dataclass(frozen=True)
class Course:
    """How far a study of adaptive seeds is, variant by variant."""

    given: tuple[int, ...]
    """Number of first seeds that each variant needs so far."""
    counted: tuple[int, ...]
    """Number of first seeds whose scores count: of those given, the ones before the first that has not ended."""
    stops: tuple[Stop | None, ...]
    """None for variants that go on, and for the reference."""
    most: tuple[int, ...]
    """Greatest number of first seeds that each variant may come to need."""

    @property
    def may_follow(self) -> int:
        """Greatest number of cells that may be needed beside those given."""
        return sum(self.most) - sum(self.given)


def play_study(study: Comparison, tables: Floats, ended: NDArray[np.bool_]) -> Course:
    """Replay a study of adaptive seeds. Arguments as of `play`."""
    assert study.adaptive is not None
    levels = [variant.levels for variant in study.variants]
    apart = [i for i, variant in enumerate(study.variants) if variant.is_placebo]
    return play(study.adaptive, tables, ended, levels.index(study.reference.levels), study.smallest, apart)


def play(
    design: Design,
    tables: Floats,
    ended: NDArray[np.bool_],
    reference: int,
    smallest: float | None = None,
    apart: Sequence[int] = (),
) -> Course:
    """Replay a study round by round, to the first round that has not ended.

    `tables` are the scores in the compared metric, (variants, seeds, images), NaN where absent. `ended` are the cells,
    (variants, seeds), that are done or failed. A seed that failed is left out, and the variant goes on with the next.
    The reference has every seed that any variant has. Variants `apart`, as the placebo, are judged by their own p, and
    count for no other.
    """
    ended = np.logical_and.accumulate(ended, axis=1)  # the order of seeds is part of the design
    tables = np.where(ended[..., None], tables, np.nan)
    compared = [i for i in range(len(tables)) if i != reference]
    given, p = [design.from_seeds] * len(tables), dict.fromkeys(compared, 1.0)
    stops: dict[int, Stop] = {}

    for seeds in range(design.from_seeds, design.to_seeds + 1):
        going = [i for i in compared if i not in stops]
        if not going:
            break
        gaps = {i: tables[i, :seeds] - tables[reference, :seeds] for i in going}
        for i, gap in gaps.items():
            given[i] = given[reference] = seeds
            p[i] = sequential_p(design, gap)
        if not ended[[reference, *going], :seeds].all():
            break
        adjusted = family_wise(p, apart)
        for i, gap in gaps.items():
            reason = _state(design, gap, adjusted[i], smallest)
            if reason == GO_ON and seeds == design.to_seeds:  # some of its seeds failed
                reason = FINISHED
            if reason != GO_ON:
                stops[i] = Stop(reason, seeds, design.to_seeds)

    # What others have decided since lowers Holm's p of a variant that stopped undecided.
    adjusted = family_wise(p, apart)
    for i in stops:
        if adjusted[i] <= design.alpha:
            stops[i] = replace(stops[i], reason=DECIDED)
    goes_on = [i in p and i not in stops for i in range(len(tables))]
    goes_on[reference] = any(goes_on)
    return Course(
        given=tuple(given),
        counted=tuple(min(number, int(row.sum())) for number, row in zip(given, ended, strict=True)),
        stops=tuple(stops.get(i) for i in range(len(tables))),
        most=tuple(design.to_seeds if on else number for on, number in zip(goes_on, given, strict=True)),
    )


def sequential_p(design: Design, gap: Floats) -> float:
    """Give the sequential p of a table of differences; 1 where fewer than two images are scored under every seed."""
    return design.p(gap) if _images(gap) >= 2 else 1.0


def _state(design: Design, gap: Floats, p_adjusted: float, smallest: float | None) -> str:
    """Give the state of a variant after a round that has ended."""
    if np.isnan(gap).all():
        return FAILED
    if _images(gap) < 2:  # says nothing of other images, under any number of seeds
        return FUTILE
    return design.decided(gap, p_adjusted, smallest)


def _images(gap: Floats) -> int:
    """Count the images that are scored under every seed that is scored at all."""
    present = ~np.isnan(gap)
    return int(present[present.any(axis=1)].all(axis=0).sum()) if present.any() else 0
