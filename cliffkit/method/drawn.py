"""Common random numbers: a part starts from weights that follow from the seed and from what the part is alone.

So two variants of a study start alike in whatever they share, and less of the seed's luck is left in their difference
(docs/why/statistics.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from cliffkit.data.batches import mix

Built = TypeVar("Built")


def drawn(seed: int, part: str, build: Callable[[], Built]) -> Built:
    """Build a part, its random numbers drawn from a generator seeded with the seed and the part's kind.

    `part` is the kind, with a number or name where a network has several of a kind, such as "fusion 2". The generator
    of torch is left as it was: nothing that is drawn later depends on how many numbers a part draws.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, *part.encode()))
        return build()
