"""Are the report's numbers those of the scores? The analysis is run again, and every file is written anew."""

from __future__ import annotations

import importlib.metadata
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import starmap
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from cliffkit.bundles.checks import Check, attempt, brief, differences, few
from cliffkit.bundles.facts import JOBS, REPORT, BundledCell, BundleFacts
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.bundles.texts import Difference, compare_csv, compare_lines, count_numbers, page_lines
from cliffkit.errors import UserError
from cliffkit.report.csv_files import noise_csv, results_csv, where_csv
from cliffkit.report.draw import draw_all
from cliffkit.report.latex import latex
from cliffkit.report.markdown import markdown
from cliffkit.report.material import Material
from cliffkit.report.page import page
from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS
from cliffkit.scoring.scores import summarise
from cliffkit.store.artifacts import (
    LOG,
    DepthFitFacts,
    GivenScores,
    PerImage,
    RegionScores,
    Scores,
    Selection,
    StudyNoise,
)
from cliffkit.study.analysis import Analysis, analyse
from cliffkit.study.noise import study_noise
from cliffkit.study.results import Results
from cliffkit.study.study import Study
from cliffkit.text import printable
from cliffkit.training.steplog import validation_curve


def check_scores(bundle: OpenedBundle) -> Check:
    """Compute the means of each cell again from the scores of its images, and the search's choices from its trials."""
    faults: list[str] = []
    cells = [cell for cell in bundle.facts.cells if cell.state == "done"]
    for cell in cells:
        attempt(faults, bundle.folder, partial(_check_means, bundle, cell, faults))
    attempt(faults, bundle.folder, lambda: faults.extend(_other_choices(bundle)))
    return Check("scores", f"the means of {len(cells)} cells with the scores of their images", tuple(faults))


def _check_means(bundle: OpenedBundle, cell: BundledCell, faults: list[str]) -> None:
    faults.extend(few([*_other_means(bundle, cell)]))


def _other_means(bundle: OpenedBundle, cell: BundledCell) -> Iterator[str]:
    folder = bundle.job("evaluate", cell.keys["evaluate"])
    table, scores, place = PerImage.read(folder), Scores.read(folder), f"{JOBS}/{folder.name}"
    regions = RegionScores.read(folder)
    if len(regions.scenes) != len(table.images):
        yield f"{place}/{RegionScores.FILE}: has {len(regions.scenes)} images, {PerImage.FILE} has {len(table.images)}"
    if scores.protocols.keys() != table.scores.keys():
        yield f"{place}: {Scores.FILE} and {PerImage.FILE} have not the same protocols"
        return
    missing = set(GivenScores.read(folder).predictions.missing) if bundle.is_given else set()
    is_there = [image not in missing for image in table.images]
    for name, scored in scores.protocols.items():
        values = np.column_stack([table.scores[name], *table.extra_columns(name).values()])[is_there]
        columns = [*METRICS, *table.extra_names]
        absent = {metric.name: math.nan for metric in scored.protocol.metrics}
        rows = [
            None if math.isnan(row[0]) else {**absent, **dict(zip(columns, row, strict=True))}
            for row in values.tolist()
        ]
        means = summarise(rows, scored.protocol)
        for metric, mine, right in differences(dict(scored.metrics), means):
            words = f"{metric} under {name} is {brief(mine)}, and {PerImage.FILE} gives {brief(right)}"
            yield f"{place}/{Scores.FILE} ({cell.name}): {words}"
    if scores.selection is not None and "depth" in cell.keys:
        yield from _other_selection(bundle, cell, scores.selection)


