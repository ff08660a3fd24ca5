"""A trained run on the test split of another data set, without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cliffkit.components.load import Plugins
from cliffkit.errors import UserError
from cliffkit.events import Emit
from cliffkit.jobs.parts import TO_SCORE, check_parts
from cliffkit.jobs.run_folder import check_files
from cliffkit.prediction.predictor import load_run, predictor
from cliffkit.prediction.scored import predicted_by, score_images
from cliffkit.prediction.set_alignment import Predicted
from cliffkit.recipe.recipe import Recipe
from cliffkit.stages.tables import spread
from cliffkit.store.artifacts import WEIGHTS, GivenFacts, RunMetrics
from cliffkit.training.device import open_device
from cliffkit.verbs.finished import Run
from cliffkit.verbs.inputs import AnyPath, Data, Progress, installed_plugins, path_of
from cliffkit.verbs.judge import GivenName, Split, in_own_folder, key_of, leave_scores, open_test
from cliffkit.verbs.score import telling
from cliffkit.verbs.scored import Scored

ENDS = (1, 99)
"""Percentiles that are told of a range of depths."""


def zero_shot(
    run: Run | AnyPath,
    protocols: Sequence[str | Mapping[str, Any]],
    *,
    data: Data | None = None,
    dataset: str | Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: Progress = True,
    plugins: Plugins | None = None,
) -> Scored:
    """Score a run's network on the test split of another data set than its own, without training.

    `run` is a run or its folder; `dataset` names the other data set, by default the only one in `data`. The scores go
    into a folder inside of the run's, `on-DATASET-KEY`, and stand in no table with those of the run's own data: other
    images, and often another range of depth, which `record.predictions.quantity` tells. Raises UserError as `evaluate`
    does, and for the run's own data set.

    Example: `cliffkit.zero_shot(run, ["eigen", "eigen+median"], data={"nyu": "data/nyu"}).metrics["eigen"]["abs_rel"]`.
    """
    plugins = plugins or installed_plugins()
    folder = run.folder if isinstance(run, Run) else path_of(run, "run")
    recipe = load_run(folder, plugins.registry, protocols)
    check_parts(folder, recipe, TO_SCORE)
    check_files(folder)
    test = open_test(dataset, data, plugins.registry)
    record = RunMetrics.read(folder)
    if test.fingerprint == record.data["test_fingerprint"]:
        raise UserError(f"{folder}: these are the run's own test images; score it there with `cliffkit evaluate`")
    name = f"on-{test.part.component.name}"
    with telling(plugins, progress, test.unread) as emit:
        return in_own_folder(folder, name, lambda out: _fill(out, folder, recipe, record, test, device, emit))


def _fill(out: Path, folder: Path, recipe: Recipe, record: RunMetrics, test: Split, device: str, emit: Emit) -> str:
    """Predict, score, and write everything into a folder; returns the key."""
    opened, indices = open_device(device, recipe.train.precision), range(len(test.dataset))
    predict = predictor(recipe, folder / WEIGHTS, opened.torch)
    ends: list[tuple[float, float]] = []
    predicted = _watched(predicted_by(predict, test.dataset, indices, recipe.protocols), ends)
    pictured = spread(len(indices))
    images = score_images(test.dataset, indices, recipe.protocols, predicted, test.median_m, emit, pictured)

    low, high = np.percentile(test.depths_m, ENDS)
    lowest, highest = np.median(np.array(ends), axis=0)
    own = record.data["use"]
    ranges = (
        f"trained on {own}, at a median depth of {record.baseline_depth_m:.2f} m; {ENDS[0]} to {ENDS[1]} % of the test "
        f"depths here lie from {low:.2f} to {high:.2f} m, of the predictions of an image from {lowest:.2f} to "
        f"{highest:.2f} m (median over images)"
    )
    key = key_of(test, recipe.protocols, [record.jobs["depth"]])
    facts = GivenFacts(
        place=str(folder),
        quantity=f"depth in metres of a network {ranges}",
        matched="predicted",
        digest=record.jobs["depth"],
        scored=len(indices),
        missing=(),
        extra=0,
        warnings=(),
    )
    leave_scores(out, GivenName(record.name, key, facts), test, recipe.protocols, images, emit)
    return key


def _watched(predicted: Iterator[Predicted], ends: list[tuple[float, float]]) -> Iterator[Predicted]:
    """Note the range of each image's first prediction."""
    for sample, maps in predicted:
        low, high = np.percentile(maps[0], ENDS)
        ends.append((float(low), float(high)))
        yield sample, maps
