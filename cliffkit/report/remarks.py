"""What a report says of its study beside the numbers: what is compared, how much is done, what to keep in mind."""

from __future__ import annotations

from collections.abc import Iterable

from cliffkit.report import wording
from cliffkit.report.sentences import placebo_sentence, seeds_of
from cliffkit.report.wording import listed, spread, table_digits
from cliffkit.scoring.metrics import HIGHER_IS_BETTER
from cliffkit.statistics import EQUIVALENT, FEW_IMAGES
from cliffkit.store.artifacts import GivenScores
from cliffkit.study.analysis import Analysis, Ground, Row, Table
from cliffkit.study.board import HOW_TO_RETRY
from cliffkit.study.effects import Effect
from cliffkit.study.results import CellResult, Results
from cliffkit.study.rounds import NOT_NEEDED
from cliffkit.study.study import Comparison, Study


def question(results: Results) -> str:
    """Say what is compared, how, with what."""
    study = results.study
    direction = "higher" if study.metric in HIGHER_IS_BETTER else "lower"
    apart = "" if study.placebo is None else f"; the placebo under {seeds_of(study.placebo)}"
    pairs = "under the same seeds" if isinstance(study, Study) else "and folder by folder"
    return (
        f"Compared in {study.metric} ({direction} is better) under protocol {study.protocol}, "
        f"each variant with the reference, {study.reference.name}, on the same images {pairs}{apart}."
    )


def state(results: Results) -> str:
    """How much of the study there is."""
    study, total = results.study, sum(cell.state != NOT_NEEDED for cell in results.cells)
    variants = (
        f"{len(study.variants)} variants" if study.placebo is None else f"{len(study.variants) - 1} variants, placebo"
    )
    counts = {word: sum(cell.state == word for cell in results.cells) for word in ("failed", "waiting")}
    rest = [f"{counts['failed']} failed"] * bool(counts["failed"])
    rest += [f"{counts['waiting']} not done yet"] * bool(counts["waiting"])
    done, total_words = "All" if not rest else f"{results.done} of", f"{total}"
    seeds = f"{len(study.seeds)} seed{'s' * (len(study.seeds) != 1)}"
    if study.adaptive is not None:
        seeds, total_words = f"{study.adaptive.from_seeds} to {study.adaptive.to_seeds} seeds", f"{total} needed"
    if results.course is not None and results.course.may_follow:
        rest.append(f"at most {results.course.may_follow} more may follow")
    images = f"; {len(results.images)} test images" if results.images else ""
    return (
        f"{done} {total_words} cells are done ({variants}, {seeds}{images})"
        + "".join(f", {words}" for words in rest)
        + "."
    )


def caveats(results: Results, analysis: Analysis) -> list[str]:
    """Say what a reader must know before the numbers: seeds, the number of comparisons, notes of the study."""
    study, messages = results.study, []
    if not results.done:
        messages.append("No cell is done yet: there is nothing to compare.")
    if len(study.seeds) == 1:
        messages.append(
            f"One seed only (seed {study.seeds[0]}): what differs between variants may be the luck of their training, "
            "so every difference holds for these weights only. Give each variant three seeds or more."
        )
    first = analysis.first(results)
    images = [row.difference.images for row in first.rows if row.difference is not None]
    if images and 1 < min(images) < FEW_IMAGES and len(study.seeds) > 1:
        messages.append(
            f"{min(images)} test images only: on fewer than {FEW_IMAGES} verdicts err more often than one time in "
            "twenty, up to one in eight at two images and ten seeds. Score more images."
        )
    if first.placebo is not None:
        messages.append(placebo_sentence(first.placebo))
    if study.adaptive is not None:
        messages.append(
            f"Seeds came one by one, {study.adaptive.from_seeds} to {study.adaptive.to_seeds} for each variant, and "
            "stopped where a comparison was decided or hopeless. Intervals and p allow for all looks together. "
            "Differences of variants that were decided early are too large on average: luck helped them to stop."
        )
    compared = first.compared
    measured = sum(row.difference is not None for row in first.rows if not row.variant.is_placebo)
    if compared > 1:
        missing = f", {compared - measured} of them not measured" if measured < compared else ""
        messages.append(
            f"{compared} comparisons{missing}: better and worse are said only where Holm's p, over all of them "
            "together, is below 0.05, since each alone would err one time in twenty. Intervals are of each "
            "comparison alone."
        )
    return [*messages, *study.notes]


def troubles(results: Results) -> list[str]:
    """List cells that failed or are not done, one message for each variant or for all that failed alike.

    Cells that are done, but that some protocols cannot score, are listed too.
    """
    failures: dict[tuple[str, str], list[str]] = {}
    unscored: dict[str, list[str]] = {}
    waiting = []
    for variant in results.study.variants:
        cells = results.of(variant)
        failed = [result for result in cells if result.state == "failed"]
        for reason, seeds in _reasons(failed).items():
            needed = sum(result.state != NOT_NEEDED for result in cells)
            where = "at every seed" if len(seeds) == needed else f"at seed{'s' * (len(seeds) > 1)} {listed(seeds)}"
            failures.setdefault((where, reason), []).append(variant.name)
        for reason, seeds in _reasons(result for result in cells if result.state == "done" and result.reason).items():
            unscored.setdefault(reason, []).append(f"{variant.name} (seed {listed(seeds)})")
        seeds = [str(result.cell.own_seed) for result in cells if result.state == "waiting"]
        waiting += [f"{variant.name} (seed {listed(seeds)})"] * bool(seeds)
    messages = [f"{listed(names)} failed {where}: {reason}" for (where, reason), names in failures.items()]
    if any(result.state == "failed" and not result.damaged for result in results.cells):
        messages.append(f"When the cause is mended: {HOW_TO_RETRY}.")
    messages += [f"{listed(names)}: {reason}" for reason, names in unscored.items()]
    messages += [f"Not done yet: {listed(waiting)}. `cliffkit ablate` goes on with them."] * bool(waiting)
    return messages


