"""How much an embedding generator's features differ between training maps, and a scale on which it is 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from cliffkit.data.pack import Pack
from cliffkit.errors import UserError
from cliffkit.interfaces import Batch, Embedding, features_of
from cliffkit.method.kernels import pooled, weighted_sum
from cliffkit.recipe.part import Part
from cliffkit.store.artifacts import LevelDifferences

PAIRS = 128
"""Pairs of training maps that are compared, at most; no map is in two of them."""

AT_ONCE = 8
"""Pairs whose features are in memory at once."""


def measure(embedding: Embedding, pack: Pack, seed: int, device: torch.device) -> LevelDifferences:
    """Compare the features of random pairs of a pack's maps, in float32, as the hierarchical loss compares two maps.

    A feature counts by the share of pixels in its cell that are valid in both maps. Raises UserError where a
    difference is not finite.
    """
    totals, cells = np.zeros((2, embedding.levels)), np.zeros(embedding.levels)
    embedding.eval().to(device)
    with torch.inference_mode():
        for one, other in pairs(pack, seed):
            both = (one.valid & other.valid).float().to(device)
            first, second = (
                features_of(embedding, batch.dense_depth().to(device), batch.intrinsics.to(device))
                for batch in (one, other)
            )
            for k, (a, b) in enumerate(zip(first, second, strict=True)):
                share = pooled(both, a)
                cells[k] += float(share.sum()) * a.shape[1]
                totals[:, k] += [float(weighted_sum(a, b, share, norm)) for norm in ("l1", "l2")]

    means = totals / np.where(cells > 0, cells, 1)
    if not np.isfinite(means).all():
        raise UserError(
            f"embedding generator {type(embedding).__name__}: the features of two training maps differ by "
            f"{means[0].tolist()}, which is not finite; train it with a lower train.embedding.lr, or mend the plugin"
        )
    l1, l2 = (tuple(map(float, row)) for row in means)
    return LevelDifferences(min(PAIRS, len(pack) // 2), l1, l2)


def pairs(pack: Pack, seed: int) -> Iterator[tuple[Batch, Batch]]:
    """Draw pairs of different maps from a pack, the same for the same seed; some pairs at a time."""
    count = min(PAIRS, len(pack) // 2)
    drawn = np.random.default_rng(seed).permutation(len(pack))[: 2 * count].reshape(2, count)
    for start in range(0, count, AT_ONCE):
        one, other = (Batch.of(pack.batch(images)) for images in drawn[:, start : start + AT_ONCE])
        yield one, other


def divisors(embedding: Part, differences: LevelDifferences) -> tuple[float, ...]:
    """Give the number that each level is divided by under `scale: unit`, by the recipe's norm; 1 for unused levels.

    Raises UserError where a level does not differ between training maps.
    """
    engine = embedding.engine
    means = differences.l1 if engine["norm"] == "l1" else differences.l2
    for k, (weight, mean) in enumerate(zip(engine["weights"], means, strict=True)):
        if weight and not mean > 0:
            raise UserError(
                f"{embedding.place}: level {k} of '{embedding.component.name}' is the same on all of "
                f"{2 * differences.pairs} training maps, so there is nothing to divide it by; give it the weight 0, or "
                "write scale: none"
            )
    return tuple(mean if weight else 1.0 for weight, mean in zip(engine["weights"], means, strict=True))
