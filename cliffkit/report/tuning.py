"""The search inside every variant: what was tried, what was chosen, and whether all variants had the same chance."""

from __future__ import annotations

from collections.abc import Iterator

from cliffkit.report.wording import NOTHING, number
from cliffkit.study.results import Results
from cliffkit.study.study import Study, Variant
from cliffkit.study.tuning import Choice, Tried, written

HEADS = ("values tried", "score on val", "trainings", "outcome")


def equally_tuned(results: Results) -> bool | None:
    """Say whether every variant was tuned by as many trials; None for a study without a search."""
    counts = _counts(results)
    return len(counts) == 1 and 0 not in counts if counts else None


def tuning_sentence(results: Results) -> str:
    """Say how values were chosen, and whether every variant had as many trials; empty without a search."""
    tuning, choices = results.study.tuning, results.choices
    if tuning is None or not choices:
        return ""
    metric = next(iter(choices.values())).metric
    seeds = sorted({seed for trials in map(tuning.of, _variants(results)) for seed in tuning.seeds_of(trials)})
    under = f"under {'seeds' if len(seeds) > 1 else 'the seed'} {', '.join(map(str, seeds))}, which no cell has"
    how = f"Values were chosen inside each variant by {metric} on the validation split, {under}."
    counts = _counts(results)
    if list(counts) == [0]:
        return f"{how} No trial is done yet."
    if len(counts) == 1:
        return f"{how} Every variant had {next(iter(counts))} trials."
    unequal = "; ".join(f"{count} in {', '.join(names)}" for count, names in counts.items())
    return f"{how} The numbers of trials differ, so variants had unequal chances: {unequal}."


def tuning_rows(results: Results) -> list[tuple[str, list[str], bool]]:
    """Write every trial: its variant, its cells as `HEADS` names them, and whether it was chosen."""
    return [
        (name, [written(tried.trial.values), score, str(choice.seeds), outcome], tried.trial is choice.chosen)
        for name, choice in results.choices.items()
        for tried, score, outcome in _outcomes(choice)
    ]


def _outcomes(choice: Choice) -> Iterator[tuple[Tried, str, str]]:
    """Give trials with their scores and what came of them, as text."""
    for tried in choice.tried:
        score = NOTHING if tried.score is None else number(tried.score, 4)
        states = {"done": "", "failed": f"failed: {tried.reason}", "waiting": "not done yet"}
        chosen = tried.trial is choice.chosen
        outcome = "chosen" if chosen and choice.seeds else "nothing to tune" if chosen else states[tried.state]
        yield tried, score, outcome


def _counts(results: Results) -> dict[int, list[str]]:
    """Give the names of variants by the number of trials that are done."""
    counts: dict[int, list[str]] = {}
    for name, choice in results.choices.items():
        done = choice.seeds * sum(tried.state == "done" for tried in choice.tried)
        counts.setdefault(done, []).append(name)
    return counts


def _variants(results: Results) -> list[Variant]:
    study = results.study
    return [variant for variant in study.variants if not variant.is_placebo] if isinstance(study, Study) else []
