"""The sections of report.html, in the order of `SECTIONS`.

A section is a function that reads the report's material and gives the values of its template,
`templates/NAME.html.j2`, or None where there is nothing to show. A new section is such a function, its template, and
its place in `SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from cliffkit.report import remarks, wording
from cliffkit.report.checklist import checklist
from cliffkit.report.costs import costs, environments
from cliffkit.report.figures import COLUMN
from cliffkit.report.images import tiles
from cliffkit.report.material import Material
from cliffkit.report.noise import HEADS as NOISE_HEADS
from cliffkit.report.noise import noise_rows, noise_sentences
from cliffkit.report.svg import inline
from cliffkit.report.tables import HEADS, effect_rows, means_by_levels
from cliffkit.report.tuning import HEADS as TUNING_HEADS
from cliffkit.report.tuning import tuning_rows, tuning_sentence
from cliffkit.report.where import where_sentences, where_table
from cliffkit.scoring.metrics import METRICS
from cliffkit.study.noise import summarise_noise
from cliffkit.study.results import CellResult
from cliffkit.study.study import Study

CAPTIONS: Mapping[str, str] = {
    "forest": "Difference of each variant from the reference, with its 95 % interval",
    "curves": "Validation score during training: mean over seeds, band from the lowest to the highest seed",
    "over_depth": "Difference from the reference in ranges of true depth, with its 95 % interval; filled: decided",
}


class Section(NamedTuple):
    """A section of the page."""

    name: str
    """Its template and its anchor."""
    title: str
    values: Mapping[str, Any]
    """What the template shows."""


def verdicts(material: Material) -> Section:
    """Show the differences from the reference, as a picture and as a table that other metrics can fill."""
    study, results = material.study, material.results
    values = {
        "figure": figure(material, "forest"),
        "best": remarks.best(material.first),
        "caveats": remarks.caveats(results, material.analysis),
        "study": study,
        "names": [variant.name for variant in study.variants],
        "protocols": results.protocols,
        "metrics": [(metric, wording.heading(metric)) for metric in METRICS],
        "heads": HEADS,
        "table": material.tables[study.protocol, study.metric],
    }
    return Section("verdicts", "Verdicts", values)


def reviewers(material: Material) -> Section:
    """Answer what a reviewer asks of a study."""
    return Section("checklist", "Checklist for reviewers", {"items": checklist(material.results, material.analysis)})


def effects(material: Material) -> Section | None:
    """Show what changes along axes do on average, how they interact, and the shares of components."""
    analysis, study = material.analysis, material.study
    parts = (
        ("Each change on average over the other axes", "effects per axis", analysis.main),
        ("Interactions", "interactions", analysis.interactions),
        ("Shapley shares", "shares", analysis.shares),
    )
    groups = [(title, effect_rows(group)) for title, _, group in parts if group]
    if not groups:
        return None
    names = " and ".join(", ".join(name for _, name, group in parts if group).rsplit(", ", 1))
    values = {
        "figure": figure(material, "effects", f"{names[0].upper()}{names[1:]}, with 95 % intervals"),
        "groups": groups,
        "equivalence": remarks.equivalence((*analysis.main, *analysis.interactions, *analysis.shares), study),
        "weakest": analysis.weakest,
        "full": " + ".join(study.full),
        "study": study,
    }
    return Section("effects", "Effects", values)


def tables(material: Material) -> Section:
    """Show every metric, and the means along two axes."""
    study = material.study
    names = [variant.name for variant in study.variants]
    texts = {f"{protocol}|{metric}": table._asdict() for (protocol, metric), table in material.tables.items()}
    values = {
        "study": study,
        "names": names,
        "heads": [wording.heading(metric) for metric in METRICS],
        "columns": [material.tables[study.protocol, metric].rows for metric in METRICS],
        "title": material.tables[study.protocol, study.metric].title,
        "legend": remarks.legend(study),
        "means": means_by_levels(material.results, material.first),
        "data": {"names": names, "metrics": METRICS, "marks": dict(wording.MARKS), "tables": texts},
    }
    return Section("tables", "Every metric", values)


def tuning(material: Material) -> Section | None:
    """Show what was tried inside each variant and what was chosen."""
    sentence, rows = tuning_sentence(material.results), tuning_rows(material.results)
    values = {"sentence": sentence, "heads": TUNING_HEADS, "rows": rows}
    return Section("tuning", "Tuning", values) if sentence else None


def noise(material: Material) -> Section | None:
    """Show where the noise of the differences comes from, and what would halve it."""
    sentences = noise_sentences(summarise_noise(material.results))
    if not sentences:
        return None
    values = {"sentences": sentences, "heads": NOISE_HEADS, "rows": noise_rows(material.first), "study": material.study}
    return Section("noise", "Where the noise comes from", values)


def where(material: Material) -> Section | None:
    """Show in which regions of the images the variants differ from the reference."""
    families = material.analysis.where
    if not families:
        return None
    values = {
        "sentences": where_sentences(families),
        "figure": figure(material, "over_depth"),
        "tables": [where_table(family) for family in families],
        "study": material.study,
    }
    return Section("where", "Where it helps", values)


def training(material: Material) -> Section | None:
    """Show the curves of training."""
    picture = figure(material, "curves")
    return None if picture is None else Section("training", "Training", {"figure": picture})


def gallery(material: Material) -> Section:
    """Show the same test images under the variants."""
    return Section("gallery", "Gallery", {"gallery": tiles(material.gallery, material.study.metric)})


def times(material: Material) -> Section | None:
    """Show time and parameters of each variant that was trained here."""
    if not isinstance(material.study, Study):
        return None
    return Section("costs", "Time and parameters", {"costs": costs(material.results)})


def protocol(material: Material) -> Section:
    """Show how cells were scored and their weights chosen."""
    scores = next((cell.scores for cell in material.results.cells if cell.scores is not None), None)
    values = {"protocols": material.results.protocols, "study": material.study, "scores": scores}
    return Section("protocol", "Protocol", values)


def reproduce(material: Material) -> Section:
    """Show the command, the study, the environments and the keys of the cells."""
    values = {
        "command": material.command,
        "study": material.study,
        "planned": isinstance(material.study, Study),
        "environment": environments(material.results),
        "cells": [_keys(result) for result in material.results.cells],
    }
    return Section("reproduce", "Reproduce", values)


SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    verdicts,
    reviewers,
    effects,
    tables,
    where,
    noise,
    tuning,
    training,
    gallery,
    times,
    protocol,
    reproduce,
)


def figure(material: Material, name: str, caption: str = "") -> Markup | None:
    """Give a figure as a part of the page, with a caption or that of `CAPTIONS`, for wide and for narrow screens.

    None where it was not drawn.
    """
    if name not in material.figures:
        return None
    title = escape(caption or CAPTIONS[name])
    # Matplotlib has escaped the names in its SVG.
    wide, narrow = (Markup(inline(material.figures[n], n, str(title))) for n in (name, name + COLUMN))
    frame = '<figure><figcaption>{}</figcaption><div class="plot">{}</div><div class="plot narrow">{}</div></figure>'
    return Markup(frame).format(title, wide, narrow)


def _keys(result: CellResult) -> dict[str, Any]:
    cell = result.cell
    return {"variant": cell.variant.name, "seed": cell.own_seed, "state": result.state, "keys": cell.keys}
