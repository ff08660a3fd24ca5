"""Predictions that were given: what a bundle says of them, held against what was written when they were scored."""

from __future__ import annotations

from collections.abc import Iterator

from cliffkit.bundles.checks import Check, attempt
from cliffkit.bundles.facts import JOBS, BundleFacts
from cliffkit.bundles.opened import OpenedBundle
from cliffkit.store.artifacts import GivenScores


def check_predictions(bundle: OpenedBundle) -> Check:
    """Compare the cells with their scores: each its own predictions, all of the same test images."""
    faults: list[str] = []
    attempt(faults, bundle.folder, lambda: faults.extend(_faults(bundle)))
    compared = f"{len(bundle.facts.cells)} folders of predictions: whose they are, on which images, none of them twice"
    return Check("predictions", compared, tuple(faults))


def _faults(bundle: OpenedBundle) -> Iterator[str]:
    study = bundle.facts.study
    seen: dict[tuple[str, str], str] = {}
    prints: set[str] = set()
    for cell in bundle.facts.cells:
        folder = bundle.job("evaluate", cell.keys["evaluate"])
        scores, place = GivenScores.read(folder), f"{JOBS}/{folder.name}/{GivenScores.FILE}"
        if scores.key != cell.keys["evaluate"]:
            yield f"{place}: has the key {scores.key}, {BundleFacts.FILE} has another"
        alike = [other for other in bundle.facts.cells if other.keys == cell.keys]  # the very predictions: one file
        if scores.name not in [f"{other.variant}.{other.seed}" for other in alike]:
            yield f"{place}: are the scores of {scores.name}, and {BundleFacts.FILE} gives them to {cell.name}"
        other = seen.setdefault((cell.variant, scores.predictions.digest), cell.name)
        if other != cell.name:
            yield f"{place}: {cell.name} and {other} have the same predictions: a copy is no replicate"
        prints.add(str(scores.data.get("test_fingerprint")))
        for warning in scores.predictions.warnings:
            if not any(warning in note for note in study.notes):
                yield f"{BundleFacts.FILE}: does not say of {cell.name}: {warning}"
    if len(prints) > 1:
        yield f"{BundleFacts.FILE}: cells are scored on different test images: {', '.join(sorted(prints))}"