def _other_selection(bundle: OpenedBundle, cell: BundledCell, selection: Selection) -> Iterator[str]:
    """Name what differs between the validations of a network, how its training ended, and what its scores say."""
    folder = bundle.job("depth", cell.keys["depth"])
    fit, curve = DepthFitFacts.read(folder), validation_curve(folder / LOG, selection.score)
    place = f"{JOBS}/{folder.name}"
    if (fit.best_step, fit.best_score) != (selection.step, selection.best_score):
        yield f"{place}/{fit.FILE}: has the best score {fit.best_score}, the scores say {selection.best_score}"
    if (fit.best_step, fit.best_score) not in curve:
        yield f"{place}/{LOG}: has no validation at step {fit.best_step} with {selection.score} {fit.best_score}"
    scores = [score for _, score in curve if not math.isnan(score)]
    best = (max if selection.score in HIGHER_IS_BETTER else min)(scores, default=fit.best_score)
    if best != fit.best_score:
        yield f"{place}/{LOG}: its best {selection.score} is {best}, and weights were chosen by {fit.best_score}"


def _other_choices(bundle: OpenedBundle) -> Iterator[str]:
    """Name trials whose score is not that of their networks, and choices that are not the best of them."""
    tuning = bundle.facts.tuning
    for variant, choice in ({} if tuning is None else tuning.choices).items():
        if not choice.seeds:
            continue
        for trial in choice.tried:
            if trial.score is None:
                continue
            score = fmean(DepthFitFacts.read(bundle.job("depth", key)).best_score for key in trial.fits)
            if score != trial.score:
                words = f"has the score {trial.score}, its networks have {score}"
                yield f"{BundleFacts.FILE}: a trial of '{variant}' {words}"
        scores = [trial.score for trial in choice.tried if trial.score is not None]
        if choice.chosen is not None:
            best = (max if choice.metric in HIGHER_IS_BETTER else min)(scores)
            if choice.tried[choice.chosen].score != best:
                yield f"{BundleFacts.FILE}: the trial chosen for '{variant}' is not the best of those tried"


def check_numbers(bundle: OpenedBundle) -> Check:
    """Run the analysis on the scores, write the report anew, and compare it with the report of the bundle."""
    faults: list[str] = []
    remarks = ["the pictures of the gallery need data and weights; they are not compared"]
    counts: list[int] = []

    def work() -> None:
        results = bundle.results
        analysis = analyse(results)
        for name, differing, numbers in _files(bundle, results, analysis, remarks):
            counts.append(numbers)
            own_version = bundle.facts.cliffkit == importlib.metadata.version("cliffkit")
            faults.extend(few([one.words for one in differing if one.is_number or own_version]))
            if not own_version and any(not one.is_number for one in differing):
                remarks.append(f"{name}: its words are of cliffkit {bundle.facts.cliffkit}, and differ from this one's")

    attempt(faults, bundle.folder, work)
    compared = f"{sum(counts):,} numbers in {len(counts)} files of the report with those that the scores give"
    return Check("numbers", compared, tuple(faults), tuple(remarks))


