"""What a study found, in one sentence that a reader may quote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cliffkit.report.power import would_have_seen
from cliffkit.report.sentences import between
from cliffkit.report.wording import CONFIDENCE, chance, half, number, table_digits
from cliffkit.scoring.metrics import UNITS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, THESE_WEIGHTS, UNMEASURED, WORSE, estimate
from cliffkit.statistics.sequential import GO_ON
from cliffkit.study.analysis import Analysis, Row, Table
from cliffkit.study.results import CellResult, Results
from cliffkit.study.rounds import NOT_NEEDED
from cliffkit.study.study import Point

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
    setting, write = _setting(results, measured), _Writer(table)
    if all(row.difference is not None and row.difference.images == 1 for row in measured):
        return f"{setting}, nothing can be concluded: one image says nothing of others."
    unsettled = [row for row in rows if _is_open(results, row)]
    settled = [row for row in rows if row not in unsettled]
    clauses = [
        *_moved([row for row in settled if row.word == BETTER], results, table, write),
        *_moved([row for row in settled if row.word == WORSE], results, table, write),
        *_equal([row for row in settled if row.word == EQUIVALENT], write),
        *_unclear([row for row in settled if row.word == NOISE], settled, results, len(rows), write),
        *_alone([row for row in settled if row.word == THESE_WEIGHTS], len(rows), write),
        *_absent([row for row in settled if row.word == UNMEASURED]),
        *_undecided(unsettled, len(rows)),
        *_survivors([study.reference, *(row.variant for row in measured if row in settled)], results),
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
    lead = "So far, compared" if any(map(_is_missing, results.cells)) else "Compared"
    return (
        f"{lead} with {study.reference.name} on {images} of {scores.data['use']} ({study.metric} under protocol "
        f"{study.protocol}) and {seeds}{done}"
    )


def _needed(results: Results) -> int:
    return sum(cell.state != NOT_NEEDED for cell in results.cells)


def _is_open(results: Results, row: Row) -> bool:
    """Tell whether cells may still change a verdict: the variant goes on, or it or the reference misses some."""
    if row.stop is not None:
        return row.stop.reason == GO_ON
    return any(map(_is_missing, (*results.of(row.variant), *results.of(results.study.reference))))


def _is_missing(result: CellResult) -> bool:
    """Tell whether a cell is needed and has not ended; a damaged one is done again."""
    return result.state == "waiting" or result.damaged


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
        start, p = _start(results, row), chance(row.p_adjusted)
        amounts.append(
            f"from {write(start, unit=False)} to {write(start + difference.value)} ({_difference(row, write)}, "
            f"{name} {p.replace('<', '< ') if '<' in p else f'= {p}'}{_stopped(row)})"
        )
    if len(shown) < len(rows):
        yield f"{len(rows)} variants {verb} {table.metric}, most of all {rows[0].variant.name}, {amounts[0]}"
    else:
        first, *others = [row.variant.name for row in shown]
        parts = [f"{first} {verb} {table.metric} {amounts[0]}"]
        parts += [f"{other} {amount}" for other, amount in zip(others, amounts[1:], strict=True)]
        yield _joined(parts)


def _difference(row: Row, write: _Writer) -> str:
    """Write a difference with its interval."""
    assert row.difference is not None
    return f"difference {write(row.difference.value, sign=True)}, {CONFIDENCE} interval {_interval(row, write)}"


def _interval(row: Row, write: _Writer) -> str:
    difference = row.difference
    assert difference is not None
    return f"{write(difference.low, sign=True, unit=False)} to {write(difference.high, sign=True)}"


def _stopped(row: Row) -> str:
    return f", {row.stop}" if row.stop is not None else ""


def _equal(rows: Sequence[Row], write: _Writer) -> Iterator[str]:
    """Say which variants are equivalent, each with its difference, or many with the widest interval among them."""
    if not rows:
        return
    bound = f"equivalent within ±{rows[0].smallest:g}{write.unit} by two one-sided tests"
    if len(rows) > _MOST:
        yield f"{len(rows)} variants were {bound} ({_widest(rows, write)})"
    else:
        each = _joined([f"{row.variant.name} ({_difference(row, write)}{_stopped(row)})" for row in rows])
        yield f"{each} {'was' if len(rows) == 1 else 'were'} {bound}"


def _widest(rows: Sequence[Row], write: _Writer) -> str:
    """Write the widest of some intervals."""
    row = max(rows, key=lambda row: half(row.difference) if row.difference is not None else 0.0)
    return f"{'widest ' * (len(rows) > 1)}{CONFIDENCE} interval {_interval(row, write)}"


def _unclear(
    rows: Sequence[Row], settled: Sequence[Row], results: Results, total: int, write: _Writer
) -> Iterator[str]:
    """Say which variants are neither better, worse nor equivalent, and what the study would have seen of them.

    With adaptive seeds say how each stopped: the power of the whole design is not that of those that stopped early.
    """
    if not rows:
        return
    decided = sum(row.word in (BETTER, WORSE, EQUIVALENT) for row in settled)
    if len(rows) == total > 1:
        lead = f"none of the {len(rows)} variants could be told apart from the reference"
    elif len(rows) > _MOST and len(rows) + decided == total:
        lead = f"the other {len(rows)} variants could not be told apart from the reference"
    else:
        lead = f"{_names(rows)} could not be told apart from the reference"
    if results.study.adaptive is not None:
        yield f"{lead} ({', '.join([*_ends(rows), _widest(rows, write)])})"
        return
    sights = would_have_seen(results, rows)
    if sights is None or sights[1] == 0:
        yield lead
    else:
        power = between(f"{sights[0]:.2g}", f"{sights[1]:.2g}") + write.unit
        yield f"{lead}, and the study would have seen {power} four times in five"


def _ends(rows: Sequence[Row]) -> list[str]:
    """Say how variants stopped, those together that stopped alike."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.stop), []).append(row)
    return list(groups) if len(groups) == 1 else [f"{_names(group)} {stop}" for stop, group in groups.items()]


