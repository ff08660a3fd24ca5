"""The results of a study's cells, read from the store. Cells that must not share a table are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cliffkit.errors import UserError
from cliffkit.protocols import Protocol
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import REGIONS
from cliffkit.stages import is_fit
from cliffkit.store.artifacts import (
    LOG,
    NOTHING_NOTED,
    DepthFitFacts,
    EmbeddingFitFacts,
    Environment,
    PerImage,
    RegionScores,
    Scores,
)
from cliffkit.store.snapshot import Snapshot
from cliffkit.store.store import LARGE, Store
from cliffkit.study.cells import Cell
from cliffkit.study.results import CellResult, Floats, Results, as_played
from cliffkit.study.study import Comparison, Study
from cliffkit.training.steplog import validation_curve


def load_results(study: Study, cells: Sequence[Cell], store: Store) -> Results:
    """Read the cells that are done. Raises UserError where they differ in protocols, data or rules of selection."""
    order = {variant.levels: i for i, variant in enumerate(study.variants)}
    seeds = {seed: i for i, seed in enumerate(study.seeds)}
    cells = sorted(cells, key=lambda cell: (order[cell.variant.levels], seeds[cell.seed]))
    folders = [store.folder(cell.jobs[-1]) for cell in cells]
    found = Snapshot(store)
    loaded = gather(study, [_load(cell, found) for cell in cells], folders, study.base.protocols, store.root)
    return loaded if study.adaptive is None else as_played(loaded)


def gather(
    study: Comparison,
    cells: Sequence[CellResult],
    folders: Sequence[Path],
    protocols: tuple[Protocol, ...],
    store: Path | None,
) -> Results:
    """Gather the scores of cells that are done from the folder of each, variant by variant, seeds in order.

    Raises UserError where cells differ in protocols, data or rules of selection.
    """
    order = {variant.levels: i for i, variant in enumerate(study.variants)}
    seeds = {seed: i for i, seed in enumerate(study.seeds)}
    results = list(cells)
    finished = [i for i, result in enumerate(results) if result.state == "done"]
    _check_alike([results[i] for i in finished])

    images = PerImage.read(folders[finished[0]]).images if finished else ()
    shape = (len(study.variants), len(study.seeds), len(images), len(METRICS))
    scores = {protocol.name: np.full(shape, np.nan) for protocol in protocols}
    regions, scenes = np.full((*shape[:3], len(REGIONS)), np.nan), ("",) * len(images)
    for i in finished:
        cell = results[i].cell
        index = order[cell.variant.levels], seeds[cell.seed]
        try:
            tables, local = _per_image(folders[i], images), _regions(folders[i], images)
        except UserError as error:
            results[i] = CellResult(cell, "failed", f"evaluate: {error}", damaged=True)
            continue
        for protocol, rows in tables.items():
            scores[protocol][index] = rows
        scenes = tuple(new or known for new, known in zip(local.scenes, scenes, strict=True))
        if study.protocol in local.scores:
            regions[index] = local.scores[study.protocol][..., METRICS.index(study.metric)]
    return Results(study, tuple(results), protocols, images, scores, store, regions, scenes)


def _load(cell: Cell, store: Store) -> CellResult:
    if cell.choice is not None and cell.choice.chosen is None:
        return CellResult(cell, "failed" if cell.choice.is_failed else "waiting", cell.choice.reason)
    evaluate = cell.jobs[-1]
    if not store.done(evaluate):
        failures = [(job, store.failure(job)) for job in cell.jobs if not store.done(job)]
        reasons = [f"{job.stage}: {failure.reason}" for job, failure in failures if failure is not None]
        return CellResult(cell, "failed" if reasons else "waiting", "; ".join(reasons))
    damages = [f"{job.stage}: damaged: {damage}" for job in cell.jobs if (damage := store.damage(job, LARGE))]
    if damages:
        return CellResult(cell, "failed", "; ".join([*damages, "`cliffkit ablate` does it again"]), damaged=True)
    return read_done(cell, store)


def read_done(cell: Cell, store: Store) -> CellResult:
    """Read the result of a cell whose jobs are done. Raises UserError where a file is missing or damaged."""
    evaluate = cell.jobs[-1]
    depth = store.folder(evaluate.needs["depth"])
    records = {job.stage: store.record(job) for job in cell.jobs}
    scores = Scores.read(store.folder(evaluate))
    assert scores.selection is not None, "a network's weights were chosen"
    return CellResult(
        cell,
        "done",
        "; ".join(f"{name} is not scored: {reason}" for name, reason in scores.failures.items()),
        scores=scores,
        seconds={stage: record.seconds for stage, record in records.items()},
        environment=_environment(cell, store, [record.versions for record in records.values()]),
        curve=validation_curve(depth / LOG, scores.selection.score),
        micro_batch=DepthFitFacts.read(depth).micro_batch,
        generator=_generator(cell, store),
    )


def _generator(cell: Cell, store: Store) -> EmbeddingFitFacts | None:
    """Read how the fit of a cell's embedding generator ended; None where no generator was trained."""
    job = next((job for job in cell.jobs if job.stage == "embedding"), None)
    return None if job is None or not is_fit(job) else EmbeddingFitFacts.read(store.folder(job))


