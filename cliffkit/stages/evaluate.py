"""Stage `evaluate`: every protocol in one pass over the test split at full size, beside a constant prediction."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cliffkit.components.registry import NONE
from cliffkit.data.pack import read_sample, resize_image
from cliffkit.data.splits import open_split
from cliffkit.errors import UserError
from cliffkit.events import Notice, Progress
from cliffkit.interfaces import Dataset, Sample
from cliffkit.pictures.panel import PanelRow, panel
from cliffkit.prediction.predictor import Predictor, predictor
from cliffkit.recipe.recipe import Recipe
from cliffkit.scoring.metrics import METRICS
from cliffkit.scoring.protocols import Protocol
from cliffkit.scoring.scores import score_protocols, summarise
from cliffkit.scoring.views import View, image_region, truth_in_view
from cliffkit.stages.context import Context
from cliffkit.store.files import write_atomic, write_json
from cliffkit.store.job import Job
from cliffkit.workers import available_cores, in_order

PANEL_ROWS = 6
Scores = dict[str, float] | None
Predicted = tuple[Sample, list[Any]]
Drawn = tuple[Any, Any, Any]


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

    def score(predicted: tuple[int, Predicted]) -> tuple[list[Scores], list[Scores], Drawn | None]:
        index, (sample, predictions) = predicted
        try:
            row, constant = _score(sample, protocols, predictions, median_m)
        except ValueError as error:
            raise UserError(f"test image {dataset.name(index)}: {error}") from error
        return row, constant, _drawn(sample, predictions[0], protocols[0].view) if index in picked else None

    predicted = enumerate(_predicted(dataset, protocols, predict))
    for index, (row, constant, drawn) in enumerate(in_order(score, predicted, available_cores())):
        scores.append(row)
        baseline.append(constant)
        if drawn is not None:
            shown.append(PanelRow(dataset.name(index), *drawn, row[0]["abs_rel"] if row[0] else None))
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
        f"embedding {recipe.embedding.component.name if recipe.embedding else NONE}",
        f"on {recipe.data.component.name}",
    ]


def _predicted(dataset: Dataset, protocols: Sequence[Protocol], predict: Predictor) -> Iterator[Predicted]:
    """Every image in order with its prediction for each view; the next ones are read meanwhile."""
    views = list(_alike(protocols))
    for sample in in_order(partial(read_sample, dataset), range(len(dataset)), 1):
        yield sample, [predict(sample.image, view, flip=flip) for view, flip in views]


def _score(
    sample: Sample, protocols: Sequence[Protocol], predictions: Sequence[Any], median_m: float
) -> tuple[list[Scores], list[Scores]]:
    """One image under every protocol: its scores and the constant median's."""
    scores: dict[int, Scores] = {}
    constant: dict[int, Scores] = {}
    depth, valid = sample.depth.numpy()[0], sample.valid.numpy()[0]
    for ((view, _), members), prediction in zip(_alike(protocols).items(), predictions, strict=True):
        truth, known = truth_in_view(depth, valid, view)
        wanted = [protocols[k] for k in members]
        scores |= zip(members, score_protocols(prediction, truth, known, wanted), strict=True)
        flat = np.full_like(truth, median_m)
        constant |= zip(members, score_protocols(flat, truth, known, wanted), strict=True)
    order = range(len(protocols))
    return [scores[k] for k in order], [constant[k] for k in order]


def _alike(protocols: Sequence[Protocol]) -> Mapping[tuple[View, bool], list[int]]:
    """Protocols that share a prediction, the first protocol's group first."""
    groups: dict[tuple[View, bool], list[int]] = {}
    for k, protocol in enumerate(protocols):
        groups.setdefault((protocol.view, protocol.flip), []).append(k)
    return groups


def _drawn(sample: Sample, prediction: Any, view: View) -> Drawn:
    """What the panel shows of an image: itself, its truth, its prediction."""
    truth, known = truth_in_view(sample.depth.numpy()[0], sample.valid.numpy()[0], view)
    height, width = sample.image.shape[-2:]
    top, left, h, w = image_region(height, width, view)
    shown = sample.image[None, :, top : top + h, left : left + w]
    image = resize_image(shown, (truth.shape[0], truth.shape[1]))[0].permute(1, 2, 0).numpy()
    return image, np.where(known, truth, np.nan), prediction


def _write_rows(path: Path, protocols: Sequence[Protocol], names: Sequence[str], rows: Sequence[list[Scores]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["protocol", "image", *METRICS])
        for k, protocol in enumerate(protocols):
            for name, row in zip(names, rows, strict=True):
                scores = row[k]
                writer.writerow([protocol.name, name, *("" if scores is None else repr(scores[m]) for m in METRICS)])
