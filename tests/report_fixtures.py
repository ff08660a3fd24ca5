"""Made-up results of real studies: everything that a report needs, nothing trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cliffkit.components.registry import Registry
from cliffkit.report.gallery import Gallery, GalleryImage, VariantPredictions
from cliffkit.scoring.metrics import HIGHER_IS_BETTER, METRICS
from cliffkit.scoring.regions import REGIONS
from cliffkit.scoring.scores import summarise
from cliffkit.store.artifacts import Environment, ProtocolScores, Scores, Selection
from cliffkit.study.cells import Cell, plan_cells
from cliffkit.study.check import load_study
from cliffkit.study.results import CellResult, Results, as_played
from cliffkit.study.study import Study

HOSTILE_LEVEL = '=cmd() <b>&_%$#{}~^\\ "x" | `y` *z*'
HOSTILE_IMAGE = "<script>alert(1)</script>"
HOSTILE_REASON = "depth: <img src=x onerror=alert(1)> & 'loss' is not finite; 50% \\input{x}"
AXES: Mapping[str, Any] = {
    "embedding": {"none": {"embedding": {"use": "none"}}, "heg_s": {}},
    "fusion": {"cliff": {}, "add": {"model.fusion": {"use": "add"}}, "concat": {"model.fusion": {"use": "concat"}}},
}
ENVIRONMENT = Environment(
    device="made-up processor",
    device_type="cpu",
    processes=1,
    threads=1,
    precision="float32",
    precision_reason="the recipe says so",
    nondeterministic=(),
    python="3.11.7",
    system="Linux 6.1",
    versions={"cliffkit": "0.1.0", "torch": "2.9.0"},
)
EFFECTS = (0.0, -0.015, 0.02, 0.0005, -0.0145, 0.003)
"""By variant, in turn: what it adds to abs_rel."""


def make_study(
    folder: Path,
    registry: Registry,
    recipe: str,
    *,
    axes: Mapping[str, Any] = AXES,
    seeds: Sequence[int] | Mapping[str, int] = (0, 1, 2),
    evaluate: Sequence[str] = ("full", "eigen"),
    base: Mapping[str, Any] | None = None,
    **more: Any,
) -> Study:
    """A study file with its base recipe beside it, loaded; `base` is merged into the recipe, `more` into the study."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {**yaml.safe_load(recipe), "evaluate": list(evaluate), **(base or {})}
    (folder / "base.yaml").write_text(yaml.safe_dump(written, allow_unicode=True), encoding="utf-8")
    study = {
        "name": "made-up",
        "base": "base.yaml",
        "seeds": dict(seeds) if isinstance(seeds, Mapping) else list(seeds),
        "axes": dict(axes),
        **more,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return load_study(path, registry)


def make_results(
    study: Study,
    store: Path,
    *,
    images: int = 24,
    failed: Mapping[tuple[str, int], str] | None = None,
    waiting: Sequence[tuple[str, int]] = (),
    unscored: Sequence[int] = (),
    environments: Mapping[int, Environment] | None = None,
) -> Results:
    """Results as if every cell had run, but for those that `failed` (with the reason) or are `waiting`.

    A cell is named by its variant's first level or name and its seed. Images `unscored` have no scored pixel. What
    cells were trained with may differ by seed: `environments`.
    """
    names = (HOSTILE_IMAGE, '=1+1,a "quoted" name', *(f"room {i:03d}" for i in range(2, images)))[:images]
    random = np.random.default_rng(0)
    hard = random.lognormal(-2.2, 0.4, images)
    scores = {
        p.name: np.full((len(study.variants), len(study.seeds), images, len(METRICS)), np.nan)
        for p in study.base.protocols
    }
    planned = {(cell.variant.levels, cell.seed): cell for cell in plan_cells(study, {})}
    cells = []
    for i, variant in enumerate(study.variants):
        for k, seed in enumerate(study.seeds):
            cell = planned[variant.levels, seed]
            own = {(variant.name, seed), (variant.levels[0], seed)}
            reason = next((words for key, words in (failed or {}).items() if key in own), None)
            if reason is not None or own & set(waiting):
                cells.append(CellResult(cell, "waiting" if reason is None else "failed", reason or ""))
                continue
            abs_rel = hard * (1 + random.normal(0, 0.03, images)) + EFFECTS[i % len(EFFECTS)] + random.normal(0, 0.002)
            for number, values in enumerate(scores.values()):
                values[i, k] = _metrics(np.abs(abs_rel) * (1 + 0.1 * number))
                values[i, k, list(unscored)] = np.nan
            cells.append(
                _done(
                    cell,
                    {name: values[i, k] for name, values in scores.items()},
                    i,
                    (environments or {}).get(seed, ENVIRONMENT).flat(),
                )
            )
    regions = _regions(scores[study.protocol][..., METRICS.index(study.metric)])
    scenes = tuple(("kitchen", "office", "")[i % 3] for i in range(images))
    results = Results(study, tuple(cells), study.base.protocols, names, scores, store, regions, scenes)
    return results if study.adaptive is None else as_played(results)


def _regions(whole: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Scores of regions, (..., images, REGIONS): three ranges of depth, one of them in half of the images; edges."""
    regions = np.full((*whole.shape, len(REGIONS)), np.nan)
    for k in (1, 2, 3, len(REGIONS) - 2, len(REGIONS) - 1):
        regions[..., k] = whole * (0.8 + 0.1 * k)
    regions[..., : whole.shape[-1] // 2, 3] = np.nan
    return regions


def _metrics(abs_rel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(images, metrics) that go with an abs_rel."""
    good = np.exp(-3 * abs_rel)
    by_name = dict(zip(METRICS, (abs_rel, abs_rel**2, 3 * abs_rel, abs_rel, abs_rel / 2.3, 90 * abs_rel), strict=False))
    by_name |= {name: good ** (1 / (k + 1)) for k, name in enumerate(sorted(HIGHER_IS_BETTER))}
    return np.stack([by_name[name] for name in METRICS], axis=1)


def _done(cell: Cell, scores: Mapping[str, Any], number: int, environment: Mapping[str, str]) -> CellResult:
    protocols = {}
    for protocol in cell.recipe.protocols:
        rows = [
            None if np.isnan(row).any() else dict(zip(METRICS, map(float, row), strict=True))
            for row in scores[protocol.name]
        ]
        baseline = {**dict.fromkeys(METRICS, 0.4321), "n": len(rows), "absent": 0}
        protocols[protocol.name] = ProtocolScores(protocol, protocol.describe(), summarise(rows, protocol), baseline)
    made_up = Scores(
        data={"use": "rooms", "test_fingerprint": "0123456789abcdef"},
        protocols=protocols,
        baseline_depth_m=2.5,
        selection=Selection("val", "abs_rel", 0.1, 400),
        parameters=100_000 + 1_000 * number,
    )
    start = float(np.nanmean(next(iter(scores.values()))[:, 0]))
    curve = [(step, start + 0.4 * float(np.exp(-step / 150)) + 0.003 * cell.seed) for step in range(50, 501, 50)]
    seconds = {"pack": 2.0, "images": 3.0, "embedding": 30.0, "depth": 100.0 + number, "evaluate": 5.0}
    seconds = {job.stage: seconds[job.stage] for job in cell.jobs}
    return CellResult(cell, "done", "", made_up, seconds, environment, curve)


def make_gallery(results: Results, size: tuple[int, int] = (36, 48)) -> Gallery:
    """Two images under every variant, of made-up depth."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    truth = 1 + rows / 10 + columns / 20
    truth[:4, :6] = np.nan
    rgb = np.stack([rows * 5 % 256, columns * 5 % 256, rows + columns], axis=-1).astype(np.uint8)
    images = tuple(
        GalleryImage(name, why, rgb, truth) for name, why in zip(results.images, ("worst", "best"), strict=False)
    )
    shown = tuple(
        VariantPredictions(
            variant,
            results.study.seeds[0],
            (truth * (1 + 0.05 * i), truth + 0.1 * i),
            (np.full_like(truth, 0.05 * i), 0.1 * i / truth),
            (0.1 * i, 0.05),
        )
        for i, variant in enumerate(results.study.variants)
    )
    return Gallery(images, shown)
