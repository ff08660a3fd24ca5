"""What goes into a bundle: the small files of a study's jobs, recipes, code and report. No data; weights if asked."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cliffkit.bundles import facts
from cliffkit.bundles.archive import Members
from cliffkit.bundles.facts import BundledCell, BundledChoice, BundledTrial, BundledTuning, BundleFacts
from cliffkit.bundles.readme import readme
from cliffkit.jobs.parts import write_parts
from cliffkit.jobs.run_folder import SCORE_AGAIN, SCORED, check_files, run_folder
from cliffkit.scoring.metrics import METRICS
from cliffkit.store.artifacts import (
    LOG,
    LOSSES,
    RECIPE,
    WEIGHTS,
    DepthFitFacts,
    EmbeddingFitFacts,
    Environment,
    JobRecord,
    LevelDifferences,
    PerImage,
    RegionScores,
    RunMetrics,
    Scores,
    StudyDesigns,
    StudyNoise,
)
from cliffkit.store.checksums import SUMS, checksum, checksums, format_sums
from cliffkit.store.job import Job
from cliffkit.store.store import Store
from cliffkit.study.cells import Cell
from cliffkit.study.results import CellResult, Results
from cliffkit.study.study import Study
from cliffkit.study.tuning import Choice
from cliffkit.training.steplog import validation_lines

REPORT_FILES = (
    *("report.html", "report.md", "table.tex", "results.csv", "noise.csv", "where.csv"),
    *(StudyNoise.FILE, StudyDesigns.FILE),
)
"""Files of a report that a bundle has. per_image.csv is left out, since each job of stage evaluate has its own."""

WHOLE: Mapping[str, tuple[str, ...]] = {
    "evaluate": (Scores.FILE, PerImage.FILE),
    "depth": (Environment.FILE, DepthFitFacts.FILE),
    "embedding": (Environment.FILE, EmbeddingFitFacts.FILE, LevelDifferences.FILE),
}
"""Files of jobs that a bundle has as they are, by stage, beside job.json."""

OF_A_RUN = (WEIGHTS, LOSSES, RunMetrics.FILE, PerImage.FILE, Environment.FILE)
"""Files of a run's folder that a bundle with weights has too, so that the folder predicts."""


def members_of(
    results: Results, trials: Sequence[Cell], folder: Path, summary: str, command: str, weights: bool
) -> tuple[BundleFacts, dict[str, bytes | Path]]:
    """Gather the members of a bundle, by their names in it.

    `folder` is the study's, with a report of these results. `trials` are the cells of the study's search.
    """
    study, store = results.study, results.store
    assert isinstance(study, Study), "given predictions have no recipes"
    assert store is not None, "its cells are jobs"
    cells = [result.cell for result in results.cells if isinstance(result.cell, Cell)]
    entries = tuple(_entry(result, cell) for cell, result in zip(cells, results.cells, strict=True))
    compared = facts.bundled_study(study, study.base.protocols, study.overrides)
    written = facts.bundle_facts(compared, entries, command, _tuning(results, trials), weights=weights)
    done = [cell for cell, result in zip(cells, results.cells, strict=True) if result.state == "done"]
    members: dict[str, bytes | Path] = {
        facts.README: readme(written, summary).encode(),
        BundleFacts.FILE: _json(written),
        facts.STUDY: study.text.encode(),
        facts.BASE: study.base.to_yaml().encode(),
        **_report(folder),
        **{f"{facts.CELLS}/{_folder(cell)}/{RECIPE}": cell.recipe.to_yaml().encode() for cell in cells},
    }
    for cell in done:
        members |= _parts(cell, folder / facts.CELLS if weights else None)
    kept = Store(store)
    for job in {job.name: job for cell in (*done, *_done_trials(trials, kept)) for job in cell.jobs}.values():
        members |= _job(job, kept, study)
    return written, members


def members_of_given(folder: Path) -> tuple[BundleFacts, dict[str, bytes | Path]]:
    """Gather the members of a bundle of given predictions; `folder` is that of their comparison.

    Raises UserError where scores are not as they were written.
    """
    written = BundleFacts.read_file(folder / facts.COMPARISON)
    study = written.study
    members: dict[str, bytes | Path] = {BundleFacts.FILE: _json(written), **_report(folder)}
    for cell in written.cells:
        scores = folder.parent / cell.folder
        check_files(scores, (Scores.FILE, *SCORED), SCORE_AGAIN)
        files = {name: (scores / name).read_bytes() for name in WHOLE["evaluate"]}
        files[RegionScores.FILE] = _regions(RegionScores.read(scores), study.protocol, study.metric)
        place = f"{facts.JOBS}/evaluate-{cell.keys['evaluate']}"
        members |= {f"{place}/{name}": content for name, content in files.items()}
    return written, members


