"""What a reviewer asks of a study, each question answered from its facts: met, or not met and how to meet it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cliffkit.report.constant import baseline, hardly_better_than_constant, not_better_than_constant
from cliffkit.report.costs import environments
from cliffkit.report.power import would_have_seen
from cliffkit.report.sentences import between, placebo_sentence
from cliffkit.report.tuning import equally_tuned, tuning_sentence
from cliffkit.report.wording import listed
from cliffkit.scoring.metrics import UNITS
from cliffkit.statistics import BETTER, EQUIVALENT, NOISE, THESE_WEIGHTS, UNMEASURED, WORSE, Estimate
from cliffkit.statistics.sequential import GO_ON
from cliffkit.study.analysis import Analysis, Row
from cliffkit.study.results import CellResult, Results
from cliffkit.study.study import Study

FEWEST_SEEDS = 3
"""Seeds of each comparison below which the noise of seeds is hardly known."""

_UNKNOWN = "Not known yet: no cell is done."


class Item(NamedTuple):
    """One line of the list."""

    name: str
    is_met: bool
    words: str
    """The facts; where they do not suffice, the remedy."""


def checklist(results: Results, analysis: Analysis) -> list[Item]:
    """Answer every question."""
    checks = _CHECKS if isinstance(results.study, Study) else _OF_GIVEN
    return [check(results, analysis) for check in checks]


def _seeds(results: Results, analysis: Analysis) -> Item:
    name, rows = "Seeds", _compared(results, analysis)
    counts = {row.variant.name: _seeds_of(row.difference) for row in rows}
    few = [variant for variant, seeds in counts.items() if seeds < FEWEST_SEEDS]
    if not any(counts.values()):
        return Item(name, False, "Nothing is compared yet.")
    if few:
        whose = "every comparison has" if len(few) == len(rows) else f"{listed(few)} {_have(few)}"
        words = f"Fewer than {FEWEST_SEEDS} seeds: {whose} {_range([counts[variant] for variant in few])}."
        return Item(name, False, f"{words} {_more_seeds(results, [row for row in rows if row.variant.name in few])}")
    spent = "" if results.study.adaptive is None else ", spent while they matter, at bounds that allow for it"
    words = f"Each comparison pairs {_range(list(counts.values()))} trainings of both variants, seed by seed{spent}."
    if _shares_generators(results):
        words += (
            " All seeds share one embedding generator, whose own luck no interval has: "
            "`train.embedding: {seed: replicate}` gives each seed its own."
        )
    return Item(name, True, words)


def _more_seeds(results: Results, few: Sequence[Row]) -> str:
    """Say how comparisons of few seeds, or those of the next study, get more."""
    if results.study.adaptive is not None and all(row.stop is not None and row.stop.reason != GO_ON for row in few):
        return (
            f"What stopped is trained no more: set a larger `from`, {FEWEST_SEEDS} or more, before the next study; "
            "fewer hardly know their own noise."
        )
    return "Train more seeds; fewer hardly know their own noise."


def _beforehand(results: Results, analysis: Analysis) -> Item:
    name, earlier = "Choices before results", results.study.earlier
    if not results.done:
        return Item(name, False, _UNKNOWN)
    if earlier:
        return Item(name, False, " ".join(f"{note[0].upper()}{note[1:]}." for note in earlier))
    words = "No earlier report of these cells had other seeds, metric, protocol, reference or smallest difference."
    return Item(name, True, words)


def _constant(results: Results, analysis: Analysis) -> Item:
    table, name = analysis.first(results), "Better than a constant"
    weak = not_better_than_constant(results, table)
    if weak is None:
        return Item(name, False, _UNKNOWN)
    constant = baseline(results, table.protocol, table.metric)
    if weak:
        return Item(
            name, False, f"{constant} {listed(weak)} {_have(weak)} no better mean: train longer before you compare."
        )
    words = f"{constant} Every mean is better"
    if hardly := hardly_better_than_constant(results, table):
        many = len(hardly) > 1
        words += f", though the 95 % interval{'s' * many} of {listed(hardly)} hold{'s' * (not many)} the constant's"
    return Item(name, True, f"{words}.")


def _placebo(results: Results, analysis: Analysis) -> Item:
    row = analysis.first(results).placebo
    if row is None:
        words = "None. `placebo: true` adds the reference under other seeds, which no verdict should tell from it."
        return Item("Placebo", False, words)
    gap = row.difference
    is_equal = gap is not None and gap.value == 0 and gap.standard_error == 0
    words = placebo_sentence(row).removeprefix("Placebo: ")
    return Item("Placebo", row.word in (NOISE, EQUIVALENT) and not is_equal, words[0].upper() + words[1:])


def _selection(results: Results, analysis: Analysis) -> Item:
    name, cells = "Selection on validation images", [cell.scores for cell in _done(results) if cell.scores]
    rules = {scores.selection for scores in cells if scores.selection is not None}
    splits, metrics = {rule.split for rule in rules}, listed(sorted({rule.score for rule in rules}))
    if not rules:
        return Item(name, False, _UNKNOWN)
    if splits != {"val"}:
        return Item(name, False, f"Weights were chosen on {listed(sorted(splits))}: choose them on val.")
    return Item(name, True, f"Weights are those of the best {metrics} on the val split; test images chose nothing.")


def _protocol(results: Results, analysis: Analysis) -> Item:
    name, study = "Protocol", results.study
    protocol = next(protocol for protocol in results.protocols if protocol.name == study.protocol)
    cells = [cell for cell in _done(results) if cell.scores is not None]
    unscored = [cell.cell.name for cell in cells if cell.scores and study.protocol in cell.scores.failures]
    if not cells or cells[0].scores is None:
        return Item(name, False, _UNKNOWN)
    if unscored:
        words = f"{protocol.name} could not score {listed(unscored)}: the head of this report has the reason."
        return Item(name, False, words)
    data = cells[0].scores.data
    images = f"the same {len(results.images)} test images (fingerprint {data['test_fingerprint'][:16]})"
    return Item(name, True, f"Every cell is scored on {images}. {protocol.describe()}.".replace("..", "."))


def _tuning(results: Results, analysis: Analysis) -> Item:
    equal = equally_tuned(results)
    if equal is None:
        words = (
            "No variant was tuned: each has the settings of the base recipe, which may suit one better than another."
        )
        return Item("Equal tuning", False, f"{words} `tune` tries the same values inside each.")
    return Item("Equal tuning", equal, tuning_sentence(results))


def _recipe(results: Results, analysis: Analysis) -> Item:
    name, study = "Same recipe in main table and ablation", results.study
    full = next((row for row in analysis.first(results).rows if row.variant.levels == study.full), None)
    if full is None:
        words = "The base recipe is no variant of this study: take its levels out of `exclude`."
        return Item(name, False, words)
    if full.mean is None:
        return Item(name, False, f"The base recipe, {full.variant.name}, has no score yet.")
    tuned = ", with the values that its search chose" if results.choices else ""
    words = f"The base recipe, {full.variant.name}, is itself a variant{tuned}: a main table quotes these runs."
    return Item(name, True, words)


def _code(results: Results, analysis: Analysis) -> Item:
    name, found = "Same code and machine", environments(results)
    if not results.done:
        return Item(name, False, _UNKNOWN)
    if differing := [label for label, _ in found["differing"]]:
        words = f"Cells differ in {listed(differing)}; see Reproduce. Train all of them in one environment."
        return Item(name, False, f"Each cell's key names the code of its parts, but cells were trained apart. {words}")
    facts = dict(found["common"])
    versions = ", ".join(f"{part} {facts[part]}" for part in ("cliffkit", "torch", "python") if part in facts)
    words = (
        f"Each cell's key names the code of its parts; every cell was trained with {versions} on {facts.get('device')}."
    )
    return Item(name, True, words)


def _power(results: Results, analysis: Analysis) -> Item:
    name, study, rows = "Power", results.study, _compared(results, analysis)
    known = [row for row in rows if row.word not in (UNMEASURED, THESE_WEIGHTS)]
    if not known:
        return Item(name, False, "Not known: it takes two seeds and two test images.")
    unit = f" {UNITS[study.metric]}" if UNITS[study.metric] else ""
    sights = would_have_seen(results, known)
    sight = "" if sights is None else between(f"{sights[0]:.2g}", f"{sights[1]:.2g}") + unit
    if study.smallest is None:
        how = "`compare.smallest` before a study runs" if isinstance(study, Study) else "`--smallest`"
        return Item(
            name,
            False,
            f"The comparisons would have seen a difference of {sight} four times in five, but no smallest difference "
            f"of interest is named: give {how}.",
        )
    smallest = f"{study.smallest:g}{unit}"
    undecided = [row for row in rows if row.word not in (BETTER, WORSE, EQUIVALENT)]
    if not undecided:
        return Item(name, True, f"Every comparison is decided, the smallest difference of interest being {smallest}.")
    blind = [row for row in undecided if not _would_have_seen(results, row, study.smallest)]
    if blind:
        whose = f"{len(blind)} of {len(rows)} comparisons are undecided and"
        words = f"{whose} would not have seen {smallest}, the smallest difference of interest, four times in five."
        return Item(name, False, f"{words} Plan more seeds, test images or steps.")
    words = f"Every comparison is decided or would have seen {smallest}, the smallest difference of interest."
    return Item(name, True, words)


def _origin(results: Results, analysis: Analysis) -> Item:
    words = (
        "Predictions were given. On which images their networks were trained, how weights and settings were chosen, "
        "and by how many trainings each variant was tuned is not known here: say it beside the table."
    )
    return Item("Training, selection and tuning", False, words)


_CHECKS: tuple[Callable[[Results, Analysis], Item], ...] = (
    _seeds,
    _beforehand,
    _constant,
    _placebo,
    _selection,
    _protocol,
    _tuning,
    _recipe,
    _code,
    _power,
)

_OF_GIVEN = (_seeds, _constant, _origin, _protocol, _power)
"""What can be asked of predictions that were given."""


def _compared(results: Results, analysis: Analysis) -> list[Row]:
    rows = analysis.first(results).rows
    return [row for row in rows if row.word is not None and not row.variant.is_placebo]


def _done(results: Results) -> list[CellResult]:
    return [cell for cell in results.cells if cell.state == "done"]


def _would_have_seen(results: Results, row: Row, size: float) -> bool:
    sights = would_have_seen(results, [row])
    return sights is not None and sights[1] <= size


def _shares_generators(results: Results) -> bool:
    """Tell whether several seeds of a variant use one embedding generator."""
    for variant in results.study.variants:
        keys = [cell.cell.keys["embedding"] for cell in results.of(variant) if "embedding" in cell.cell.keys]
        if len(set(keys)) < len(keys):
            return True
    return False


def _seeds_of(difference: Estimate | None) -> int:
    return 0 if difference is None else difference.seeds


def _have(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _range(counts: list[int]) -> str:
    return between(str(min(counts)), str(max(counts)))
