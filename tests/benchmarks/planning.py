"""Studies of thousands of cells: what a plan and a report of them take, in seconds, and whether both are linear."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from harness import Row, progress, quartiles, seconds

from cliffkit.components.load import load_plugins
from cliffkit.report.write import write_report
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.regions import REGIONS
from cliffkit.scoring.scores import summarise
from cliffkit.store.artifacts import (
    LOG,
    DepthFitFacts,
    EmbeddingFitFacts,
    Environment,
    JobRecord,
    PerImage,
    ProtocolScores,
    RegionScores,
    Scores,
    Selection,
)
from cliffkit.store.checksums import checksums
from cliffkit.store.store import Store
from cliffkit.study.analysis import analyse
from cliffkit.study.cells import Cell, jobs_of, plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.reading import load_results
from cliffkit.study.study import Study

PLANNING_S, REPORTING_S = "<= 5", "<= 60"
SHAPES = ((1000, 10), (3334, 3), (10_000, 1))
"""Variants and seeds of ten thousand cells."""
IMAGES, POOL, REPEATS = 654, 60, 3
PROTOCOLS = ("full", "eigen", "hu", "cliffnet")
BASE = """\
name: base
data: {{use: rooms, size: [32, 32], train: 8, val: 4, test: 5, height: 32, width: 48}}
model: {{backbone: {{use: handbuilt}}, pyramid: {{use: symmetric, channels: 4}}, fusion: {{use: cliff}}}}
embedding: {{use: heg_s, weights: [2, 3], warmup_steps: 2}}
loss: [{{use: l1}}, {{use: silog, weight: 0.3}}]
train:
  precision: fp32
  embedding: {{steps: 4, batch: 4}}
  depth: {{steps: 2000, batch: 4, validate_every: 100}}
evaluate: [{protocols}]
"""
STUDY = """\
name: many
base: base.yaml
seeds: [{seeds}]
axes:
  embedding: {{none: {{embedding: {{use: none}}}}, heg_s: {{}}, heg_r: {{embedding: {{use: heg_r}}}}}}
  fusion: {{cliff: {{}}, add: {{model.fusion: {{use: add}}}}, concat: {{model.fusion: {{use: concat}}}}}}
  rate: {{base: {{}}, {rates}}}
"""


def rows() -> Iterator[Row]:
    """Planning, reporting, and their times per cell at two sizes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few = _planning(folder, 1000, 1)
        for variants, seeds in SHAPES:
            yield _absolute(
                f"planning {variants:,} variants x {seeds} seeds",
                PLANNING_S,
                many := _planning(folder, variants, seeds),
            )
        yield _linearity("planning 10,000 variants", few, many, 10)
        _reporting(folder, 9, PROTOCOLS)  # what is imported and drawn first
        for protocols in (1, 4):
            few, many = (_reporting(folder, cells, PROTOCOLS[:protocols]) for cells in (250, 1000))
            what = f"{protocols} protocol{'s' * (protocols > 1)}, {IMAGES} images"
            yield _absolute(f"reporting 1,000 cells, {what}", REPORTING_S, many)
            yield _linearity(f"reporting 1,000 cells, {what}", few, many, 4)


def _absolute(what: str, target: str, taken: Sequence[float]) -> Row:
    figures = ", ".join(f"{each:.2f}" for each in taken)
    return Row(what, "seconds", statistics.median(taken), quartiles(sorted(taken)), target, f"{figures} s")


def _linearity(what: str, few: Sequence[float], many: Sequence[float], times: int) -> Row:
    """The time per cell of a study over that of one with so many times fewer cells."""
    ratios = sorted(b / a / times for a, b in zip(few, many, strict=True))
    details = f"{statistics.median(many):.2f} against {statistics.median(few):.2f} s"
    against = f"per cell, {times} times fewer; aim 1.3"
    return Row(what, against, statistics.median(ratios), quartiles(ratios), "", details)


