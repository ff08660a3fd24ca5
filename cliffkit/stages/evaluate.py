"""Stage `evaluate`: every protocol in one pass over the test split at full size, beside a constant prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cliffkit.components.registry import NONE
from cliffkit.data.full_size import FullSize
from cliffkit.interfaces import Dataset
from cliffkit.prediction.predictor import predictor
from cliffkit.prediction.scored import predicted_by, score_images
from cliffkit.recipe.part import Part
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages.context import Context
from cliffkit.stages.tables import leave_panel, leave_tables, spread
from cliffkit.store.artifacts import WEIGHTS, DepthFitFacts, PackFacts, Scores, Selection
from cliffkit.store.job import Job


@dataclass(frozen=True)
class Trained:
    """A trained network, and what its scores say of its training."""

    weights: Path
    median_m: float
    """Median of the training depths, the constant prediction."""
    selection: Selection
    parameters: int
    divisors: tuple[float, ...] = ()


def evaluate(job: Job, context: Context) -> None:
    """Write metrics.json, per_image.csv, regions.npz and panel.png of the network that stage `depth` left."""
    depth, dataset = context.needs["depth"], FullSize(context.needs["images"])
    fitted = DepthFitFacts.read(depth)
    chosen = Selection("val", fitted.select, fitted.best_score, fitted.best_step)
    median_m = PackFacts.read(context.needs["pack"] / "train").median_m
    trained = Trained(depth / WEIGHTS, median_m, chosen, fitted.parameters, fitted.divisors)
    score_trained(job, context, trained, dataset)


def score_trained(job: Job, context: Context, trained: Trained, dataset: Dataset) -> None:
    """Write metrics.json, per_image.csv, regions.npz and panel.png of a network and a test split, wherever they lie."""
    recipe, protocols = job.recipe, job.recipe.protocols
    predict = predictor(recipe, trained.weights, context.device.torch)

    indices = range(len(dataset))
    predicted = predicted_by(predict, dataset, indices, protocols)
    images = score_images(dataset, indices, protocols, predicted, trained.median_m, context.emit, spread(len(dataset)))
    names = tuple(dataset.name(index) for index in indices)
    summaries, failures = leave_tables(context.folder, protocols, names, images, context.emit)

    Scores(
        data={**recipe.data.to_dict(), "test_fingerprint": job.inputs["test"]},
        protocols=summaries,
        baseline_depth_m=trained.median_m,
        selection=trained.selection,
        parameters=trained.parameters,
        failures=failures,
        divisors=trained.divisors,
    ).write(context.folder)

    leave_panel(context.folder, images, ", ".join(describe_parts(recipe)), protocols[0])


def _generator(embedding: Part | None) -> str:
    if embedding is None:
        return NONE
    return embedding.component.name + ("" if embedding.engine["trained"] else " left random")


def describe_parts(recipe: Recipe) -> list[str]:
    """Name the parts that make a network what it is."""
    first, *others = (part for kind, part in recipe.model.items() if kind != "head")
    return [
        str(first.options.get("name", first.component.name)),
        *(part.component.name for part in others),
        f"embedding {_generator(recipe.embedding)}",
        f"on {recipe.data.component.name}",
    ]
