"""Stage `evaluate`: every protocol in one pass over the test split at full size, beside a constant prediction."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cliffkit.context import Context
from cliffkit.errors import UserError
from cliffkit.events import Notice, Progress
from cliffkit.interfaces import Dataset, Sample
from cliffkit.metrics import METRICS, score_protocols, summarise
from cliffkit.pack import read_sample, resize_image
from cliffkit.pictures import PanelRow, panel
from cliffkit.plan import Job, open_split
from cliffkit.predict import Predictor, predictor
from cliffkit.protocols import Protocol, View, image_region, truth_in_view
from cliffkit.recipe import Recipe
from cliffkit.store import write_atomic, write_json

PANEL_ROWS = 6
Scores = dict[str, float] | None


def evaluate(job: Job, context: Context) -> None:
    """Write metrics.json, per_image.csv and panel.png."""
    recipe, protocols = job.recipe, job.recipe.protocols
    dataset = open_split(recipe, "test", context.roots)
    predict = predictor(recipe, context.needs["depth"] / "weights.safetensors", context.device.torch)
    pack_facts = json.loads((context.needs["pack"] / "train" / "meta.json").read_text(encoding="utf-8"))
    median_m = pack_facts["median_m"]
    scores: list[list[Scores]] = []
    baseline: list[list[Scores]] = []
    shown: list[PanelRow] = []
    picked = set(np.linspace(0, len(dataset) - 1, min(PANEL_ROWS, len(dataset))).round().astype(int).tolist())
    for index, sample in enumerate(_ahead(dataset)):
        name = dataset.name(index)
        try:
            row, constant, drawn = _score(sample, protocols, predict, median_m)
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"test image {name}: {error}") from error
        scores.append(row)
        baseline.append(constant)
        if index in picked:
            image, truth, prediction = drawn
            shown.append(PanelRow(name, image, truth, prediction, row[0]["abs_rel"] if row[0] else None))
        context.emit(Progress("evaluate", index + 1, len(dataset), "image", {}))
    assert len(scores) == len(dataset), "every test image is scored once"
    results = {}
    for k, protocol in enumerate(protocols):
        own, constant_rows = [row[k] for row in scores], [row[k] for row in baseline]
        metrics = summarise(own, protocol)
        if metrics["absent"]:
            context.emit(Notice(f"{protocol.name}: {metrics['absent']:.0f} of {len(own)} images have no scored pixel"))
        results[protocol.name] = {
            "protocol": protocol.to_dict(),
            "described": protocol.describe(),
            "metrics": metrics,
            "baseline": summarise(constant_rows, protocol),
        }
    fitted = json.loads((context.needs["depth"] / "fit.json").read_text(encoding="utf-8"))
    chosen = {
        "split": "val",
        "score": fitted["select"],
        "best_score": fitted["best_score"],
        "step": fitted["best_step"],
    }
    write_json(
        context.folder / "metrics.json",
        {
            "data": {**recipe.data.to_dict(), "test_fingerprint": job.inputs["test"]},
            "protocols": results,
            "baseline_depth_m": median_m,
            "selection": chosen,
            "parameters": fitted["parameters"],
        },
    )
    write_atomic(
        context.folder / "per_image.csv",
        lambda path: _write_rows(path, protocols, [dataset.name(i) for i in range(len(dataset))], scores),
    )
    title = ", ".join(describe_parts(recipe))
    subtitle = protocols[0].describe()
    write_atomic(context.folder / "panel.png", lambda path: panel(path, shown, title, subtitle))


def describe_parts(recipe: Recipe) -> list[str]:
    """The parts that make a network what it is, by name."""
    backbone = recipe.backbone.options.get("name", recipe.backbone.component.name)
    return [
        str(backbone),
        *(part.component.name for part in (recipe.pyramid, recipe.fusion)),
        f"embedding {recipe.embedding.component.name}",
        f"on {recipe.data.component.name}",
    ]


def _score(
    sample: Sample, protocols: Sequence[Protocol], predict: Predictor, median_m: float
) -> tuple[list[Scores], list[Scores], tuple[Any, Any, Any]]:
    """One image under every protocol: its scores, the constant median's, and what the panel shows (first protocol)."""
    scores: dict[int, Scores] = {}
    constant: dict[int, Scores] = {}
    drawn: tuple[Any, Any, Any] | None = None
    depth, valid = sample.depth.numpy()[0], sample.valid.numpy()[0]
    for (view, flip), members in _alike(protocols).items():
        truth, known = truth_in_view(depth, valid, view)
        prediction = predict(sample.image, view, flip=flip)
        wanted = [protocols[k] for k in members]
        scores |= zip(members, score_protocols(prediction, truth, known, wanted), strict=True)
        flat = np.full_like(truth, median_m)
        constant |= zip(members, score_protocols(flat, truth, known, wanted), strict=True)
        if drawn is None:
            drawn = (_image_in_view(sample, truth.shape, view), np.where(known, truth, np.nan), prediction)
    assert drawn is not None
    order = range(len(protocols))
    return [scores[k] for k in order], [constant[k] for k in order], drawn


def _alike(protocols: Sequence[Protocol]) -> Mapping[tuple[View, bool], list[int]]:
    """Protocols that share a prediction, the first protocol's group first."""
    groups: dict[tuple[View, bool], list[int]] = {}
    for k, protocol in enumerate(protocols):
        groups.setdefault((protocol.view, protocol.flip), []).append(k)
    return groups


def _image_in_view(sample: Sample, shape: tuple[int, ...], view: View) -> Any:
    height, width = sample.image.shape[-2:]
    top, left, h, w = image_region(height, width, view)
    shown = sample.image[None, :, top : top + h, left : left + w]
    return resize_image(shown, (shape[0], shape[1]))[0].permute(1, 2, 0).numpy()


def _ahead(dataset: Dataset) -> Iterator[Sample]:
    """Every image in order, the next one read while one is scored."""
    with ThreadPoolExecutor(1, "test") as thread:
        upcoming = thread.submit(read_sample, dataset, 0)
        for index in range(len(dataset)):
            sample = upcoming.result()
            if index + 1 < len(dataset):
                upcoming = thread.submit(read_sample, dataset, index + 1)
            yield sample


def _write_rows(path: Path, protocols: Sequence[Protocol], names: Sequence[str], rows: Sequence[list[Scores]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["protocol", "image", *METRICS])
        for k, protocol in enumerate(protocols):
            for name, row in zip(names, rows, strict=True):
                scores = row[k]
                writer.writerow([protocol.name, name, *("" if scores is None else repr(scores[m]) for m in METRICS)])
