"""Test images: ten times as many beside the training of a cell, and several at once beside one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from harness import Row, paired, progress, row, seconds
from parts import BareLoop, random_pack, recipe

from cliffkit.data.full_size import FullSize, write_full_size
from cliffkit.data.splits import open_split
from cliffkit.interfaces import Dataset
from cliffkit.method.assemble import build
from cliffkit.prediction.predictor import prepared
from cliffkit.prediction.scored import predicted_by, score_images

STEPS = 1500
FEW, MANY = 100, 1000
AT_A_TURN = 20
"""Steps that are measured beside an evaluation; the others take as long."""
TURNS = 5


def computed(work: Callable[[], object]) -> float:
    """Seconds of processor time that one call takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def rows() -> list[Row]:
    """One thread, as a worker of a study has it on two cores; cells in processor time, since all cores are at work."""
    torch.set_num_threads(1)
    of = recipe("handbuilt_cliff_hegR", "embedding.use=none", "data.size=[64,96]", f"data.test={MANY}")
    predict = prepared(build(of), of, torch.device("cpu"))

    def score(dataset: Dataset, start: int, stop: int, step: int) -> None:
        for first in range(start, stop, step):
            indices = range(first, first + step)
            predicted = predicted_by(predict, dataset, indices, of.protocols)
            score_images(dataset, indices, of.protocols, predicted, 2.0, lambda event: None)

    with TemporaryDirectory() as folder, random_pack(64, of.data.engine["size"]) as pack:
        rooms = open_split(of, "test", {})
        progress(f"drawing {MANY} test images")
        drawn_s = seconds(lambda: write_full_size(rooms, Path(folder), lambda done: None))
        images, loop = FullSize(Path(folder)), BareLoop(of, pack)
        loop.steps(3)
        cells: list[tuple[float, float]] = []
        parts: list[tuple[float, float, float]] = []
        for turn in range(TURNS):
            progress(f"evaluation beside training, {turn + 1} of {TURNS}")
            training_s = computed(lambda: loop.steps(AT_A_TURN)) / AT_A_TURN * STEPS
            many_s, few_s = (computed(lambda n=n: score(images, 0, n, n)) for n in (MANY, FEW))
            cells.append((training_s + many_s, training_s + few_s))
            parts.append((training_s, many_s, few_s))
        progress("several at once")
        several = paired(lambda: score(images, 0, 96, 96), lambda: score(images, 0, 96, 1), TURNS)
        anew = paired(lambda: score(images, 0, 96, 96), lambda: score(rooms, 0, 96, 1), 3)
    trained, many, few = np.median(parts, axis=0)
    figures = (
        f"processor time: training {trained:.0f} s, scoring {many:.1f} and {few:.1f} s; drawn once, in {drawn_s:.0f} s"
    )
    what = (
        f"a cell of {STEPS} steps, recipes/handbuilt_cliff_hegR without embedding, 64x96, 1 thread, {MANY} test images"
    )
    return [
        row(what, f"with {FEW} test images", cells, "<= 1.1", figures, unit="s"),
        row("scoring 96 rooms several at once", "one at a time, read from the same file", several, "", unit="s"),
        row("scoring 96 rooms that are drawn already", "drawn anew, one at a time", anew, "", unit="s"),
    ]