def _environment(cell: Cell, store: Store, versions: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Join what the fits of a cell were trained with, and the `versions` that its jobs recorded.

    An entry that differs has several values. Generators of earlier versions left none.
    """
    fits = [store.folder(job) for job in reversed(cell.jobs) if is_fit(job)]
    written = [folder for folder in fits if folder == fits[0] or (folder / Environment.FILE).exists()]
    facts = [*(Environment.read(folder).flat() for folder in written), *versions]
    joined = {}
    for name in dict.fromkeys(name for each in facts for name in each):
        values = list(dict.fromkeys(each[name] for each in facts if name in each))
        joined[name] = ", ".join([value for value in values if value != NOTHING_NOTED] or [NOTHING_NOTED])
    return joined


def _check_alike(results: Sequence[CellResult]) -> None:
    """Raise UserError where one table must not hold all of the cells."""
    comparable: tuple[tuple[str, Callable[[Scores, Scores], object]], ...] = (
        ("protocols", _protocols),
        ("test images (fingerprints)", lambda scores, other: scores.data["test_fingerprint"]),
        (
            "rules of selection",
            lambda scores, other: scores.selection and (scores.selection.split, scores.selection.score),
        ),
    )
    first = results[0] if results else None
    for result in results[1:]:
        assert first is not None
        assert first.scores is not None
        assert result.scores is not None
        for label, fact in comparable:
            a, b = fact(first.scores, result.scores), fact(result.scores, first.scores)
            if a != b:
                raise UserError(
                    f"{first.cell.name} and {result.cell.name} have different {label}, so no table may hold both: "
                    f"{a} and {b}; make studies of their own"
                )


def _protocols(scores: Scores, other: Scores) -> dict[str, Protocol]:
    """Give the protocols of a cell by name, but for those that could not score the other cell."""
    return {name: scored.protocol for name, scored in scores.protocols.items() if name not in other.failures}


def _per_image(folder: Path, images: Sequence[str]) -> Mapping[str, Floats]:
    """Read a cell's scores by protocol, (images, metrics). Raises UserError where its images are not `images`."""
    table = PerImage.read(folder)
    if table.images != tuple(images):
        raise UserError(
            f"{folder / PerImage.FILE}: its test images are not those of the study's other cells; delete {folder} and "
            "run the study again"
        )
    return table.scores


def _regions(folder: Path, images: Sequence[str]) -> RegionScores:
    """Read a cell's scores of regions. Raises UserError where they are not of so many images."""
    regions = RegionScores.read(folder)
    if len(regions.scenes) != len(images):
        raise UserError(
            f"{folder / RegionScores.FILE}: has {len(regions.scenes)} images, the study's other cells have "
            f"{len(images)}; delete {folder} and run the study again"
        )
    return regions