def _study(folder: Path, variants: int, seeds: int, protocols: Sequence[str] = ("full",)) -> tuple[Study, list[Cell]]:
    """A grid of at least so many variants, its cells planned."""
    rates = (f"r{i}: {{train.depth: {{lr: {1e-4 + 1e-7 * i:.7f}}}}}" for i in range(1, -(-variants // 9)))
    (folder / "base.yaml").write_text(BASE.format(protocols=", ".join(protocols)), encoding="utf-8")
    study = STUDY.format(seeds=", ".join(map(str, range(seeds))), rates=", ".join(rates))
    (folder / "study.yaml").write_text(study, encoding="utf-8")
    loaded = load_study(folder / "study.yaml", load_plugins().registry)
    return loaded, plan_cells(loaded, {})


def _planning(folder: Path, variants: int, seeds: int) -> list[float]:
    progress(f"planning {variants} x {seeds}")
    _study(folder, 9, 1)  # plugins are imported
    return [seconds(lambda: _study(folder, variants, seeds)) for _ in range(REPEATS)]


def _reporting(folder: Path, wanted: int, protocols: Sequence[str]) -> list[float]:
    """What `cliffkit report` does, but for its gallery, which does not grow with the study."""
    progress(f"reporting {wanted} cells, {len(protocols)} protocols")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        store = Store(Path(name) / "runs")
        _fill(store, _study(folder, -(-wanted // 3), 3, protocols)[1], Path(name) / "pool")

        def report() -> None:
            study, cells = _study(folder, -(-wanted // 3), 3, protocols)
            results = load_results(study, cells, store)
            write_report(
                results, analyse(results), Path(name) / "report", gallery=None, command="", progress=lambda text: None
            )

        return [seconds(report)]


def _fill(store: Store, cells: Sequence[Cell], pool: Path) -> None:
    """The files that a report reads, as if every cell had run. Cells share the contents of some dozens."""
    for k in range(POOL):
        _write_scores(pool / str(k), cells[0], k)
    training = {"stage": "depth", "lr": 0.00123, "loss": 0.1234567, "loss.l1": 0.0123456, "images_per_s": 123.4}
    scores = dict.fromkeys(METRICS, 0.1234567890123)
    lines = [{"step": step, **training} for step in range(10, 2001, 10)]
    lines += [{"step": step, "stage": "depth", "val": scores} for step in range(100, 2001, 100)]
    log = "".join(json.dumps(line) + "\n" for line in sorted(lines, key=lambda line: int(str(line["step"]))))
    versions = {"cliffkit": "0.1.0", "torch": "2.9.0", "numpy": "2.3.0"}
    environment = Environment("a processor", "cpu", 1, 1, "float32", "a benchmark", (), "3.11", "Linux", versions)
    for i, job in enumerate(jobs_of(cells).values()):
        own = store.folder(job)
        own.mkdir()
        if job.stage == "embedding":
            EmbeddingFitFacts(4, 0.1, 1.5, 0.0, None).write(own)
        if job.stage == "depth":
            (own / LOG).write_text(log, encoding="utf-8")
            DepthFitFacts(400, 0.1, 1.5, 0.0, None, "abs_rel", 100_000).write(own)
            environment.write(own)
        if job.stage == "evaluate":
            for path in (pool / str(i % POOL)).iterdir():
                os.link(path, own / path.name)
        JobRecord(job.stage, job.key, job.inputs, 1.5, 0.0, checksums(own)).write(own)


def _write_scores(folder: Path, cell: Cell, seed: int) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    scored, tables = {}, {}
    for protocol in cell.recipe.protocols:
        values = random.lognormal(-2, 0.3, (IMAGES, len(METRICS)))
        metrics = summarise([dict(zip(METRICS, row, strict=True)) for row in values.tolist()], protocol)
        scored[protocol.name] = ProtocolScores(protocol, protocol.describe(), metrics, metrics)
        tables[protocol.name] = values
    local = {name: np.repeat(table[:, None], len(REGIONS), axis=1) for name, table in tables.items()}
    RegionScores(("bathroom",) * IMAGES, local).write(folder)
    PerImage(tuple(f"bathroom/rgb_{i:05d}.jpg" for i in range(IMAGES)), tables).write(folder)
    data = {"use": "rooms", "test_fingerprint": "0123456789abcdef"}
    Scores(data, scored, 2.5, Selection("val", "abs_rel", 0.1, 400), 100_000).write(folder)