def _files(
    bundle: OpenedBundle, results: Results, analysis: Analysis, remarks: list[str]
) -> Iterator[tuple[str, list[Difference], int]]:
    """Give each file of the report with its differences from the file that the scores give, and its numbers."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results_csv(results, folder / "results.csv")
        noise_csv(analysis, folder / "noise.csv")
        where_csv(analysis, folder / "where.csv")
        for name, labels in (("results.csv", len(results.study.axes) + 4), ("noise.csv", 3), ("where.csv", 4)):
            theirs, ours = _text(bundle.report / name), _text(folder / name)
            yield name, list(compare_csv(f"{REPORT}/{name}", theirs, ours, labels)), count_numbers(ours)
        yield from _figures(bundle, partial(draw_all, results, analysis, folder), remarks)
    if isinstance(results.study, Study):
        noise = StudyNoise.read(bundle.report).to_dict()
        again = study_noise(results, results.study).to_dict()
        yield StudyNoise.FILE, list(starmap(_other_noise, _close(noise, again))), count_numbers(str(again))

    figures = {path.stem: _text(path) for path in sorted((bundle.report / "figures").glob("*.svg"))}
    material = Material(results, analysis, figures, "it is not drawn again", bundle.facts.command)
    for name, text in (("report.md", markdown(material)), ("table.tex", latex(material))):
        ours = printable(text)
        theirs = _text(bundle.report / name)
        yield name, list(compare_lines(f"{REPORT}/{name}", theirs.splitlines(), ours.splitlines())), count_numbers(ours)
    name = "report.html"
    page_theirs, captions = page_lines(_text(bundle.report / name), "gallery")
    page_ours, _ = page_lines(printable(page(material)), "gallery")
    differing = [*compare_lines(f"{REPORT}/{name}", page_theirs, page_ours), *_other_captions(results, captions)]
    yield name, differing, count_numbers("\n".join(page_ours))


def _other_captions(results: Results, lines: Sequence[str]) -> Iterator[Difference]:
    """Name scores in the captions of the gallery that the scores do not give."""
    study = results.study
    values = results.table(study.protocol, study.metric)
    images = {printable(name): k for k, name in enumerate(results.images)}
    places = {
        (printable(result.cell.variant.name), str(result.cell.own_seed)): (i, k)
        for i, variant in enumerate(study.variants)
        for result in results.of(variant)
        for k in (study.seeds.index(result.cell.seed),)
    }
    image, head = None, False
    for line in lines:
        if head:
            image = images.get(line.rpartition(": ")[0])
        head = line.startswith("<h3")
        caption = _CAPTION.fullmatch(line)
        place = None if caption is None else places.get((caption["variant"], caption["seed"]))
        if caption is None or place is None or image is None:
            continue
        right = f"{study.metric} {values[(*place, image)]:.3g}"
        if caption["score"] != right:
            words = f"{REPORT}/report.html: the gallery says '{line}' of {results.images[image]}"
            yield Difference(f"{words}, and the scores give {right}", True)


_CAPTION = re.compile(r"(?P<variant>.*) \(seed (?P<seed>\d+)\): (?P<score>\S+ \S+)")
"""Below a picture of the gallery."""


def _figures(
    bundle: OpenedBundle, draw: Callable[[], dict[str, str]], remarks: list[str]
) -> Iterator[tuple[str, list[Difference], int]]:
    """Compare figures with figures drawn anew, where the same matplotlib draws."""
    if bundle.facts.drawn_by != importlib.metadata.version("matplotlib"):
        remarks.append(f"figures were drawn by matplotlib {bundle.facts.drawn_by}; they are not drawn again")
        return
    drawn, there = draw(), {path.stem for path in (bundle.report / "figures").glob("*.svg")}
    for name in sorted(there ^ drawn.keys()):
        words = "is not there" if name in drawn else "is no figure of this study"
        yield f"{name}.svg", [Difference(f"{REPORT}/figures/{name}.svg: {words}", True)], 0
    for name in sorted(there & drawn.keys()):
        theirs, ours = (text.splitlines() for text in (_text(bundle.report / "figures" / f"{name}.svg"), drawn[name]))
        differing = list(compare_lines(f"{REPORT}/figures/{name}.svg", theirs, ours))
        yield f"{name}.svg", _first_mark(f"{REPORT}/figures/{name}.svg", differing), count_numbers(drawn[name])


def _first_mark(place: str, differing: Sequence[Difference]) -> list[Difference]:
    """Give the first difference of a figure that is no name of a mark, and count the others: one score moves many."""
    marks = [one for one in differing if not re.search(r'#\w{11}|id="', one.words)] or differing
    more = [Difference(f"{place}: {len(differing) - 1} more places are drawn otherwise", True)]
    return [*marks[:1], *(more if len(differing) > 1 else [])]


def _close(noise: Any, again: Any) -> Sequence[tuple[str, Any, Any]]:
    """Give the places at which two files of noise differ by more than rounding."""
    return [
        (path, mine, right)
        for path, mine, right in differences(noise, again)
        if not (isinstance(mine, float) and isinstance(right, float) and math.isclose(mine, right, rel_tol=1e-9))
    ]


def _other_noise(path: str, mine: Any, right: Any) -> Difference:
    return Difference(f"{REPORT}/{StudyNoise.FILE}: {path} is {brief(mine)}, and the scores give {brief(right)}", True)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
