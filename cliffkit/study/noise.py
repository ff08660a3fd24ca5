"""The noise of a study's differences: where it comes from, what would halve it, and what like studies may take from it.

A difference is that of a variant to the reference, on the same images under the same seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS
from cliffkit.statistics import Floats, Noise, mean_noise
from cliffkit.store.artifacts import Likeness, StudyNoise, TableNoise
from cliffkit.study.results import CellResult, Results
from cliffkit.study.study import Study

TAIL = 0.2
"""Share of the steps, the last ones, in which the validation score must improve for training to be unfinished."""

GAIN = 0.01
"""Share by which the best score of these steps must be better than the best of the steps before."""


@dataclass(frozen=True)
class NoiseSummary:
    """The noise of a study's differences, in the study's metric and protocol."""

    mean: Noise
    """Of the mean variance components, at the median number of seeds and images."""
    curves: int
    """Cells whose curve of validation says whether training was finished."""
    improving: int
    """Those of them whose score still improved at the end."""
    uneven: bool = False
    """Whether variants differ in their numbers of seeds."""


def differences(results: Results, protocol: str, metric: str) -> list[Floats]:
    """List the (seeds, images) tables of the variants' differences to the reference.

    The placebo is left out: it shares no seed with the reference, so its differences are noisier.
    """
    study, values = results.study, results.table(protocol, metric)
    reference = values[study.variants.index(study.reference)]
    pairs = zip(study.variants, values, strict=True)
    apart = (study.reference.levels, *(variant.levels for variant in study.variants if variant.is_placebo))
    return [rows - reference for variant, rows in pairs if variant.levels not in apart]


def summarise_noise(results: Results) -> NoiseSummary | None:
    """Summarise the noise of a study's differences; None where no difference has two seeds and two images."""
    tables = differences(results, results.study.protocol, results.study.metric)
    mean = mean_noise(tables)
    if mean is None:
        return None
    unfinished = [state for result in results.cells if (state := still_improving(result)) is not None]
    seeds = {int((~np.isnan(table)).any(axis=1).sum()) for table in tables}
    return NoiseSummary(mean[0], len(unfinished), sum(unfinished), uneven=len({n for n in seeds if n >= 2}) > 1)


def still_improving(result: CellResult) -> bool | None:
    """Tell whether a cell's best validation score of the last steps beats that of the steps before; None: unknown."""
    if result.scores is None or result.scores.selection is None or not result.curve:
        return None
    border = (1 - TAIL) * result.curve[-1][0]
    before, last = ([score for step, score in result.curve if (step > border) == late] for late in (False, True))
    if not before or not last or result.curve[-len(last) - 1][0] < (1 - 2 * TAIL) * result.curve[-1][0]:
        return None  # validations are too few to tell the last steps from those before
    if result.scores.selection.score in HIGHER_IS_BETTER:
        return max(last) > max(before) * (1 + GAIN)
    return min(last) < min(before) * (1 - GAIN)


def study_noise(results: Results, study: Study) -> StudyNoise:
    """Gather what a study leaves for the plans of like studies."""
    tables = []
    for protocol in results.protocols:
        for metric in METRICS:
            mean = mean_noise(differences(results, protocol.name, metric))
            if mean is not None:
                noise, count = mean
                variance = noise.variance
                parts = variance.seeds, variance.images, variance.rest
                tables.append(TableNoise(protocol, metric, *parts, differences=count, replicates=noise.seeds))
    return StudyNoise(study.name, likeness(study), tuple(tables))


def likeness(study: Study) -> Likeness:
    """Give what a study must share with another, so that the noise of one is taken for that of the other."""
    recipe = study.reference.recipe
    height, width = recipe.data.engine["size"]
    steps = recipe.train.depth.settings.steps
    first = next(iter(recipe.model.values()))
    return Likeness(recipe.data.component.name, (height, width), first.to_dict(), steps)
