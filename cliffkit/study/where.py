"""Where a variant differs from the reference: by range of depth, at boundaries and inside surfaces, by scene type.

Every family of regions has its own tables and its own Holm. All is in the study's metric and protocol. A region's score
of an image is the metric over the region's pixels (`scoring.regions`), that of a scene type the score of its images; an
image without the region is absent, as one without a scored pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS
from cliffkit.scoring.regions import DEPTH, EDGES, REGIONS
from cliffkit.statistics import FEW_IMAGES, UNMEASURED, Estimate, verdict
from cliffkit.study.effects import estimator_of
from cliffkit.study.family import family_wise, over_planned
from cliffkit.study.results import Results, compared_values
from cliffkit.study.rounds import sequential_p
from cliffkit.study.study import Comparison, Point

Floats = NDArray[np.float64]

SCENES = "scenes"
"""The family of scene types."""


@dataclass(frozen=True)
class Local:
    """The difference of a variant from the reference in one region."""

    difference: Estimate | None
    """None where nothing is measured: a few images say too little of others."""
    word: str
    """The verdict. `equivalent` is not said: the smallest difference of interest is one of whole images."""
    p_adjusted: float | None
    """Holm's, over all variants and regions of the family; None where nothing is measured."""


@dataclass(frozen=True)
class Family:
    """Regions that are judged together."""

    name: str
    """`depth`, `edges` or `scenes`."""
    regions: tuple[str, ...]
    images: tuple[int, ...]
    """Number of test images that have each region."""
    rows: tuple[tuple[Point, tuple[Local, ...]], ...]
    """Each variant but reference and placebo, with a `Local` for each region."""

    @property
    def compared(self) -> int:
        """Number of differences that Holm's p counts, those that are not measured yet among them; 0 where no p is."""
        if all(local.p_adjusted is None for _, row in self.rows for local in row):
            return 0
        return len(self.rows) * sum(images >= FEW_IMAGES for images in self.images)

    @property
    def measured(self) -> int:
        """Number of those differences that are measured."""
        judged = [local for _, row in self.rows for local in row]
        return sum(local.difference is not None and local.p_adjusted is not None for local in judged)


def where(results: Results) -> tuple[Family, ...]:
    """Judge every family of which there are at least two regions; none where the regions were not read."""
    if results.regions is None:
        return ()
    study = results.study
    whole = results.scores[study.protocol][..., METRICS.index(study.metric)]
    local = results.regions.copy()
    local[np.isnan(whole).all(axis=-1)] = np.nan  # seeds that the study does not look at, though their cells are done

    tables: dict[str, dict[str, Floats]] = {DEPTH: {}, EDGES: {}, SCENES: {}}
    for k, region in enumerate(REGIONS):
        tables[region.family][region.name] = local[..., k]
    for scene in sorted(set(results.scenes) - {""}):
        is_of_type = np.array([name == scene for name in results.scenes])
        tables[SCENES][scene] = np.where(is_of_type, whole, np.nan)
    families = (_family(results, name, regions) for name, regions in tables.items())
    return tuple(family for family in families if family is not None)


def _family(results: Results, name: str, tables: Mapping[str, Floats]) -> Family | None:
    """Judge the regions of a family by their tables (variants, seeds, images); None where fewer than two are there."""
    study = results.study
    protocol = next(protocol for protocol in results.protocols if protocol.name == study.protocol)
    images = {region: int((~np.isnan(table)).any(axis=(0, 1)).sum()) for region, table in tables.items()}
    present = [region for region in tables if images[region]]
    if len(present) < 2:
        return None
    variants = [v for v in study.variants if v.levels != study.reference.levels and not v.is_placebo]
    gaps: dict[tuple[int, int], Floats] = {}
    for k, region in enumerate(present):
        table = compared_values(tables[region], protocol, study.metric)
        reference = table[study.variants.index(study.reference)]
        gaps |= {(i, k): table[study.variants.index(variant)] - reference for i, variant in enumerate(variants)}
    locals_ = _judged(study, gaps, {k for k, region in enumerate(present) if images[region] >= FEW_IMAGES})
    rows = tuple((variant, tuple(locals_[i, k] for k in range(len(present)))) for i, variant in enumerate(variants))
    return Family(name, tuple(present), tuple(images[region] for region in present), rows)


def _judged(
    study: Comparison, gaps: Mapping[tuple[int, int], Floats], several: Set[int]
) -> dict[tuple[int, int], Local]:
    """Judge differences, by variant and region. Adaptive seeds have intervals and p of their own, valid at any stop.

    Holm's p counts every comparison, measured or not, but those of a region that is not among the `several` with
    FEW_IMAGES or more: no seed will decide it.
    """
    design, estimator = study.adaptive, estimator_of(study)
    differences = {key: estimator(gap) for key, gap in gaps.items()}
    if design is None:
        adjusted = over_planned({key: difference for key, difference in differences.items() if key[1] in several})
    else:
        adjusted = family_wise({key: sequential_p(design, gap) for key, gap in gaps.items() if key[1] in several})
    higher = study.metric in HIGHER_IS_BETTER
    judged = {}
    for key, gap in differences.items():
        is_enough = gap is not None and gap.images >= FEW_IMAGES
        word = verdict(gap, higher_is_better=higher, p_adjusted=adjusted.get(key)) if is_enough else UNMEASURED
        judged[key] = Local(gap, word, adjusted.get(key)) if is_enough else Local(None, word, None)
    return judged