def _reasons(failed: Iterable[CellResult]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for result in failed:
        reasons.setdefault(result.reason or "no reason is known", []).append(str(result.cell.own_seed))
    return reasons


def best(table: Table) -> str | None:
    """Name in a sentence the best mean, and the variants that cannot be told from it."""
    leader, ground = next((row for row in table.rows if row.best), None), table.ground
    if leader is None:
        return (
            None
            if ground is None
            else f"No best mean: {_apart(ground).lower()}, and no image and seed is common to all."
        )
    on = "" if ground is None else f" on the {_common(ground)} that every variant has"
    lead = f"Best mean{on}: {leader.variant.name}, {spread(leader.ranked, table_digits(table))}"
    ties = [row.variant.name for row in table.rows if row.tied and not row.best]
    return f"{lead}; not distinguishable from it: {listed(ties)}." if ties else f"{lead}."


def common_ground(table: Table) -> str | None:
    """Say on what the best is chosen where the means of a table are over different images or seeds."""
    ground = table.ground
    if ground is None:
        return None
    if not any(row.best for row in table.rows):
        return f"{_apart(ground)}, and no image and seed is common to all: no mean is called best."
    return f"{_apart(ground)}: the best is chosen on the {_common(ground)} that every variant has."


def _apart(ground: Ground) -> str:
    return f"Means are over different {' and '.join(ground.differs)}"


def _common(ground: Ground) -> str:
    counts = {"images": ground.images, "seeds": ground.seeds}
    return " and ".join(f"{counts[noun]} {noun.removesuffix('s' * (counts[noun] == 1))}" for noun in ground.differs)


def uneven_seeds(table: Table) -> str | None:
    """Say what means and differences stand on where variants have different numbers of seeds."""
    seeds = sorted({row.mean.seeds for row in table.rows if row.mean is not None})
    if len(seeds) < 2:
        return None
    return (
        f"Variants have {seeds[0]} to {seeds[-1]} seeds. A mean is over the variant's own seeds, a difference over the "
        "seeds that the variant and the reference have in common, so the two means need not differ by it."
    )


def dropped(results: Results, table: Table) -> list[str]:
    """Say how many images count for no mean, and why."""
    total = len(results.images)
    measured = [row for row in table.rows if row.mean is not None]
    counts: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for row in measured:
        assert row.mean is not None
        absent, some = total - row.mean.images - row.mean.dropped, row.mean.dropped
        without, sometimes = _unpredicted(results.of(row.variant))
        reasons = {
            "without a prediction": min(without, absent),
            f"with no pixel that {table.protocol} scores": absent - min(without, absent),
            "without a prediction under some seeds": min(sometimes, some),
            "with a score under some seeds only": some - min(sometimes, some),
        }
        counts.setdefault(tuple(reasons.items()), []).append(row.variant.name)
    messages = []
    for reasons_of, names in counts.items():
        whose = "" if len(names) == len(measured) else f" ({listed(names)})"
        messages += [f"{n} of {total} images left out, {words}{whose}." for words, n in reasons_of if n]
    return messages


def _unpredicted(cells: Iterable[CellResult]) -> tuple[int, int]:
    """Count the images without a prediction under every seed of a variant, and those without under some."""
    scores = [cell.scores for cell in cells if cell.scores is not None]
    missing = [set(each.predictions.missing) if isinstance(each, GivenScores) else set() for each in scores]
    if not missing:
        return 0, 0
    always = set.intersection(*missing)
    return len(always), len(set.union(*missing) - always)


def legend(study: Comparison) -> str:
    """List the marks of verdicts; with a smallest difference of interest say by what equivalence is judged."""
    marks = f"{wording.legend()}."
    return marks if study.smallest is None else f"{marks} {wording.equivalence(study.smallest, study.metric)}"


def equivalence(judged: Iterable[Row | Effect], study: Comparison) -> str | None:
    """Say by what equivalence is judged where it is found; an interval that is shown may leave its range."""
    is_found = any(one.word == EQUIVALENT for one in judged)
    return wording.equivalence(study.smallest, study.metric) if is_found and study.smallest is not None else None


def published(results: Results, protocol: str, metric: str) -> dict[tuple[str, ...], tuple[float, str]]:
    """By levels of a variant: what others report for it, and where.

    A variant that changes the base recipe does not inherit what is reported for the base. Nor does one whose values a
    search chose: its cells are trained with these.
    """
    study = results.study
    if not isinstance(study, Study):
        return {}
    return {
        variant.levels: (entry.value, entry.source)
        for variant in study.variants
        if variant.levels == study.full or variant.recipe.published != study.base.published
        if variant.name not in results.choices or not results.choices[variant.name].seeds
        for entry in variant.recipe.published
        if (entry.protocol, entry.metric) == (protocol, metric)
    }
