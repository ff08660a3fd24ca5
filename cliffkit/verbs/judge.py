"""One folder of predictions: matched, read, scored, its scores left in a folder of their own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit.components.registry import Registry
from cliffkit.data.read import read_sample
from cliffkit.data.splits import check_names, data_root
from cliffkit.errors import UserError
from cliffkit.events import Emit, Notice
from cliffkit.interfaces import Dataset
from cliffkit.jobs.run_folder import write_sums
from cliffkit.prediction.given.matching import Matched, listed, match
from cliffkit.prediction.given.source import Reading, Source
from cliffkit.prediction.scored import ScoredImage, score_images
from cliffkit.protocols import Protocol
from cliffkit.recipe.check import check_part
from cliffkit.recipe.part import Part
from cliffkit.stages.tables import leave_panel, leave_tables, spread
from cliffkit.store.artifacts import GivenFacts, GivenScores
from cliffkit.store.files import make_folder, replace_folder, writing
from cliffkit.verbs.inputs import Data, folders, unread
from cliffkit.verbs.scored import Scored

LOOKED_AT, PIXELS = 50, 20_000
"""Test images, spread evenly, and pixels of each, of which the constant prediction is the median."""

VERSION = 2
"""Raised when the same predictions come to have other scores, or another hash."""


@dataclass(frozen=True)
class Split:
    """The test split of a data set."""

    part: Part
    dataset: Dataset
    unread: tuple[str, ...] = ()
    """Notes on data sets whose folders were given and are not read."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The images, in the split's order."""
        return tuple(map(self.dataset.name, range(len(self.dataset))))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what the split holds."""
        return self.dataset.fingerprint()

    @cached_property
    def depths_m(self) -> NDArray[np.float32]:
        """True depths of some pixels of some images, metres. Raises UserError where none is known."""
        count = len(self.dataset)
        chosen = sorted(set(np.linspace(0, count - 1, min(LOOKED_AT, count)).round().astype(int).tolist()))
        depths = []
        for index in chosen:
            sample = read_sample(self.dataset, index)
            depth = sample.depth.numpy()[sample.valid.numpy()]
            depths.append(depth[:: max(1, depth.size // PIXELS)])
        known: NDArray[np.float32] = np.concatenate(depths)
        if not known.size:
            raise UserError(f"{self.part.place}: no test image that was looked at has a pixel with a valid depth")
        return known

    @cached_property
    def median_m(self) -> float:
        """Median of `depths_m`."""
        return float(np.median(self.depths_m))


@dataclass(frozen=True)
class Rules:
    """How folders of predictions are scored, all of them alike."""

    protocols: tuple[Protocol, ...]
    reading: Reading
    way: str
    """How predictions are matched to images."""
    allow_missing: bool
    out: Path
    """Folder of the folders of scores."""


def open_test(dataset: str | Mapping[str, Any] | None, data: Data | None, registry: Registry) -> Split:
    """Open the test split that is scored. Raises UserError where it is not named, wrong or empty."""
    roots = folders(data, registry)
    if dataset is None and len(roots) != 1:
        named = f"{', '.join(roots)} are named" if roots else "none is named"
        raise UserError(f"which data set? {named}; name one as --data NAME=PATH, or with --dataset")
    part = check_part("dataset", next(iter(roots)) if dataset is None else dataset, registry, "--dataset")
    split = part.build("test", data_root(part.component.name, roots))
    assert isinstance(split, Dataset)
    if len(split) == 0:
        raise UserError(f"{part.place}: the test split is empty; name a data set that has test images")
    check_names(split, part.place)
    return Split(part, split, unread(roots, [part.component.name]))


def customary(test: Split) -> tuple[str]:
    """Give the protocol by which the field scores a data set. Raises UserError where there is none."""
    if not test.dataset.protocol:
        name = test.part.component.name
        raise UserError(f"no protocol is named, and the field has none for '{name}'; name one, as --protocol full")
    return (test.dataset.protocol,)


def _called(place: Path) -> str:
    """Name predictions by their folder or file; a number, as of a seed, by the folder above it too."""
    return f"{place.parent.name}-{place.stem}" if place.stem.isdecimal() else place.stem


def score_place(place: Path, name: str | None, test: Split, rules: Rules, emit: Emit) -> Scored:
    """Score the predictions of a folder or stack; leave metrics.json, per_image.csv, regions.npz and panel.png.

    Raises UserError where predictions are missing and that is not allowed, and where no protocol can score them.
    """
    matched = match(place, test.names, rules.way)
    _check_matched(place, matched, test, rules, emit)
    name = name or _called(place.resolve())
    return in_own_folder(rules.out, name, lambda folder: _fill(folder, place, name, matched, test, rules, emit))


def in_own_folder(out: Path, name: str, fill: Callable[[Path], str]) -> Scored:
    """Have a temporary folder filled by a function that returns the key of the scores; name it by that."""
    working = out / f".{name}.{os.getpid()}.tmp"
    make_folder(out)
    try:
        with writing(working):
            shutil.rmtree(working, ignore_errors=True)  # left by a killed process with the same number
            working.mkdir()
        folder = out / f"{name}-{fill(working)[:8]}"
        replace_folder(working, folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return Scored(folder)


def _check_matched(place: Path, matched: Matched, test: Split, rules: Rules, emit: Emit) -> None:
    """Say what is missing, extra and passed over. Raises UserError for what is missing and must not."""
    missing, total = matched.missing(test.names), len(test.names)
    count = total - len(missing)
    emit(Notice(f"{place}: {count} of {total} test images have a prediction, matched {matched.rule}"))
    if matched.passed_over:
        others = ", ".join(f"{number} {suffix}" for suffix, number in matched.passed_over.items())
        emit(Notice(f"{place}: other files are passed over: {others}"))
    if matched.extra:
        emit(Notice(f"{place}: {len(matched.extra)} predictions are of no test image: {listed(matched.extra)}"))
    if missing:
        words = f"{place}: {len(missing)} of {total} test images have no prediction: {listed(missing)}"
        if not rules.allow_missing:
            raise UserError(
                f"{words}; predict them too, or allow missing ones (--allow-missing): the score is then of the others "
                "and says so"
            )
        emit(Notice(words))


def _fill(folder: Path, place: Path, name: str, matched: Matched, test: Split, rules: Rules, emit: Emit) -> str:
    """Score, and write everything into a folder; returns the key."""
    entries = [(i, entry) for i, entry in enumerate(matched.entries) if entry is not None]
    source = Source(test.dataset, entries, rules.reading)
    present = [index for index, _ in entries]
    pictured = {present[k] for k in spread(len(present))}
    predicted = source.predicted(rules.protocols)
    scored = score_images(test.dataset, present, rules.protocols, predicted, test.median_m, emit, pictured)

    by_index = dict(zip(present, scored, strict=True))
    images = [by_index.get(index) for index in range(len(test.names))]
    warnings = (*matched.warnings, *source.suspicions.warnings())
    for warning in warnings:
        emit(Notice(f"{place}: warning: {warning}"))
    facts = GivenFacts(
        place=str(place),
        quantity=rules.reading.quantity.describe(),
        matched=matched.rule,
        digest=source.digest,
        scored=len(present),
        missing=tuple(matched.missing(test.names)),
        extra=len(matched.extra),
        warnings=warnings,
    )
    key = key_of(test, rules.protocols, [repr(rules.reading), source.digest])
    leave_scores(folder, GivenName(name, key, facts), test, rules.protocols, images, emit)
    return key


@dataclass(frozen=True)
class GivenName:
    """What scores are called, and what they are of."""

    name: str
    key: str
    facts: GivenFacts


def leave_scores(
    folder: Path,
    given: GivenName,
    test: Split,
    protocols: tuple[Protocol, ...],
    images: Sequence[ScoredImage | None],
    emit: Emit,
) -> None:
    """Write metrics.json, per_image.csv, regions.npz and panel.png of the images of a test split, and checksums."""
    summaries, failures = leave_tables(folder, protocols, test.names, images, emit)
    leave_panel(folder, images, f"{given.name}, on {test.part.component.name}", protocols[0])
    GivenScores(
        data={**test.part.to_dict(), "test_fingerprint": test.fingerprint},
        protocols=summaries,
        baseline_depth_m=test.median_m,
        selection=None,
        parameters=None,
        name=given.name,
        key=given.key,
        predictions=given.facts,
        failures=failures,
    ).write(folder)
    write_sums(folder)


def key_of(test: Split, protocols: tuple[Protocol, ...], predictions: Sequence[str]) -> str:
    """Hash all that scores depend on; `predictions` says what they are of."""
    facts = {
        "version": VERSION,
        "test": test.fingerprint,
        "protocols": [protocol.to_dict() for protocol in protocols],
        "predictions": list(predictions),
    }
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