def _undecided(rows: Sequence[Row], total: int) -> Iterator[str]:
    """Say which variants further cells may still decide."""
    if len(rows) == total > 1:
        yield f"none of the {total} variants is decided yet"
    elif rows:
        yield f"{_names(rows)} {'is' if len(rows) == 1 else 'are'} not decided yet"


def _alone(rows: Sequence[Row], total: int, write: _Writer) -> Iterator[str]:
    """Say that one seed gives no verdict on recipes."""
    if not rows:
        return
    ends = [pick(rows, key=_value) for pick in (min, max)]
    low, high = (write(_value(row), sign=True, unit=False) for row in ends)
    amount = between(low, high) + write.unit
    word = "the difference" if len(rows) == 1 else "differences"
    whose = "" if len(rows) == total else f" of {_names(rows)}"
    yield f"{word}{whose} of {amount} may be the luck of one training, since one seed gives no verdict"


def _absent(rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield f"{_names(rows)} {'was' if len(rows) == 1 else 'were'} not measured"


def _survivors(variants: Sequence[Point], results: Results) -> Iterator[str]:
    """Say which variants are judged without seeds that failed: those that are left may be the lucky ones."""
    parts = []
    for variant in variants:
        cells = [cell for cell in results.of(variant) if cell.state != NOT_NEEDED]
        failed = sum(cell.state == "failed" and not cell.damaged for cell in cells)
        parts += [f"{variant.name} ({failed} of {len(cells)})"] * bool(failed)
    if parts:
        each = _joined(parts) if len(parts) <= _MOST else f"{len(parts)} variants"
        yield f"{each} {'is' if len(parts) == 1 else 'are'} judged without the seeds that failed"


def _start(results: Results, row: Row) -> float:
    """Give the reference's mean over the seeds and images that the row's difference uses."""
    study = results.study
    values = results.table(study.protocol, study.metric)
    reference, own = (values[study.variants.index(variant)] for variant in (study.reference, row.variant))
    mean = estimate(np.where(np.isnan(own), np.nan, reference))
    assert mean is not None
    return mean.value


class _Writer:
    """Writes values in the compared metric, with the decimals of the table."""

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
