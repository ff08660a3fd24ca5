"""What a study's cells gave, read from the store into arrays; cells that may not share a table are refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cliffkit.errors import UserError
from cliffkit.protocols import Protocol
from cliffkit.scoring.metrics import METRICS
from cliffkit.statistics import pooled
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell
from cliffkit.study.study import Levels, Study, Variant

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CellResult:
    """What became of a cell."""

    cell: Cell
    state: str
    """`done`, `failed` or `waiting`."""
    reason: str = ""
    """Why it failed."""
    metrics: Mapping[str, Any] | None = None
    """metrics.json of stage `evaluate`; None unless done."""
    seconds: Mapping[str, float] | None = None
    """By stage, of the jobs that are done; shared ones count for every cell that uses them."""
    environment: Mapping[str, Any] | None = None
    """What the network was trained with."""
    curve: Sequence[tuple[int, float]] = ()
    """Validation score by step, in the metric by which the weights were selected."""
    micro_batch: int | None = None
    """To which memory forced the micro-batch; None: it held what the recipe says."""


@dataclass(frozen=True)
class Results:
    """Everything that a report is made of."""

    study: Study
    cells: tuple[CellResult, ...]
    """Variant by variant, seeds in the study's order."""
    protocols: tuple[Protocol, ...]
    images: tuple[str, ...]
    """Names of the test images."""
    scores: Mapping[str, Floats]
    """By protocol: (variants, seeds, images, metrics), NaN where a cell is not done or an image has no scored pixel."""
    store: Path

    def table(self, protocol: str, metric: str) -> Floats:
        """(variants, seeds, images): what the mean over images of a metric is the mean of."""
        values = self.scores[protocol][..., METRICS.index(metric)]
        if metric == "rmse" and next(p for p in self.protocols if p.name == protocol).rmse_pooled:
            return np.stack([pooled(rows) for rows in values])
        return values

    def of(self, variant: Variant) -> list[CellResult]:
        """A variant's cells, seed by seed."""
        return self._by_levels.get(variant.levels, [])

    @cached_property
    def _by_levels(self) -> dict[Levels, list[CellResult]]:
        found: dict[Levels, list[CellResult]] = {}
        for each in self.cells:
            found.setdefault(each.cell.variant.levels, []).append(each)
        return found

    @cached_property
    def done(self) -> int:
        """How many cells are done."""
        return sum(each.state == "done" for each in self.cells)


def load_results(study: Study, cells: Sequence[Cell], store: Store) -> Results:
    """Read what is done. Raises UserError where done cells differ in protocols, data or rules of selection."""
    order = {variant.levels: i for i, variant in enumerate(study.variants)}
    seeds = {seed: i for i, seed in enumerate(study.seeds)}
    found = [_load(cell, store) for cell in sorted(cells, key=lambda c: (order[c.variant.levels], seeds[c.seed]))]
    done = [each for each in found if each.state == "done"]
    _check_alike(done)
    protocols = study.base.protocols
    images = _images(done[0], store) if done else ()
    shape = (len(study.variants), len(study.seeds), len(images), len(METRICS))
    scores = {protocol.name: np.full(shape, np.nan) for protocol in protocols}
    for each in done:
        place = order[each.cell.variant.levels], seeds[each.cell.seed]
        for protocol, rows in _per_image(each, store, images).items():
            scores[protocol][place] = rows
    return Results(study, tuple(found), protocols, images, scores, store.root)


def _load(cell: Cell, store: Store) -> CellResult:
    evaluate = cell.jobs[-1]
    if not store.done(evaluate):
        failures = [(job, store.failure(job)) for job in cell.jobs if not store.done(job)]
        reasons = [f"{job.stage}: {failure['reason']}" for job, failure in failures if failure is not None]
        return CellResult(cell, "failed" if reasons else "waiting", "; ".join(reasons))
    depth = store.folder(evaluate.needs["depth"])
    metrics = json.loads((store.folder(evaluate) / "metrics.json").read_text(encoding="utf-8"))
    fitted = json.loads((depth / "fit.json").read_text(encoding="utf-8"))
    select = metrics["selection"]["score"]
    curve = []
    for line in (depth / "log.jsonl").read_text(encoding="utf-8").splitlines():
        if '"val"' in line:
            record = json.loads(line)
            value = record["val"][select]
            curve.append((int(record["step"]), float("nan") if value is None else float(value)))
    return CellResult(
        cell,
        "done",
        metrics=metrics,
        seconds={job.stage: store.record(job)["seconds"] for job in cell.jobs},
        environment=json.loads((depth / "environment.json").read_text(encoding="utf-8")),
        curve=curve,
        micro_batch=fitted.get("micro_batch"),
    )


def _check_alike(done: Sequence[CellResult]) -> None:
    for each in done[1:]:
        for what, facts in (
            ("protocols", lambda m: {name: scored["protocol"] for name, scored in m["protocols"].items()}),
            ("test images (fingerprints)", lambda m: m["data"]["test_fingerprint"]),
            ("rules of selection", lambda m: (m["selection"]["split"], m["selection"]["score"])),
        ):
            a, b = facts(done[0].metrics), facts(each.metrics)
            if a != b:
                raise UserError(
                    f"{done[0].cell.name} and {each.cell.name} have different {what}, so no table may hold both: "
                    f"{a} and {b}; make studies of their own"
                )


def _images(each: CellResult, store: Store) -> tuple[str, ...]:
    with (store.folder(each.cell.jobs[-1]) / "per_image.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        return tuple(dict.fromkeys(row[1] for row in rows))


def _per_image(each: CellResult, store: Store, images: Sequence[str]) -> dict[str, Floats]:
    """By protocol: (images, metrics)."""
    path = store.folder(each.cell.jobs[-1]) / "per_image.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        names: dict[str, list[str]] = {}
        scores: dict[str, list[str]] = {}
        for protocol, image, *values in rows:
            names.setdefault(protocol, []).append(image)
            scores.setdefault(protocol, []).extend(values)
    if any(tuple(own) != tuple(images) for own in names.values()):
        raise UserError(f"{path}: its test images are not those of the study's other cells; run it again")
    return {
        protocol: np.array([float(value or "nan") for value in values]).reshape(len(images), len(METRICS))
        for protocol, values in scores.items()
    }
