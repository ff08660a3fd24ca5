"""Folders of predictions that were not made here, compared as the variants of a study are."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cliffkit.bundles.facts import COMPARISON, BundledCell, BundleFacts, bundle_facts, bundled_study
from cliffkit.components.load import Plugins
from cliffkit.errors import UserError
from cliffkit.events import Emit
from cliffkit.interfaces import Sample
from cliffkit.prediction.framing import Floats
from cliffkit.prediction.given.matching import match as match_predictions
from cliffkit.prediction.given.source import at_image_size, in_view
from cliffkit.prediction.given.stored import read_stored
from cliffkit.recipe import yamlstrict
from cliffkit.report.gallery import draw_gallery
from cliffkit.report.write import write_report
from cliffkit.scoring.metrics import METRICS
from cliffkit.study.analysis import analyse
from cliffkit.study.check import smallest_fault
from cliffkit.study.reading import gather
from cliffkit.study.results import CellResult
from cliffkit.study.study import Comparison, Point
from cliffkit.verbs.findings import Findings
from cliffkit.verbs.given_cells import GivenCell, on_other_images, remarks
from cliffkit.verbs.inputs import AnyPath, Data, Progress, installed_plugins, path_of
from cliffkit.verbs.judge import Rules, Split, customary, open_test, score_place
from cliffkit.verbs.score import rules_of, telling

AXIS = "predictions"

PAIRED = (
    "Predictions were given. Folders of two variants are paired in the order in which they are named, whatever seeds "
    "they were trained under."
)


def compare(
    variants: Mapping[str, Sequence[AnyPath]],
    protocols: Sequence[str | Mapping[str, Any]] = (),
    *,
    reference: str,
    metric: str = "abs_rel",
    smallest: float | None = None,
    data: Data | None = None,
    dataset: str | Mapping[str, Any] | None = None,
    quantity: str | Mapping[str, Any] = "depth",
    key: str | None = None,
    match: str = "name",
    allow_missing: bool = False,
    out: AnyPath = "scores",
    name: str = "comparison",
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Findings:
    """Compare variants by folders of predictions, one folder per seed; write the report of a study, give its verdicts.

    Args:
        variants: places of predictions, as `score` takes them, one per seed. One seed says nothing of others.
        protocols: variants are compared under the first, and tabled under all; by default as of `score`.
        reference: the variant with which all others are compared.
        metric: in which they are compared first.
        smallest: difference of interest in that metric; smaller ones may be found equivalent.
        name: of the comparison; its report lies in a folder of that name in `out`.

    All other arguments, and errors, as of `score`.

    Example:

        cliffkit.compare({"ours": ["a", "b"], "theirs": ["c", "d"]}, ["eigen"], reference="theirs").verdicts["ours"]
    """
    plugins = plugins or installed_plugins()
    _check(variants, reference, metric, smallest)
    test = open_test(dataset, data, plugins.registry)
    asked = protocols or customary(test)
    rules = rules_of(asked, quantity, key, match, allow_missing, out, plugins.registry)
    places = {variant: [path_of(place, variant) for place in given] for variant, given in variants.items()}
    _spare(rules.out / name, places)
    points = {variant: Point(variant, (variant,)) for variant in places}
    with telling(plugins, progress, test.unread) as emit:
        cells = _scored(places, points, test, rules, emit)
    comparison = Comparison(
        name=name,
        design="given",
        seeds=tuple(range(max(map(len, places.values())))),
        axes={AXIS: tuple(places)},
        variants=tuple(points.values()),
        metric=metric,
        protocol=rules.protocols[0].name,
        reference=points[reference],
        full=points[reference].levels,
        notes=(PAIRED, *remarks(cells), *on_other_images(cells, rules)),
        smallest=smallest,
    )
    return _report(comparison, cells, test, rules, _command(cells, rules, test, comparison, asked))


def _spare(folder: Path, places: Mapping[str, Sequence[Path]]) -> None:
    """Raise UserError where a folder has the report of other predictions: a bundle may still be made of it."""
    if not (folder / COMPARISON).exists():
        return
    words = shlex.split(BundleFacts.read_file(folder / COMPARISON).command)
    former = [value for option, value in itertools.pairwise(words) if option == "--variant"]
    ours = {_named(variant, place) for variant, given in places.items() for place in given}
    if others := [one for one in former if one not in ours]:
        raise UserError(
            f"{folder}: has the comparison of other predictions ({', '.join(others)}); give this one another name "
            "(--name), or delete that folder"
        )


def _named(variant: str, place: Path) -> str:
    return f"{variant}={place}"


def _scored(
    places: Mapping[str, Sequence[Path]], points: Mapping[str, Point], test: Split, rules: Rules, emit: Emit
) -> list[GivenCell]:
    """Score every folder of every variant."""
    return [
        GivenCell(points[variant], seed, place, score_place(place, f"{variant}.{seed}", test, rules, emit))
        for variant, given in places.items()
        for seed, place in enumerate(given)
    ]


def _report(comparison: Comparison, cells: Sequence[GivenCell], test: Split, rules: Rules, command: str) -> Findings:
    """Analyse the scores, and write the report into a folder beside theirs; `command` does it again."""
    results = gather(
        comparison, list(map(_result, cells)), [cell.scored.folder for cell in cells], rules.protocols, None
    )
    analysis = analyse(results)
    gallery = draw_gallery(results, test.dataset, partial(_predictions, test, rules), lambda done, total: None)
    folder = rules.out / comparison.name
    files = write_report(results, analysis, folder, gallery=gallery, command=command, progress=lambda text: None)
    entries = tuple(map(_entry, cells, results.cells))
    bundle_facts(bundled_study(comparison, rules.protocols), entries, command).write_file(folder / COMPARISON)
    return Findings(results, analysis, folder, files)


def _entry(cell: GivenCell, result: CellResult) -> BundledCell:
    """Write down a cell and how it came out, for `bundle`."""
    name, seed, folder = cell.variant.name, cell.own_seed, cell.scored.folder.name
    return BundledCell(name, cell.seed, seed, result.state, result.reason, result.damaged, folder, dict(cell.keys))


def _check(variants: Mapping[str, Sequence[AnyPath]], reference: str, metric: str, smallest: float | None) -> None:
    """Raise UserError for variants that cannot be compared."""
    if reference not in variants:
        raise UserError(f"reference: no variant is called '{reference}'; there are: {', '.join(variants) or 'none'}")
    if metric not in METRICS:
        raise UserError(f"metric: there is no '{metric}'; there are: {', '.join(METRICS)}")
    if smallest is not None and (fault := smallest_fault(smallest, metric)):
        raise UserError(f"smallest: {fault}")
    for name, places in variants.items():
        if isinstance(places, str) or not places:
            raise UserError(f"variant '{name}': give a list of folders, one for each seed")
        if len({str(place) for place in places}) < len(places):
            raise UserError(f"variant '{name}': a folder stands twice; the same predictions are no replicate; keep one")


def _result(cell: GivenCell) -> CellResult:
    record = cell.scored.record
    reason = "; ".join(f"{name} is not scored: {why}" for name, why in record.failures.items())
    return CellResult(cell, "done", reason, scores=record)


def _predictions(test: Split, rules: Rules, result: CellResult, samples: Mapping[int, Sample]) -> list[Floats]:
    """Read the predictions of a cell for the gallery. Raises UserError where one is missing."""
    cell = result.cell
    assert isinstance(cell, GivenCell)
    entries = match_predictions(cell.place, test.names, rules.way).entries
    return [_prediction(test, rules, entries[index], index, sample) for index, sample in samples.items()]


def _prediction(test: Split, rules: Rules, entry: Any, index: int, sample: Sample) -> Floats:
    if entry is None:
        raise UserError(f"{test.names[index]} has no prediction")
    stored = read_stored(entry, rules.reading.key)
    return in_view(at_image_size(stored, sample, rules.reading.quantity), rules.protocols[0].view)


def _written(protocol: str | Mapping[str, Any]) -> str:
    return protocol if isinstance(protocol, str) else yamlstrict.dump_line(dict(protocol))


def _command(
    cells: Sequence[GivenCell],
    rules: Rules,
    test: Split,
    comparison: Comparison,
    protocols: Sequence[str | Mapping[str, Any]],
) -> str:
    """Give the command that compares the same again; `protocols` as they were written."""
    words = ["cliffkit", "score"]
    words += [word for cell in cells for word in ("--variant", _named(cell.variant.name, cell.place))]
    words += ["--reference", comparison.reference.name, "--metric", comparison.metric]
    words += [] if comparison.smallest is None else ["--smallest", f"{comparison.smallest:g}"]
    words += [word for protocol in protocols for word in ("--protocol", _written(protocol))]
    part = test.part.to_dict()
    words += ["--dataset", yamlstrict.dump_line(part), *rules.reading.quantity.flags()]
    words += ["--match", rules.way] if rules.way != "name" else []
    words += ["--key", rules.reading.key] if rules.reading.key else []
    words += ["--allow-missing"] if rules.allow_missing else []
    words += ["--name", comparison.name, "--out", str(rules.out)]
    return f"{shlex.join(words)} --data {part['use']}=FOLDER"
