"""Networks beside a constant depth, the median of the training split: what does not beat it has learnt nothing."""

from __future__ import annotations

from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.store.artifacts import Scores
from cliffkit.study.analysis import Table
from cliffkit.study.results import Results


def baseline(results: Results, protocol: str, metric: str) -> str | None:
    """Say what a constant depth scores: a network must beat it."""
    scores = _constant(results, protocol)
    if scores is None:
        return None
    value = scores.protocols[protocol].baseline[metric]
    split = "test" if scores.selection is None else "training"
    return f"The constant depth {scores.baseline_depth_m:.2f} m (median of the {split} split) scores {value:.4g}."


def not_better_than_constant(results: Results, table: Table) -> list[str] | None:
    """Name the variants whose mean is no better than the score of a constant depth; None where none has a score."""
    scores = _constant(results, table.protocol)
    means = {row.variant.name: row.mean.value for row in table.rows if row.mean is not None}
    if scores is None or not means:
        return None
    value, sign = scores.protocols[table.protocol].baseline[table.metric], 1 if table.metric in HIGHER_IS_BETTER else -1
    return [name for name, mean in means.items() if not sign * mean > sign * value]


def hardly_better_than_constant(results: Results, table: Table) -> list[str]:
    """Name the variants whose mean has the score of a constant depth within its interval."""
    scores = _constant(results, table.protocol)
    if scores is None:
        return []
    value = scores.protocols[table.protocol].baseline[table.metric]
    means = {row.variant.name: row.mean for row in table.rows}
    return [name for name, mean in means.items() if mean is not None and mean.low <= value <= mean.high]


def _constant(results: Results, protocol: str) -> Scores | None:
    """Give scores that hold those of a constant depth under a protocol."""
    every = (cell.scores for cell in results.cells if cell.scores is not None)
    return next((scores for scores in every if protocol in scores.protocols), None)