def _entry(result: CellResult, cell: Cell) -> BundledCell:
    """Write down a cell and how it came out."""
    return BundledCell(
        cell.variant.name,
        cell.seed,
        cell.own_seed,
        result.state,
        result.reason,
        result.damaged,
        _folder(cell),
        dict(cell.keys),
    )


def _tuning(results: Results, trials: Sequence[Cell]) -> BundledTuning | None:
    tuning = results.study.tuning
    if tuning is None:
        return None
    left = iter(trials)
    choices = {name: _choice(choice, left) for name, choice in results.choices.items()}
    return BundledTuning(dict(tuning.grid), tuning.seeds, choices)


def _choice(choice: Choice, trials: Iterator[Cell]) -> BundledChoice:
    """Write down the search of a variant, whose trials are the next cells."""
    tried = tuple(
        BundledTrial(
            dict(one.trial.values),
            one.state,
            one.score,
            one.reason,
            tuple(next(trials).jobs[-1].key for _ in range(choice.seeds)),
        )
        for one in choice.tried
    )
    chosen = next((i for i, one in enumerate(choice.tried) if one.trial is choice.chosen), None)
    return BundledChoice(choice.metric, choice.seeds, chosen, tried)


def _done_trials(trials: Sequence[Cell], store: Store) -> list[Cell]:
    return [cell for cell in trials if all(store.done(job) for job in cell.jobs)]


def _report(folder: Path) -> Members:
    """Read the files of a report; figures as SVG alone."""
    paths = [folder / name for name in REPORT_FILES if (folder / name).exists()]
    paths += sorted((folder / "figures").glob("[!.]*.svg"))
    return {f"{facts.REPORT}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths}


def _parts(cell: Cell, runs: Path | None) -> Members:
    """Write down the parts of a cell; where its run's folder lies in `runs`, what the network predicts with too."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_parts(cell.recipe, folder)
        files: dict[str, bytes | Path] = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        if runs is not None:
            (folder / RECIPE).write_bytes(cell.recipe.to_yaml().encode())
            run = run_folder(cell.recipe, cell.jobs, runs)
            extra = {name: run / name for name in OF_A_RUN if (run / name).exists()}
            sums = {**checksums(folder), **{name: checksum(path) for name, path in extra.items()}}
            files |= {**extra, SUMS: format_sums(sums).encode()}
    return {f"{facts.CELLS}/{_folder(cell)}/{name}": content for name, content in files.items()}


def _job(job: Job, store: Store, study: Study) -> Members:
    """Read the small files of a job. Of logs the validations stay, of regions what the report needs."""
    folder = store.folder(job)
    names = [JobRecord.FILE, *(name for name in WHOLE.get(job.stage, ()) if (folder / name).exists())]
    files = {name: (folder / name).read_bytes() for name in names}
    if job.stage == "depth":
        files[LOG] = b"".join(validation_lines(folder / LOG))
    if job.stage == "evaluate":
        files[RegionScores.FILE] = _regions(RegionScores.read(folder), study.protocol, study.metric)
    return {f"{facts.JOBS}/{job.name}/{name}": content for name, content in files.items()}


def _regions(regions: RegionScores, protocol: str, metric: str) -> bytes:
    """Keep the scores of regions in the compared metric and protocol; all others become NaN."""
    is_compared = np.array([name == metric for name in METRICS])
    scores = {
        name: np.where(is_compared & (name == protocol), table, np.float32(np.nan))
        for name, table in regions.scores.items()
    }
    with tempfile.TemporaryDirectory() as temporary:
        replace(regions, scores=scores).write(Path(temporary))
        return (Path(temporary) / RegionScores.FILE).read_bytes()


def _folder(cell: Cell) -> str:
    """Name the folder of a cell as that of its run."""
    return run_folder(cell.recipe, cell.jobs, Path()).name


def _json(written: BundleFacts) -> bytes:
    return (json.dumps(written.to_dict(), indent=1, allow_nan=False) + "\n").encode()
