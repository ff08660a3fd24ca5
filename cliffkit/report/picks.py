"""Which variants and which images a report shows, where it cannot show all."""

from __future__ import annotations

import numpy as np

from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.study.results import Results
from cliffkit.study.study import Levels, Point


def pick(results: Results, most: int, *, spread_out: bool) -> list[Point]:
    """Pick at most so many variants that are done: reference, best, worst, full, and others if `spread_out`.

    The others are spread evenly over the ranks. All of them come in the study's order.
    """
    study = results.study
    ranked = _ranked(results)
    if len(ranked) <= most:
        wanted = ranked
    else:
        ends = (study.reference.levels, ranked[0], ranked[-1], study.full)
        wanted = [levels for levels in dict.fromkeys(ends) if levels in ranked][:most]
        others = [levels for levels in ranked if levels not in wanted]
        room = most - len(wanted) if spread_out else 0
        wanted += [others[(2 * i + 1) * len(others) // (2 * room)] for i in range(room)]
    return [variant for variant in study.variants if variant.levels in wanted]


def _ranked(results: Results) -> list[Levels]:
    """Rank the levels of the variants that have a score, from the best mean to the worst; not the placebo's."""
    study = results.study
    values = results.table(study.protocol, study.metric)
    variants = [i for i, variant in enumerate(study.variants) if not variant.is_placebo]
    scored = [i for i in variants if np.isfinite(values[i]).any()]
    scored.sort(key=lambda i: float(np.nanmean(values[i])), reverse=study.metric in HIGHER_IS_BETTER)
    return [study.variants[i].levels for i in scored]


def pick_images(results: Results) -> dict[int, str]:
    """Pick test images, each with why it is shown: the reference's worst two, the two about its median, its best."""
    study = results.study
    values = results.table(study.protocol, study.metric)[study.variants.index(study.reference)]
    done = values[np.isfinite(values).any(axis=1)]
    if not len(done):
        return {}
    means = done.mean(axis=0)
    order = [int(i) for i in np.argsort(means, kind="stable") if np.isfinite(means[i])]
    if study.metric in HIGHER_IS_BETTER:
        order.reverse()
    middle = (len(order) - 1) // 2
    picks = {"worst": order[:-3:-1], "median": order[middle : middle + 2], "best": order[:1]}
    chosen: dict[int, str] = {}
    for why, indices in picks.items():
        for index in indices:
            chosen.setdefault(index, why)
    return chosen
