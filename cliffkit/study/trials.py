"""The trials of a study's search as cells to run, and the values that they choose: a function of the store alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from cliffkit.data.splits import Roots
from cliffkit.errors import UserError
from cliffkit.jobs.plan import Planner
from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.store.artifacts import DepthFitFacts
from cliffkit.store.snapshot import Snapshot
from cliffkit.store.store import LARGE, Store
from cliffkit.study.cells import LONGEST_SLUG, Cell
from cliffkit.study.study import Levels, Study, Variant
from cliffkit.study.tuning import Choice, Tried, undecided, written


def plan_trials(study: Study, roots: Roots) -> list[Cell]:
    """Plan every trial of a study under each of its seeds, in the order of `Tuning.trials`.

    A trial ends with stage `depth`: it has a validation score, and no image of the test split is looked at.
    """
    tuning, planner, cells = study.tuning, Planner(roots), []
    assert tuning is not None
    for i, trial in enumerate(tuning.trials):
        name = f"{trial.variant.name}, trial {written(trial.values)}"
        variant = Variant(name, trial.variant.levels, trial.recipe)
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", trial.variant.name)[:LONGEST_SLUG]
        for seed in tuning.seeds_of(tuning.of(trial.variant)):
            name = f"{study.name}.{slug}.trial{i}.s{seed}"
            recipe = replace(trial.recipe, name=name, seed=trial.recipe.seed + seed)
            fit = next(job for job in planner.plan(recipe) if job.stage == "depth")
            cells.append(Cell(variant, seed, recipe, (*fit.needs.values(), fit)))
    return cells


def choose(study: Study, cells: Sequence[Cell], store: Store) -> dict[Levels, Choice]:
    """Choose the values of every variant by the validation scores in the store, by the variant's levels.

    `cells` are those of `plan_trials`. Nothing is chosen while a trial is neither done nor failed, so the choice
    depends on no order in which trials end. Of equal scores the first in the grid counts. The placebo has the
    reference's choice.
    """
    assert study.tuning is not None
    left, choices, found = iter(cells), undecided(study), Snapshot(store)
    for variant in study.variants:
        if not variant.is_placebo:
            choices[variant.levels] = _chosen(choices[variant.levels], left, found)
    if study.placebo is not None:
        choices[study.placebo.levels] = choices[study.reference.levels]
    return choices


def _chosen(choice: Choice, cells: Iterator[Cell], store: Store) -> Choice:
    """Give a choice with the scores of its trials, whose cells are the next ones."""
    if not choice.seeds:
        return choice
    tried = tuple(_tried(tried, [next(cells) for _ in range(choice.seeds)], store) for tried in choice.tried)
    scores = [one.score for one in tried if one.score is not None]
    if not scores or any(one.state == "waiting" for one in tried):
        return replace(choice, tried=tried)
    best = (max if choice.metric in HIGHER_IS_BETTER else min)(scores)
    return replace(choice, tried=tried, chosen=next(one.trial for one in tried if one.score == best))


def _tried(tried: Tried, cells: Sequence[Cell], store: Store) -> Tried:
    """Look how a trial came out under its seeds; one that failed under any seed has failed."""
    scores, reasons = [], []
    for cell in cells:
        fit = cell.jobs[-1]
        if store.done(fit) and store.damage(fit, LARGE) is None:
            try:
                scores.append(DepthFitFacts.read(store.folder(fit)).best_score)
            except UserError:  # damaged since: `ablate` finds it and does it again
                continue
        elif not store.done(fit):
            failures = [(job.stage, store.failure(job)) for job in cell.jobs if not store.done(job)]
            reasons += [f"{stage}: {failure.reason}" for stage, failure in failures if failure is not None]
    if reasons:
        return replace(tried, state="failed", reason="; ".join(dict.fromkeys(reasons)))
    return replace(tried, state="done", score=fmean(scores)) if len(scores) == len(cells) else tried
