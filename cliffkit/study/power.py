"""What a study can see before it runs: the smallest difference that is seen four times in five, by number of seeds.

The noise is that of the study's own cells, else that of a like study whose report is in the same runs folder, else an
assumption for abs_rel; for other metrics nothing is known before seeds are in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cliffkit.data.splits import Roots, open_split
from cliffkit.errors import UserError
from cliffkit.statistics import Design, Variance, detectable, mean_noise
from cliffkit.store.artifacts import StudyNoise, TableNoise
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell
from cliffkit.study.noise import differences, likeness
from cliffkit.study.reading import load_results
from cliffkit.study.study import Study

OWN, LIKE, ASSUMED, UNKNOWN = "own cells", "like study", "assumption", "unknown"

SEEDS = (3, 5, 10)
"""Numbers of seeds that are planned beside the study's own."""

ASSUMPTION = (Variance(0.002**2, 0.009**2, 0.057**2), Variance(0.0054**2, 0.039**2, 0.077**2))
"""Least and greatest noise of a difference in abs_rel, as measured on rooms at 500 and 1,500 steps, with common random
numbers: docs/why/statistics.md has the figures."""

ASSUMED_METRIC = "abs_rel"


@dataclass(frozen=True)
class Sight:
    """What a number of seeds sees."""

    seeds: int | Design
    low: float
    """Smallest difference that is seen four times in five where the noise is the least that is known; infinite with one
    seed."""
    high: float
    """The same where the noise is the greatest that is known: equal to `low` where the noise was measured."""
    own: bool
    """Whether the study has these seeds."""


@dataclass(frozen=True)
class Power:
    """What a study can see, in its metric and protocol."""

    metric: str
    protocol: str
    images: int
    """Test images."""
    source: str
    """Where the noise is known from: `own cells`, `like study`, `assumption`, or `unknown`."""
    differences: int
    """Number of differences whose noise is averaged; 0 where none was measured."""
    study: str
    """Name of the like study; else empty."""
    sights: tuple[Sight, ...]
    """In the order of the seeds; empty where the noise is unknown."""
    smallest: float | None
    """Smallest difference of interest; None where the study names none."""

    @property
    def own(self) -> Sight | None:
        """What the study's own seeds see; None where the noise is unknown."""
        return next((sight for sight in self.sights if sight.own), None)


def foresee(study: Study, cells: Sequence[Cell], store: Store, roots: Roots) -> Power:
    """Say what a study can see. Raises UserError as `load_results` does."""
    images = len(open_split(study.base, "test", roots))
    source, name, count, variances = _noise(study, cells, store)
    sights = tuple(_sights(study, variances, images)) if variances and images >= 2 else ()
    source = source if sights else UNKNOWN
    return Power(study.metric, study.protocol, images, source, count, name, sights, study.smallest)


def _noise(study: Study, cells: Sequence[Cell], store: Store) -> tuple[str, str, int, tuple[Variance, Variance] | None]:
    """Give where the noise is known from, the like study, the number of differences, and least and greatest noise."""
    if any(store.done(cell.jobs[-1]) for cell in cells):
        results = load_results(study, cells, store)
        mean = mean_noise(differences(results, study.protocol, study.metric))
        if mean is not None:
            noise, count = mean
            return OWN, "", count, (noise.variance, noise.variance)
    like = max(_like(study, store), key=lambda pair: pair[1].differences * (pair[1].replicates - 1), default=None)
    if like is not None:
        name, table = like
        variance = Variance(table.seeds, table.images, table.rest)
        return LIKE, name, table.differences, (variance, variance)
    if study.metric == ASSUMED_METRIC:
        return ASSUMED, "", 0, ASSUMPTION
    return UNKNOWN, "", 0, None


def _like(study: Study, store: Store) -> Iterator[tuple[str, TableNoise]]:
    """Give the noise that like studies left in the study's metric and protocol, with their names."""
    like = likeness(study)
    protocol = next(protocol for protocol in study.base.protocols if protocol.name == study.protocol)
    for path in sorted((store.root / "studies").glob(f"*/{StudyNoise.FILE}")):
        try:
            left = StudyNoise.read(path.parent)
        except UserError:  # a plan does without what is damaged or of another version
            continue
        if left.like == like:
            yield from ((left.study, t) for t in left.tables if (t.protocol, t.metric) == (protocol, study.metric))


def _sights(study: Study, variances: tuple[Variance, Variance], images: int) -> Iterator[Sight]:
    """Give what the study's own seeds see, and what other numbers would."""
    own = len(study.seeds) if study.adaptive is None else study.adaptive
    others = [seeds for seeds in SEEDS if seeds != own]
    plans: list[int | Design] = [*others, own]
    for seeds in sorted(plans, key=lambda plan: plan.to_seeds if isinstance(plan, Design) else plan):
        low, high = (detectable(variance, seeds, images) for variance in variances)
        yield Sight(seeds, low, high, seeds is own or seeds == own)
