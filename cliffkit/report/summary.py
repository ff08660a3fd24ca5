"""What a study found, in one sentence that a reader may quote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cliffkit.report.power import would_have_seen
from cliffkit.report.sentences import between
from cliffkit.report.wording import chance, number, table_digits
from cliffkit.scoring.metrics import UNITS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, THESE_WEIGHTS, UNMEASURED, WORSE, estimate
from cliffkit.study.analysis import Analysis, Row, Table
from cliffkit.study.results import Results
from cliffkit.study.rounds import NOT_NEEDED

_MOST = 3
"""Variants that are named one by one; more are counted."""


def summary(results: Results, analysis: Analysis) -> str:
    """Say in one sentence what was compared, on what, and every verdict with its numbers, the placebo left out."""
    table, study = analysis.first(results), results.study
    rows = [row for row in table.rows if row.word is not None and not row.variant.is_placebo]
    rows.sort(key=_size, reverse=True)
    measured = [row for row in rows if row.difference is not None]
    if not results.done:
        return f"Nothing is measured yet: none of {_needed(results)} cells is done."
    if not rows:
        return f"Nothing is compared: the study has no variant beside the reference, {study.reference.name}."
    if not measured:
        return (
            "Nothing can be compared yet: no variant shares a seed and a scored image with the reference, "
            f"{study.reference.name}."
        )
    setting = _setting(results, measured)
    if all(row.difference is not None and row.difference.images == 1 for row in measured):
        return f"{setting}, nothing can be concluded: one image says nothing of others."
    write = _Writer(table)
    clauses = [
        *_moved([row for row in rows if row.word == BETTER], results, table, write),
        *_moved([row for row in rows if row.word == WORSE], results, table, write),
        *_equal([row for row in rows if row.word == EQUIVALENT], write.unit),
        *_unclear([row for row in rows if row.word == NOISE], rows, results, write.unit),
        *_alone([row for row in rows if row.word == THESE_WEIGHTS], len(rows), write),
        *_absent([row for row in rows if row.word == UNMEASURED]),
    ]
    return f"{setting}, {'; '.join(clauses)}."


def _setting(results: Results, measured: Sequence[Row]) -> str:
    """Say what the comparisons stand on: reference, images, data, metric, protocol, seeds, and what is missing."""
    study = results.study
    differences = [row.difference for row in measured if row.difference is not None]
    images = _count([difference.images for difference in differences], "test image")
    seeds = _count([difference.seeds for difference in differences], "seed")
    scores = next(cell.scores for cell in results.cells if cell.scores is not None)
    needed = _needed(results)
    done = f" ({results.done} of {needed} cells are done)" if results.done < needed else ""
    return (
        f"Compared with {study.reference.name} on {images} of {scores.data['use']} ({study.metric} under protocol "
        f"{study.protocol}) and {seeds}{done}"
    )


def _needed(results: Results) -> int:
    return sum(cell.state != NOT_NEEDED for cell in results.cells)


def _moved(rows: Sequence[Row], results: Results, table: Table, write: _Writer) -> Iterator[str]:
    """Say by how much variants lowered or raised the metric, all of them to one side of 0."""
    if not rows:
        return
    verb = "lowered" if _value(rows[0]) < 0 else "raised"
    name = ("Holm's " if table.compared > 1 else "") + ("sequential p" if results.study.adaptive else "p")
    shown = rows if len(rows) <= _MOST else rows[:1]
    amounts = []
    for row in shown:
        difference = row.difference
        assert difference is not None
        start = _start(results, row)
        p = chance(row.p_adjusted)
        stop = f", {row.stop}" if row.stop is not None else ""
        amounts.append(
            f"from {write(start, unit=False)} to {write(start + difference.value)} (difference "
            f"{write(difference.value, sign=True)}, 95 % interval {write(difference.low, sign=True, unit=False)} to "
            f"{write(difference.high, sign=True)}, {name} {p.replace('<', '< ') if '<' in p else f'= {p}'}{stop})"
        )
    if len(shown) < len(rows):
        yield f"{len(rows)} variants {verb} {table.metric}, most of all {rows[0].variant.name}, {amounts[0]}"
    else:
        first, *others = [row.variant.name for row in shown]
        parts = [f"{first} {verb} {table.metric} {amounts[0]}"]
        parts += [f"{other} {amount}" for other, amount in zip(others, amounts[1:], strict=True)]
        yield _joined(parts)


def _equal(rows: Sequence[Row], unit: str) -> Iterator[str]:
    if rows:
        were = "was" if len(rows) == 1 else "were"
        yield f"{_names(rows)} {were} equivalent within ±{rows[0].smallest:g}{unit}"


def _unclear(rows: Sequence[Row], compared: Sequence[Row], results: Results, unit: str) -> Iterator[str]:
    """Say which variants are neither better, worse nor equivalent, and what the study would have seen of them."""
    if not rows:
        return
    decided = sum(row.word in (BETTER, WORSE, EQUIVALENT) for row in compared)
    if len(rows) == len(compared) > 1:
        lead = f"none of the {len(rows)} variants could be told apart"
    elif len(rows) > _MOST and len(rows) + decided == len(compared):
        lead = f"the other {len(rows)} variants could not be told apart"
    else:
        lead = f"{_names(rows)} could not be told apart"
    sights = would_have_seen(results, rows)
    if sights is None or sights[1] == 0:
        yield lead
    else:
        power = between(f"{sights[0]:.2g}", f"{sights[1]:.2g}") + unit
        yield f"{lead}, and the study would have seen {power} four times in five"


def _alone(rows: Sequence[Row], total: int, write: _Writer) -> Iterator[str]:
    """Say that one seed gives no verdict on recipes."""
    if not rows:
        return
    values = sorted(_value(row) for row in rows)
    amount = between(write(values[0], sign=True, unit=False), write(values[-1], sign=True, unit=False)) + write.unit
    word = "the difference" if len(rows) == 1 else "differences"
    whose = "" if len(rows) == total else f" of {_names(rows)}"
    yield f"{word}{whose} of {amount} may be the luck of one training, since one seed gives no verdict"


def _absent(rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield f"{_names(rows)} {'was' if len(rows) == 1 else 'were'} not measured"


def _start(results: Results, row: Row) -> float:
    """Give the reference's mean over the seeds and images that the row's difference uses."""
    study = results.study
    values = results.table(study.protocol, study.metric)
    reference, own = (values[study.variants.index(variant)] for variant in (study.reference, row.variant))
    mean = estimate(np.where(np.isnan(own), np.nan, reference))
    assert mean is not None
    return mean.value


class _Writer:
    """Writes values of the compared metric, with the decimals of its table."""

    def __init__(self, table: Table) -> None:
        self.decimals = table_digits(table)
        self.unit = f" {UNITS[table.metric]}" if UNITS[table.metric] else ""

    def __call__(self, value: float, *, sign: bool = False, unit: bool = True) -> str:
        return number(value, self.decimals, sign=sign) + self.unit * unit


def _names(rows: Sequence[Row]) -> str:
    names = [row.variant.name for row in rows]
    return _joined(names) if len(names) <= _MOST else f"{len(names)} variants"


def _joined(parts: Sequence[str]) -> str:
    """Join with commas, the last with `and`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _count(numbers: Sequence[int], noun: str) -> str:
    """Write how many there are: "one seed", "3 to 10 seeds"."""
    low, high = min(numbers), max(numbers)
    return f"one {noun}" if high == 1 else f"{between(str(low), str(high))} {noun}s"


def _value(row: Row) -> float:
    return 0.0 if row.difference is None else row.difference.value


def _size(row: Row) -> float:
    return abs(_value(row))
