"""No embedding: the loss has no hierarchical term."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from cliffkit.interfaces import Batch, Embedding


class NoEmbedding(Embedding):
    """A generator without levels: the hierarchical embedding loss is 0 and there is nothing to train."""

    trained: ClassVar[bool] = False
    levels = 0

    def __init__(self, scene_types: int, /) -> None:
        super().__init__()

    def forward(self, depth: Tensor) -> list[Tensor]:
        """No feature maps."""
        return []

    def objective(self, batch: Batch) -> Tensor:
        """0: there is nothing to minimise."""
        return batch.depth.new_zeros(())
